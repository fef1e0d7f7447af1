"""Staff make and change coupons, and see who used them and what they gave."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from billing.models import Coupon, Order
from tests.billing.coupons import coupon

AsPerson = Callable[[User], Client]
FIELDS = {
    "code": "spring-20", "percent": "20", "amount_minor": "", "currency": "USD", "periods": "2", "most_uses": "",
    "once_each": "on", "valid_from_on": "", "valid_until_on": "", "is_active": "on",
}  # fmt: skip


def test_a_manager_makes_and_changes_one(as_: AsPerson, staff_of: Callable[[str], User]) -> None:
    manager = staff_of("manager")
    assert as_(manager).post("/admin/billing/coupon/add/", FIELDS).status_code == 302
    made = Coupon.objects.get()
    assert (made.code, made.percent, made.periods) == ("SPRING-20", 20, 2)
    page = f"/admin/billing/coupon/{made.pk}/change/"
    assert as_(manager).post(page, FIELDS | {"percent": "30"}).status_code == 302
    entries = AuditEntry.objects.filter(action__startswith="coupon.").order_by("at")
    assert [(entry.action, entry.by, entry.after["percent"]) for entry in entries] == [
        ("coupon.add", manager, 20), ("coupon.change", manager, 30)
    ]  # fmt: skip
    assert as_(manager).post(f"/admin/billing/coupon/{made.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "ABC-5"), ("code", "A B C"), ("code", "ÄÄÄÄ"), ("code", "A" * 41), ("percent", "0"), ("percent", "100"),
        ("percent", ""), ("amount_minor", "500"), ("periods", "0"), ("most_uses", "0"), ("currency", "us"),
        ("currency", "U$D"), ("currency", "ÄÖÜ"), ("currency", ""), ("valid_until_on", "2000-01-01"),
    ],
)  # fmt: skip
def test_wrong_terms_are_refused(as_: AsPerson, sam: User, field: str, value: str) -> None:
    sent = FIELDS | {"valid_from_on": "2026-01-01", field: value}
    answer = as_(sam).post("/admin/billing/coupon/add/", sent)
    assert answer.status_code == 200
    html = answer.content.decode()
    assert "errorlist" in html
    assert "is violated" not in html
    assert not Coupon.objects.exists()


def test_small_letters_of_a_currency_count_as_capitals(as_: AsPerson, sam: User) -> None:
    sent = FIELDS | {"currency": " usd", "percent": "", "amount_minor": "500"}
    assert as_(sam).post("/admin/billing/coupon/add/", sent).status_code == 302
    assert Coupon.objects.get().value == "5.00 USD"


def test_a_code_is_there_once(as_: AsPerson, sam: User) -> None:
    coupon()
    assert as_(sam).post("/admin/billing/coupon/add/", FIELDS).status_code == 200
    assert Coupon.objects.count() == 1


@pytest.mark.parametrize("role", ["reviewer", "support"])
def test_others_of_the_staff_see_them_and_change_nothing(
    as_: AsPerson, staff_of: Callable[[str], User], role: str
) -> None:
    made = coupon()
    client = as_(staff_of(role))
    assert client.get(f"/admin/billing/coupon/{made.pk}/change/").status_code == 200
    assert client.post(f"/admin/billing/coupon/{made.pk}/change/", FIELDS).status_code == 403
    assert client.post("/admin/billing/coupon/add/", FIELDS).status_code == 403


def test_uses_and_what_was_given(
    ordered: Callable[..., Order], as_: AsPerson, alice: User, sam: User, person: Callable[..., User],
    django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    made = coupon()
    orders = [ordered(by=person(f"p{number}@example.test"), coupon=made.code) for number in range(3)]
    orders[0].cancel(by=orders[0].placed_by)
    client = as_(sam)
    page = client.get(f"/admin/billing/coupon/{made.pk}/change/").content.decode()
    assert "23.60 USD" in page
    assert f'href="/admin/billing/couponuse/?coupon__id__exact={made.pk}">2</a>' in page
    with django_assert_max_num_queries(16):
        uses = client.get(f"/admin/billing/couponuse/?coupon__id__exact={made.pk}").content.decode()
    assert uses.count("11.80 USD") == 2
    assert uses.count("0.00 USD") == 1
