"""What the PDF of an ordinary invoice costs: three lines, one tax, a note, in a process that has drawn some before."""

import time
from datetime import date
from statistics import median

from billing.invoice_document import InvoiceDocument, Line, Party, TaxTotal
from billing.invoice_pdf import invoice_pdf
from tests.bench.figures import figure
from tests.bench.stack import Stack

WARM_UP, TIMES = 5, 50


def run(stack: Stack) -> None:
    document = ordinary()
    for _ in range(WARM_UP):
        invoice_pdf(document)
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        invoice_pdf(document)
        times.append((time.perf_counter() - began) * 1_000)
    figure("PDF of an invoice, warm p50", median(times), "ms", n=TIMES, goal="<= 60 ms")


def ordinary() -> InvoiceDocument:
    days = {"from_on": date(2026, 1, 31), "until_on": date(2027, 1, 30)}
    lines = (
        Line(text="100 GB of mail storage, yearly", net_minor=11900, tax_rate="19", tax_minor=2261, **days),
        Line(text="Coupon WELCOME, 10 %", net_minor=-1190, tax_rate="19", tax_minor=-226),
        Line(text="Days left of 50 GB", net_minor=-1500, tax_rate="19", tax_minor=-285),
    )
    return InvoiceDocument(
        number="2026-004711",
        kind="invoice",
        issued_on=date(2026, 1, 24),
        due_on=date(2026, 1, 31),
        currency="EUR",
        seller=Party(
            name="Example Mail GmbH",
            street="Postweg 1",
            city="Bonn",
            postcode="53111",
            country="DE",
            vat_id="DE123456789",
            email="billing@mail.example",
        ),
        buyer=Party(
            name="Jürgen Groß",
            company="Łódź Fabryka Sp. z o.o.",
            street="ul. Piotrkowska 104",
            city="Łódź",
            postcode="90-926",
            country="PL",
        ),
        reference="PO 2026/17",
        lines=lines,
        taxes=(TaxTotal(label="VAT 19 %", rate="19", net_minor=9210, tax_minor=1750),),
        net_minor=9210,
        tax_minor=1750,
        total_minor=10960,
        notes=("Paid by card on the day on which it is due. There is nothing to do.",),
    )
