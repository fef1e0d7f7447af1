"""What tax a sale bears: every case of the rules, and arithmetic that loses no cent. Needs no database."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.tax import (
    EU,
    BuyerTax,
    NoRate,
    Rate,
    SellerTax,
    Split,
    TaxDecision,
    TaxedPrice,
    TaxKind,
    split,
    split_lines,
    tax_area,
    tax_for,
)

TODAY = date(2026, 6, 1)
RATES = [
    Rate("DE", Decimal(19), "VAT", date(2021, 1, 1)),
    Rate("DE", Decimal(16), "VAT", date(2020, 7, 1)),
    Rate("DE", Decimal(21), "VAT", date(2027, 1, 1)),
    Rate("FR", Decimal(20), "TVA", date(2014, 1, 1)),
    Rate("FI", Decimal("25.5"), "VAT", date(2024, 9, 1)),
    Rate("GB", Decimal(20), "VAT", date(2011, 1, 4)),
    Rate("CH", Decimal("8.1"), "MWST", date(2024, 1, 1)),
    Rate("GR", Decimal(24), "VAT", date(2016, 6, 1)),
]
GERMAN = SellerTax(True, "DE")
K = TaxKind


@pytest.mark.parametrize(
    ("seller", "buyer", "kind", "rate", "country"),
    [
        (SellerTax(False, "DE"), BuyerTax("DE"), K.OFF, 0, ""),
        (GERMAN, BuyerTax("DE"), K.DOMESTIC, 19, "DE"),
        (GERMAN, BuyerTax("DE", is_business=True), K.DOMESTIC, 19, "DE"),
        (GERMAN, BuyerTax("FI"), K.DESTINATION, Decimal("25.5"), "FI"),
        (SellerTax(True, "DE", uses_oss=False), BuyerTax("FI"), K.ORIGIN, 19, "DE"),
        (GERMAN, BuyerTax("FI", is_business=True), K.REVERSE_CHARGE, 0, "FI"),
        (SellerTax(True, "DE", uses_oss=False), BuyerTax("GR", is_business=True), K.REVERSE_CHARGE, 0, "GR"),
        (GERMAN, BuyerTax("US"), K.OUTSIDE, 0, ""),
        (GERMAN, BuyerTax("GB", "BT1 5GS"), K.OUTSIDE, 0, ""),  # Northern Ireland: services, not goods
        (GERMAN, BuyerTax("MC", "98000"), K.DESTINATION, 20, "FR"),
        (GERMAN, BuyerTax("FR", "98000"), K.DESTINATION, 20, "FR"),
        (GERMAN, BuyerTax("MC", is_business=True), K.REVERSE_CHARGE, 0, "FR"),
        (GERMAN, BuyerTax("ES", "35 001"), K.OUTSIDE, 0, ""),
        (GERMAN, BuyerTax("ES", "35001", is_business=True), K.OUTSIDE, 0, ""),
        (GERMAN, BuyerTax("DE", "D-27498"), K.OUTSIDE, 0, ""),
        (SellerTax(True, "FR"), BuyerTax("FR", "97400"), K.OUTSIDE, 0, ""),
        (SellerTax(True, "GB"), BuyerTax("IM"), K.DOMESTIC, 20, "GB"),
        (SellerTax(True, "GB"), BuyerTax("GB", is_business=True), K.DOMESTIC, 20, "GB"),
        (SellerTax(True, "CH"), BuyerTax("CH"), K.DOMESTIC, Decimal("8.1"), "CH"),
        (SellerTax(True, "CH"), BuyerTax("DE"), K.DESTINATION, 19, "DE"),
        (SellerTax(True, "CH", uses_oss=False), BuyerTax("DE"), K.UNREGISTERED, 0, ""),
        (SellerTax(True, "CH"), BuyerTax("DE", is_business=True), K.REVERSE_CHARGE, 0, "DE"),
        (SellerTax(True, "ES", "35001"), BuyerTax("ES", "35001"), K.OUTSIDE, 0, ""),
        (SellerTax(True, "ES", "35001", uses_oss=False), BuyerTax("DE"), K.UNREGISTERED, 0, ""),
    ],
)  # fmt: skip
def test_every_case(seller: SellerTax, buyer: BuyerTax, kind: TaxKind, rate: Decimal, country: str) -> None:
    found = tax_for(seller, buyer, TODAY, RATES)
    assert (found.kind, found.rate, found.country) == (kind, rate, country)


@pytest.mark.parametrize(
    ("country", "postcode", "area"),
    [
        ("ES", "38003", ""), ("ES", "51001", ""), ("ES", "52006", ""), ("ES", "28001", "ES"), ("ES", "3800", "ES"),
        ("FI", "22100", ""), ("FI", "FI-22100", ""), ("FI", "00100", "FI"), ("AX", "22100", "AX"),
        ("DE", "78266", ""), ("DE", "27498", ""), ("DE", "78267", "DE"),
        ("IT", "23041", ""), ("IT", "22061", ""), ("IT", "00184", "IT"),
        ("GR", "630 86", ""), ("GR", "10431", "GR"),
        ("FR", "97100", ""), ("FR", "97600", ""), ("FR", "98714", ""), ("FR", "98000", "FR"), ("FR", "75001", "FR"),
        ("MC", "98000", "FR"), ("IM", "IM1 1AA", "GB"),
        ("GB", "BT1 5GS", "GB"), ("JE", "JE2 3AB", "JE"), ("US", "35001", "US"),
        ("DE", "", "DE"), ("DE", "-", "DE"),
    ],
)  # fmt: skip
def test_what_a_postcode_says(country: str, postcode: str, area: str) -> None:
    assert tax_area(country, postcode) == area


@pytest.mark.parametrize(
    ("on", "rate"),
    [
        (date(2020, 7, 1), 16), (date(2020, 12, 31), 16), (date(2021, 1, 1), 19), (date(2026, 12, 31), 19),
        (date(2027, 1, 1), 21),
    ],
)  # fmt: skip
def test_the_rate_of_the_day_holds(on: date, rate: int) -> None:
    assert tax_for(GERMAN, BuyerTax("DE"), on, RATES).rate == rate


def test_a_missing_rate_is_said_and_never_taken_for_none() -> None:
    with pytest.raises(NoRate, match="No tax rate of DE is known for 2020-06-30"):
        tax_for(GERMAN, BuyerTax("DE"), date(2020, 6, 30), RATES)
    with pytest.raises(NoRate):
        tax_for(SellerTax(True, "NO"), BuyerTax("NO"), TODAY, RATES)


def test_an_invoice_says_what_it_has_to() -> None:
    note = tax_for(GERMAN, BuyerTax("FR", is_business=True), TODAY, RATES).note
    assert note.startswith("Reverse charge")
    assert "2006/112/EC" in note
    assert "Outside the scope of VAT" in tax_for(GERMAN, BuyerTax("US"), TODAY, RATES).note
    assert tax_for(GERMAN, BuyerTax("DE"), TODAY, RATES).note == ""


def test_it_reads_well() -> None:
    finnish = TaxDecision(TaxKind.DESTINATION, Decimal("25.50"), "VAT", "FI")
    price = TaxedPrice(split(5900, finnish.rate), "USD", finnish)
    assert (price.net, price.tax, price.total) == ("59.00 USD", "15.05 USD", "74.05 USD")
    assert finnish.words == "VAT 25.5%"
    assert TaxDecision(TaxKind.DOMESTIC, Decimal("20.00"), "TVA", "FR").words == "TVA 20%"
    assert TaxDecision(TaxKind.OUTSIDE).words == "No VAT"


@pytest.mark.parametrize(
    ("net", "rate", "tax"),
    [
        (50, "1", 1), (49, "1", 0), (-50, "1", -1), (5900, "19", 1121), (590, "19", 112), (1000, "8.1", 81),
        (2, "25", 1), (1, "25", 0), (10, "25.5", 3), (0, "19", 0), (5900, "0", 0),
    ],
)  # fmt: skip
def test_half_a_minor_unit_is_rounded_up(net: int, rate: str, tax: int) -> None:
    assert split(net, Decimal(rate)) == Split(net, tax)


AMOUNTS = st.integers(-(2**31), 2**31)
PER_CENT = st.decimals(0, 100, places=2)


@given(AMOUNTS, PER_CENT)
def test_net_and_tax_are_the_total_and_the_tax_is_the_nearest(net: int, rate: Decimal) -> None:
    parts = split(net, rate)
    assert parts.net + parts.tax == parts.total
    assert isinstance(parts.tax, int)
    assert abs(parts.tax * 10_000 - net * int(rate * 100)) <= 5_000


@given(AMOUNTS, PER_CENT)
def test_a_credit_takes_back_what_was_charged(net: int, rate: Decimal) -> None:
    assert split(-net, rate) == Split(-net, -split(net, rate).tax)


@given(st.lists(AMOUNTS, max_size=20), PER_CENT)
def test_the_lines_sum_up_to_the_tax_on_their_sum(nets: list[int], rate: Decimal) -> None:
    lines = split_lines(nets, rate)
    whole = split(sum(nets), rate)
    assert [line.net for line in lines] == nets
    assert sum(line.tax for line in lines) == whole.tax
    assert sum(line.total for line in lines) == whole.total
    for line in lines:
        assert abs(line.tax - split(line.net, rate).tax) <= 1


@given(AMOUNTS, PER_CENT)
def test_no_precision_of_the_moment_changes_it(net: int, rate: Decimal) -> None:
    with localcontext(prec=60):
        exact = int((Decimal(net) * rate / 100).quantize(Decimal(1), ROUND_HALF_UP))
    assert split(net, rate).tax == exact


def test_the_union_has_27_states() -> None:
    assert len(EU) == 27
    assert not EU & {"GB", "EL", "MC", "CH", "NO"}
