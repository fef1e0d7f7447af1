"""Billing details change while a renewal is to be paid: its invoice is taken back, and another says what is owed now."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Customer, User
from billing.models import CardOnFile, Invoice, Renewal
from billing.models.billing_details import ADDRESS, change_details, details_of
from billing.models.sale import EDITIONS
from foundation.unit_of_work import unit_of_work
from tests.billing.renewed import NEXT, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk


def move(customer: Customer, country: str, *, by: User) -> None:
    """The customer's billing address is in another country now."""
    address = {field: getattr(details_of(customer), field) for field in ADDRESS}
    with unit_of_work():
        change_details(customer, {**address, "country": country, "postcode": "75001"}, by=by)


@pytest.fixture
def announced(taxed: Any, anna: Customer, visa: CardOnFile) -> Renewal:
    """With German tax."""
    live(anna, NEXT.replace(day=7), NEXT.replace(day=9))
    renewal = newest(anna)
    assert renewal.total_minor == 7021
    return renewal


def test_the_new_tax_is_charged(stripe: StripeDesk, announced: Renewal, anna: Customer, alice: User) -> None:
    with on_day(NEXT.replace(day=10)):
        move(anna, "FR", by=alice)
    renewal = newest(anna)
    assert (renewal.pk, renewal.total_minor, renewal.tax_country) == (announced.pk, 7080, "FR")
    first, note, second = Invoice.objects.filter(renewal=renewal).order_by("issued_at")
    assert (note.corrects, second.total_minor, renewal.invoice) == (first, 7080, second)
    live(anna, NEXT.replace(day=11), NEXT)
    assert newest(anna).settled_at
    assert stripe.kept_minor == 7080


def test_what_is_paid_stays(announced: Renewal, anna: Customer, alice: User, sam: User) -> None:
    pay(announced, by=sam)
    with on_day(NEXT.replace(day=10)):
        move(anna, "FR", by=alice)
    assert newest(anna).total_minor == 7021


def test_not_for_ever(announced: Renewal, anna: Customer, alice: User) -> None:
    with on_day(NEXT.replace(day=10)):
        for number in range(EDITIONS - 1):
            move(anna, ("FR", "DE")[number % 2], by=alice)
        with pytest.raises(ValidationError):
            move(anna, ("FR", "DE")[(EDITIONS - 1) % 2], by=alice)
    assert Invoice.objects.filter(renewal=announced, corrects=None).count() == EDITIONS
