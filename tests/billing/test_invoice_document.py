"""The snapshot of an invoice: it comes back as it was kept, and refuses what does not add up."""

import json
from datetime import date

import pytest

from billing.invoice_document import InvoiceDocument, Line, Party, TaxTotal, plain_rate

SELLER = Party(
    name="Example Mail GmbH",
    street="Weg 1",
    city="Bonn",
    postcode="53111",
    country="DE",
    vat_id="DE123456789",
)
BUYER = Party(name="Alice Archer", company="Acme", street="1 Road", city="Cork", postcode="T12", country="IE")


def line(net: int = 1000, tax: int = 190, rate: str = "19", **more) -> Line:
    return Line(text="25 GB", net_minor=net, tax_rate=rate, tax_minor=tax, **more)


def total(net: int = 1000, tax: int = 190, rate: str = "19") -> TaxTotal:
    return TaxTotal(label=f"VAT {rate} %", rate=rate, net_minor=net, tax_minor=tax)


def document(**change) -> InvoiceDocument:
    fields = {
        "number": "2026-000001",
        "kind": "invoice",
        "issued_on": date(2026, 1, 31),
        "due_on": date(2026, 2, 7),
        "currency": "EUR",
        "seller": SELLER,
        "buyer": BUYER,
        "lines": (line(from_on=date(2026, 1, 31), until_on=date(2026, 2, 27)),),
        "taxes": (total(),),
        "net_minor": 1000,
        "tax_minor": 190,
        "total_minor": 1190,
        "notes": ("Thank you.",),
    }
    return InvoiceDocument(**{**fields, **change})


def test_it_comes_back_from_json_as_it_was():
    one = document()
    assert InvoiceDocument.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_its_json_holds_plain_values():
    data = document().to_json()
    assert data["issued_on"] == "2026-01-31"
    assert data["lines"][0] == {
        "text": "25 GB",
        "from_on": "2026-01-31",
        "until_on": "2026-02-27",
        "quantity": 1,
        "net_minor": 1000,
        "tax_rate": "19",
        "tax_minor": 190,
    }


def test_it_is_never_changed():
    with pytest.raises(AttributeError):
        document().total_minor = 1


@pytest.mark.parametrize(("rate", "plain"), [("19.0", "19"), ("5.50", "5.5"), ("0.00", "0"), ("100", "100")])
def test_a_rate_has_no_needless_digits(rate, plain):
    assert plain_rate(rate) == plain
    assert line(rate=rate).tax_rate == total(rate=rate).rate == plain


@pytest.mark.parametrize("rate", ["", "x", "-1", "101", "NaN", "1e1", "100.01", "١٩", "19\n"])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="no rate"):
        plain_rate(rate)


@pytest.mark.parametrize(
    "change",
    [
        {"net_minor": 1001, "total_minor": 1191},
        {"tax_minor": 191, "total_minor": 1191},
        {"total_minor": 1191},
        {"taxes": (total(tax=191),)},
        {"taxes": (total(net=999),)},
        {"taxes": (total(rate="20"),)},
        {"taxes": (total(), total(0, 0, "7"))},
        {"taxes": ()},
        {"lines": ()},
        {"lines": (line(tax=189),)},
        {"lines": (line(500, 95), line(500, 95, rate="7"))},
    ],
)
def test_sums_that_do_not_add_up_are_refused(change):
    with pytest.raises(ValueError, match="2026-000001"):
        document(**change)


def test_several_rates_and_a_discount_add_up():
    lines = (line(1500, 285), line(-500, -95), line(200, 14, "7.0"), line(300, 0, "0"))
    one = document(
        lines=lines, taxes=(total(), total(200, 14, "7")), net_minor=1500, tax_minor=204, total_minor=1704
    )
    assert InvoiceDocument.from_json(one.to_json()) == one


def test_without_tax_there_need_be_no_total_of_it():
    one = document(lines=(line(1000, 0, "0"),), taxes=(), tax_minor=0, total_minor=1000)
    assert one.total_minor == 1000
    with_text = document(
        lines=(line(1000, 0, "0"),), taxes=(total(1000, 0, "0"),), tax_minor=0, total_minor=1000
    )
    assert with_text.taxes[0].label == "VAT 0 %"


def test_a_credit_note_names_what_it_corrects_and_an_invoice_nothing():
    assert document(kind="credit_note", corrects="2026-000001", number="C-1").corrects == "2026-000001"
    with pytest.raises(ValueError, match="credit note"):
        document(kind="credit_note")
    with pytest.raises(ValueError, match="credit note"):
        document(corrects="2026-000001")


def test_a_line_does_not_end_before_it_begins_and_is_about_something():
    with pytest.raises(ValueError, match="ends before"):
        line(from_on=date(2026, 2, 1), until_on=date(2026, 1, 31))
    with pytest.raises(ValueError, match="nothing"):
        line(quantity=0)


@pytest.mark.parametrize(
    "change",
    [
        {"net_minor": 1000.0},
        {"kind": "receipt"},
        {"unknown": 1},
        {"issued_on": "yesterday"},
        {"seller": None},
    ],
)
def test_what_is_of_another_shape_is_not_read(change):
    with pytest.raises(ValueError, match="no document"):
        InvoiceDocument.from_json({**document().to_json(), **change})


def test_a_float_is_found_before_it_is_kept():
    with pytest.raises(ValueError, match="no document"):
        document(net_minor=1000.0).to_json()
