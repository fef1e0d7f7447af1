"""Amounts of money are integers, read and shown without a float in between."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from hypothesis import given
from hypothesis import strategies as st

from billing.models import Plan
from billing.money import MAX_MINOR, format_amount, parse_amount


@given(st.integers(1, MAX_MINOR), st.sampled_from(["USD", "JPY", "KWD"]))
def test_there_and_back(minor: int, currency: str) -> None:
    assert parse_amount(format_amount(minor, currency), currency) == minor


@pytest.mark.parametrize(("text", "minor"), [("59", 5900), ("59.5", 5950), ("59.05", 5905), (" 0.01 ", 1)])
def test_reading(text: str, minor: int) -> None:
    assert parse_amount(text, "USD") == minor


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "1,000.00", "+1", "1e3", "0x1", "1.001", "99999999999", "\uff11"]
)
def test_not_an_amount(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_amount(text, "USD")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong", [{"yearly_minor": 0}, {"currency": "usd"}, {"yearly_minor": None, "monthly_minor": None}]
)
@pytest.mark.odd_rows
def test_the_database_forbids_the_impossible(wrong: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        Plan.objects.filter(slug="10gb").update(**wrong)
