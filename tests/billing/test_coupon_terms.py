"""What a coupon takes off, against fractions; and that invoice, credit notes and ledger say the same to the cent."""

from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoicing import _lines, _part_of, _share
from billing.models import Coupon, CouponUse
from billing.tax import split
from tests.billing.test_invoice_document import document, total

PRICES = st.integers(1, 10**7)
RATES = st.sampled_from(["0", "5.5", "8.1", "19", "20", "25.5", "27"])


@given(price=PRICES, percent=st.integers(1, 99))
def test_per_cent_is_rounded_half_up_and_leaves_something_to_pay(price: int, percent: int) -> None:
    exact = Fraction(price * percent, 100)
    half_up = int(exact + Fraction(1, 2))
    off = Coupon(percent=percent).off(price, "USD")
    assert off == (half_up if half_up < price else 0)
    assert 0 <= off < price


@given(price=PRICES, amount=st.integers(1, 10**7))
def test_an_amount_never_takes_all(price: int, amount: int) -> None:
    coupon = Coupon(amount_minor=amount, currency="USD")
    assert coupon.off(price, "USD") == (amount if amount < price else 0)
    assert coupon.off(price, "EUR") == 0


@pytest.mark.parametrize(
    ("price", "percent", "off"),
    [(5900, 20, 1180), (1, 50, 0), (2, 50, 1), (3, 50, 2), (1, 99, 0), (50, 99, 0), (51, 99, 50), (5, 1, 0)],
)
def test_where_it_is_close(price: int, percent: int, off: int) -> None:
    assert Coupon(percent=percent).off(price, "USD") == off


@given(first=st.integers(0, 50), periods=st.none() | st.integers(1, 50), number=st.integers(0, 150))
def test_periods_are_counted_from_the_first(first: int, periods: int | None, number: int) -> None:
    use = CouponUse(percent=10, first_period=first, periods=periods)
    promised = set(range(first, first + periods)) if periods else set(range(first, 151))
    assert use.holds_for(number) == (number in promised)
    left = use.left_from(number)
    assert left is None if periods is None else left == len([each for each in promised if each >= number])


@given(full=st.integers(2, 10**7), percent=st.integers(1, 99), rate=RATES, part=st.integers(1, 10**7))
def test_lines_and_parts_add_up(full: int, percent: int, rate: str, part: int) -> None:
    """The document refuses sums that do not; a credit note over a part of it stands as well."""
    use = CouponUse(percent=percent, code="X")
    off = use.off(full, "USD")
    sale: Any = SimpleNamespace(
        list_minor=full,
        discount_minor=off,
        coupon_use=use,
        tax_rate=Decimal(rate),
        covers=None,
        unpaid_days=None,
        title="10 GB",
    )
    lines = _lines(sale, rate)
    paid = split(full - off, Decimal(rate))
    assert sum(line.net_minor for line in lines) == paid.net
    assert sum(line.tax_minor for line in lines) == paid.tax
    assert len(lines) == (2 if off else 1)
    said = document(
        lines=lines, taxes=(total(paid.net, paid.tax, rate),), net_minor=paid.net, tax_minor=paid.tax,
        total_minor=paid.total,
    )  # fmt: skip
    taken = min(part, paid.total)
    share = _share(said, paid, taken)
    assert share.total == taken
    assert 0 <= share.net <= paid.net
    assert 0 <= share.tax <= paid.tax
    _part_of(said, share)
