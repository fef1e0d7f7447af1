"""The rates in the database: what is seeded, what staff may do, what nobody can change."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from billing.models import TaxRate
from billing.tax import EU

pytestmark = pytest.mark.django_db
AsPerson = Callable[[User], Client]


def new(as_: AsPerson, by: User, **changes: Any) -> Any:
    day = timezone.now().date() + timedelta(days=30)
    fields = {"country": "DE", "rate": "20.00", "label": "VAT", "from_on": day.isoformat()} | changes
    return as_(by).post("/admin/billing/taxrate/add/", fields)


def test_every_member_state_has_a_rate_from_the_start() -> None:
    rates = {row.country: row for row in TaxRate.objects.all()}
    assert set(rates) == EU | {"GB"}
    assert all(
        row.rate >= 15 and row.has_begun for row in rates.values()
    )  # the Directive's least, its Article 97
    known = {"DE": "19", "HU": "27", "LU": "17", "FI": "25.5", "EE": "24", "RO": "21", "SK": "23", "GR": "24"}
    assert {country: rates[country].rate for country in known} == {
        country: Decimal(rate) for country, rate in known.items()
    }
    assert rates["EE"].from_on == date(2025, 7, 1)


def test_a_manager_adds_what_comes_and_it_is_audited(as_: AsPerson, staff_of: Callable[[str], User]) -> None:
    manager = staff_of("manager")
    assert new(as_, manager).status_code == 302
    row = TaxRate.objects.get(rate=20, country="DE")
    assert not row.has_begun
    entry = AuditEntry.objects.get(action="taxrate.add")
    assert (entry.by, entry.after["rate"]) == (manager, "20.00")
    page = f"/admin/billing/taxrate/{row.pk}"
    fields = {"country": "DE", "rate": "20.50", "label": "VAT", "from_on": row.from_on.isoformat()}
    assert as_(manager).post(f"{page}/change/", fields).status_code == 302
    assert AuditEntry.objects.get(action="taxrate.change").after == {"rate": "20.50"}
    assert as_(manager).post(f"{page}/delete/", {"post": "yes"}).status_code == 302
    assert AuditEntry.objects.filter(action="taxrate.delete").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("country", "XX"), ("rate", "-1"), ("rate", "101"), ("rate", "19.123"), ("rate", "NaN"), ("from_on", "soon")],
)  # fmt: skip
def test_wrong_values_are_refused(as_: AsPerson, sam: User, field: str, value: str) -> None:
    before = TaxRate.objects.count()
    assert new(as_, sam, **{field: value}).status_code == 200
    assert TaxRate.objects.count() == before


@pytest.mark.parametrize("days", [0, -400])
def test_a_rate_is_not_dated_back(as_: AsPerson, sam: User, days: int) -> None:
    day = (timezone.now().date() + timedelta(days=days)).isoformat()
    answer = new(as_, sam, from_on=day)
    assert "begins tomorrow at the earliest" in answer.content.decode()
    assert not TaxRate.objects.filter(rate=20, country="DE").exists()
    assert new(as_, sam, country="NO", from_on=day).status_code == 302  # the first of its country


def test_one_rate_a_day_and_country(as_: AsPerson, sam: User) -> None:
    assert new(as_, sam).status_code == 302
    assert new(as_, sam).status_code == 200
    assert TaxRate.objects.filter(rate=20, country="DE").count() == 1


@pytest.mark.parametrize("role", ["reviewer", "support", "operator"])
def test_others_of_the_staff_change_nothing(
    as_: AsPerson, staff_of: Callable[[str], User], role: str
) -> None:
    assert new(as_, staff_of(role)).status_code == 403


def test_what_has_begun_is_shown_and_not_offered_for_change(as_: AsPerson, sam: User) -> None:
    row = TaxRate.objects.get(country="DE")
    page = f"/admin/billing/taxrate/{row.pk}"
    assert as_(sam).get(f"{page}/change/").status_code == 200
    fields = {"country": "DE", "rate": "1.00", "label": "VAT", "from_on": row.from_on.isoformat()}
    assert as_(sam).post(f"{page}/change/", fields).status_code == 403
    assert as_(sam).post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    as_(sam).post("/admin/billing/taxrate/", chosen)
    row.refresh_from_db()
    assert row.rate == 19


def test_the_database_refuses_to_change_what_has_begun() -> None:
    row = TaxRate.objects.get(country="DE")
    for change in (lambda: TaxRate.objects.filter(pk=row.pk).update(rate=7), row.delete):
        with pytest.raises(IntegrityError, match="has begun"), transaction.atomic():
            change()
    row.save()  # the same again changes nothing
    row.refresh_from_db()
    assert row.rate == 19
