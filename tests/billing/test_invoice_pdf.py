"""The PDF of an invoice: the same bytes each time, tagged, readable, whatever names and texts are on it."""

import hashlib
import io
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from pypdf import PdfReader

from billing import invoice_pdf as module
from billing.invoice_document import MAX_LINES, InvoiceDocument, Line, Party
from billing.invoice_pdf import invoice_pdf
from tests.bench.invoice_pdf import ordinary
from tests.billing.test_invoice_document import BUYER, document

A4, LETTER = (595, 842), (612, 792)  # in points, rounded


def read(one: InvoiceDocument) -> PdfReader:
    return PdfReader(io.BytesIO(invoice_pdf(one)))


def text_of(reader: PdfReader) -> str:
    return "\n".join(page.extract_text() for page in reader.pages)


def untaxed(*texts: str, buyer: Party = BUYER, **change) -> InvoiceDocument:
    lines = tuple(Line(text=text, net_minor=100, tax_rate="0", tax_minor=0) for text in texts)
    net = 100 * len(lines)
    sums = {"net_minor": net, "tax_minor": 0, "total_minor": net}
    return document(lines=lines, taxes=(), buyer=buyer, **{**sums, **change})


def tags_of(reader: PdfReader) -> list[str]:
    found, left = [], [reader.trailer["/Root"]["/StructTreeRoot"]]
    while left:
        element = left.pop().get_object()
        if isinstance(element, list):
            left += element
        elif isinstance(element, dict):
            found.append(str(element.get("/S", "")))
            left += [element["/K"]] if "/K" in element else []
    return found


def test_it_says_what_the_document_says():
    text = text_of(read(ordinary()))
    for part in (
        "Invoice 2026-004711",
        "Date: 24 January 2026",
        "Due on: 31 January 2026",
        "Your reference: PO 2026/17",
        "Łódź Fabryka Sp. z o.o.",
        "Jürgen Groß",
        "Poland",
        "VAT id DE123456789",
        "31 January 2026 to 30 January 2027",
        "-11.90",
        "VAT 19 %, on 92.10 EUR",
        "109.60 EUR",
        "There is nothing to do.",
        "Page 1 of 1",
    ):
        assert part in text, part


def test_a_credit_note_says_what_it_corrects():
    text = text_of(read(document(kind="credit_note", number="C-7", corrects="2026-000001")))
    assert "Credit note C-7" in text
    assert "Corrects invoice: 2026-000001" in text
    assert "What is credited" in text
    assert "to be paid" not in text


def test_without_tax_no_tax_is_named():
    text = text_of(read(untaxed("25 GB")))
    assert "Tax" not in text
    assert "tax" not in text
    assert "1.00 EUR" in text


def test_the_same_document_gives_the_same_bytes_in_every_process():
    program = (
        "import django; django.setup(); import hashlib; from billing.invoice_pdf import invoice_pdf;"
        "from tests.bench.invoice_pdf import ordinary; print(hashlib.sha256(invoice_pdf(ordinary())).hexdigest())"
    )
    here = hashlib.sha256(invoice_pdf(ordinary())).hexdigest()
    for seed in ("1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"Etc/GMT+{len(seed)}"}
        command = [sys.executable, "-c", program]
        there = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        assert there.stdout.strip() == here
    invoice_pdf(
        untaxed("張偉 שלום", buyer=Party(name="李雷", street="1", city="北京", postcode="1", country="US"))
    )
    assert hashlib.sha256(invoice_pdf(ordinary())).hexdigest() == here


def test_threads_of_one_process_do_not_disturb_each_other():
    documents = [untaxed(f"Line {number}", number=f"N-{number}") for number in range(6)]
    alone = [invoice_pdf(one) for one in documents]
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(invoice_pdf, documents)) == alone


def test_it_is_tagged_and_names_language_title_and_dates():
    reader = read(ordinary())
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert b'pdfuaid:part="1"' in root["/Metadata"].get_data()
    assert reader.metadata.title == "Invoice 2026-004711"
    assert reader.metadata.author == "Example Mail GmbH"
    assert str(reader.metadata.get("/CreationDate")).startswith("D:20260124")
    tags = tags_of(reader)
    assert tags.count("/H1") == 1
    assert tags.count("/Table") == 2
    assert {"/H2", "/P", "/TR", "/TH", "/TD"} <= set(tags)


def test_its_headings_are_bookmarks():
    reader = read(ordinary())
    title, below = reader.outline
    assert title.title == "Invoice 2026-004711"
    assert [entry.title for entry in below][-1] == "Notes"


def test_all_fonts_are_in_it():
    chinese = Party(name="張偉", street="1", city="台北", postcode="1", country="TW")
    fonts = {}
    for page in read(untaxed("25 GB", buyer=chinese)).pages:
        fonts |= page["/Resources"]["/Font"]
    assert len(fonts) == 3  # regular, bold, Chinese
    for font in fonts.values():
        (descendant,) = font.get_object()["/DescendantFonts"]
        descriptor = descendant.get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile2", "/FontFile3"} & set(descriptor)


@pytest.mark.parametrize(
    ("country", "size"), [("IE", A4), ("DE", A4), ("US", LETTER), ("CA", LETTER), ("MX", LETTER), ("BR", A4)]
)
def test_the_paper_is_that_of_the_buyers_country(country, size):
    buyer = Party(name="A", street="B", city="C", postcode="D", country=country)
    (page,) = read(untaxed("25 GB", buyer=buyer)).pages
    assert (round(page.mediabox.width), round(page.mediabox.height)) == size


@pytest.mark.parametrize("count", [*range(12, 34), 120])
def test_the_sums_stay_together_with_the_last_line(count):
    reader = read(untaxed(*(f"Line number {number} of them" for number in range(1, count + 1))))
    pages = [page.extract_text() for page in reader.pages]
    assert f"Line number {count} of them" in (
        with_sums := next(page for page in pages if "to be paid" in page)
    )
    assert f"Total\n{count}.00 EUR" in with_sums or f"Total {count}.00 EUR" in with_sums
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page
        assert "Invoice 2026-000001" in page
        if "Line number" in page:
            assert "Quantity" in page  # the head of the table comes again
    found = re.findall(r"Line number (\d+) of them", "".join(pages))
    assert [int(number) for number in found] == list(range(1, count + 1))


def test_the_longest_document_is_drawn():
    texts = [f"{number} " + "x" * 60 for number in range(MAX_LINES)]
    one = InvoiceDocument.from_json(untaxed(*texts).to_json())
    assert len(read(one).pages) > 10
    with pytest.raises(ValueError, match="no document"):
        untaxed(*texts, "one more").to_json()


def test_a_long_name_without_a_gap_stays_on_the_page():
    buyer = Party(name="W" * 254, street="S" * 254, city="C" * 100, postcode="1", country="IE")
    reader = read(untaxed("T" * 2000, buyer=buyer, notes=("N" * 2000,)))
    text = text_of(reader)
    for letter, count, at_most in (("W", 254, 26), ("T", 2000, 60), ("N", 2000, 90)):
        runs = re.findall(letter + "{2,}", text)
        assert sum(map(len, runs)) == count
        assert max(map(len, runs)) <= at_most  # what its column has room for
    assert len(reader.pages) <= 3


@pytest.mark.parametrize(
    "name",
    [
        "שלום עולם בע״מ",
        "شركة البريد",
        "株式会社メール",
        "한국우편",
        "张伟",
        "Ωμέγα",
        "Пошта",
        "ไปรษณีย์",
        "डाक विभाग",
        "🙂",
    ],
)
def test_names_of_every_script_are_drawn_and_can_be_read_back(name):
    buyer = Party(name=name, company="Acme", street="1 Road", city="Cork", postcode="T12", country="IE")
    text = text_of(read(untaxed(name, buyer=buyer)))
    assert text.count(name) == 2
    assert "1 Road" in text
    assert "1.00 EUR" in text


def test_a_name_that_turns_writing_around_turns_nothing_but_itself():
    buyer = Party(name="a\u202ebc", street="1 Road", city="Cork", postcode="T12", country="IE")
    text = text_of(read(untaxed("\u202eabc", buyer=buyer)))
    for part in ("1 Road", "T12 Cork", "1.00 EUR", "Page 1 of 1"):
        assert part in text


HOSTILE = (
    "<img src=file:///etc/passwd> <link rel=stylesheet href=https://evil.example/x.css> "
    "<link rel=attachment href=file:///etc/passwd></p></table><style>*{display:none}</style>{{ seller }}{% now %}"
)


def test_hostile_text_is_text(monkeypatch):
    invoice_pdf(untaxed("warm"))
    asked = []
    monkeypatch.setattr(module, "refuse", asked.append)
    monkeypatch.setattr(
        socket, "create_connection", lambda *args, **more: pytest.fail("It asked the network.")
    )
    hostile = HOSTILE[:250]
    buyer = Party(
        name=hostile, company="<script>", street="&lt;b&gt;", city="]]>", postcode="'\"", country="IE"
    )
    one = untaxed(HOSTILE, buyer=buyer, notes=(HOSTILE,), reference="</title><b>")
    reader = read(one)
    text = text_of(reader).replace("\n", " ")
    assert not asked
    assert "<script>" in text
    assert "&lt;b&gt;" in text
    assert "<img src=file:///etc/passwd>" in text
    assert "{{ seller }}" in text
    assert "root:" not in text
    assert not reader.attachments


@pytest.mark.parametrize("source", ["file:///etc/hostname", "https://evil.example/x.png", "data:image/png,x"])
def test_even_markup_that_asks_for_something_gets_nothing(monkeypatch, source):
    html = f'<html lang=en><title>x</title><img alt=nothing src="{source}">'
    invoice_pdf(ordinary())
    asked = []

    def refused(url):
        asked.append(url)
        refuse(url)

    refuse = module.refuse
    monkeypatch.setattr(module, "refuse", refused)
    monkeypatch.setattr(module, "render_to_string", lambda *_: html)
    reader = PdfReader(io.BytesIO(invoice_pdf(ordinary())))
    assert asked == [source]
    assert not reader.pages[0].images


@pytest.mark.parametrize("text", ["a\x01b", "a\x00b", "a\r\nb", "\x0c", "\ufffe", "   "])
def test_control_characters_do_no_harm(text):
    buyer = Party(name=text, street="B", city="C", postcode="D", country="IE")
    assert "1.00 EUR" in text_of(read(untaxed(text, buyer=buyer)))
