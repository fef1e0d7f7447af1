"""Ending a service when what is paid is over, or now, and letting it go on after all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing.models import CardOnFile, Invoice, Renewal, Subscription
from tests.billing.renewed import NEXT, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk, catch_up, mails

AsPerson = Callable[[User], Client]
URL = "/c/annaexampl/billing/cancel/"
GO_ON = "/c/annaexampl/billing/go-on/"


def day(number: int) -> date:
    return NEXT + timedelta(days=number)


def again(service: Subscription) -> Subscription:
    return Subscription.objects.get(pk=service.pk)


class TestWorks:
    def test_it_ends_when_what_is_paid_is_over(
        self,
        stripe: StripeDesk,
        service: Subscription,
        anna: Customer,
        visa: CardOnFile,
        alice: User,
        as_: AsPerson,
    ) -> None:
        with on_day(day(-30)):
            assert "until 15 March 2028" in as_(alice).get(URL).content.decode()
            answer = as_(alice).post(URL, {"when": "end"})
            assert (answer.status_code, answer["Location"]) == (302, "/c/annaexampl/billing/")
            (told,) = mails("subscription.cancelled")
        assert "goes on until 15 March 2028" in told.body
        live(anna, day(-30), day(-1))
        assert again(service).ended_at is None
        live(anna, day(0), day(1))
        ended = again(service)
        assert ended.ended_at
        assert (ended.ended_at.date(), ended.next_step_at) == (NEXT, None)
        anna.refresh_from_db()
        assert anna.status == "ended"
        assert not Renewal.objects.exists()
        assert stripe.charges == 0
        with on_day(day(1)):
            (told,) = mails("subscription.ended")
        assert told.subject == "10 GB has ended"

    def test_it_ends_now(self, service: Subscription, anna: Customer, alice: User, as_: AsPerson) -> None:
        with on_day(day(-30)):
            answer = as_(alice).post(URL, {"when": "now", "name": "annaexampl"})
        assert answer.status_code == 302
        assert again(service).ended_at
        anna.refresh_from_db()
        assert anna.ended_at
        assert AuditEntry.objects.get(action="subscription.cancel").after == {"ends": "now"}

    def test_what_was_announced_is_taken_back(
        self,
        stripe: StripeDesk,
        service: Subscription,
        anna: Customer,
        visa: CardOnFile,
        alice: User,
        as_: AsPerson,
    ) -> None:
        live(anna, day(-8), day(-3))
        with on_day(day(-3)):
            as_(alice).post(URL, {"when": "end"})
        (invoice, note) = Invoice.objects.filter(renewal__isnull=False).order_by("issued_at")
        assert (note.corrects, note.total_minor) == (invoice, 5900)
        live(anna, day(-3), day(1))
        assert again(service).ended_at
        assert stripe.charges == 0

    def test_it_goes_on_after_all(
        self,
        stripe: StripeDesk,
        service: Subscription,
        anna: Customer,
        visa: CardOnFile,
        alice: User,
        as_: AsPerson,
    ) -> None:
        live(anna, day(-8), day(-3))
        with on_day(day(-3)):
            as_(alice).post(URL, {"when": "end"})
            page = as_(alice).post(GO_ON, follow=True).content.decode()
        assert "The service goes on, and is renewed on 15 March 2028." in page
        live(anna, day(-3), day(1))
        assert again(service).ended_at is None
        assert newest(anna).from_on == NEXT
        assert newest(anna).settled_at
        assert stripe.charges == 1


def test_a_stranger_gets_404(service: Subscription, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).post(URL, {"when": "end"}).status_code == 404
    assert as_(mallory).post(GO_ON).status_code == 404
    assert not again(service).cancellation


def test_a_reader_gets_403(service: Subscription, anna: Customer, bob: User, as_: AsPerson) -> None:
    anna.add_member(bob, "reader", by=None)
    assert as_(bob).post(URL, {"when": "end"}).status_code == 403
    assert not again(service).cancellation


def test_twice_is_harmless(service: Subscription, alice: User, as_: AsPerson) -> None:
    for _ in range(2):
        again(service).cancel(by=alice)
    assert AuditEntry.objects.filter(action="subscription.cancel").count() == 1
    for _ in range(2):
        as_(alice).post(GO_ON)
    assert AuditEntry.objects.filter(action="subscription.go_on").count() == 1


def test_now_wants_the_name(service: Subscription, alice: User, as_: AsPerson) -> None:
    answer = as_(alice).post(URL, {"when": "now", "name": "other"})
    assert answer.status_code == 422
    assert "Type annaexampl to end the service now." in answer.content.decode()
    assert not again(service).cancellation


def test_what_is_late_ends_now_and_costs_nothing(
    service: Subscription, anna: Customer, alice: User, as_: AsPerson
) -> None:
    live(anna, day(-8), day(12))
    assert anna.suspensions.in_force().exists()
    with on_day(day(12)):
        assert "is not paid. If you cancel, the service ends" in as_(alice).get(URL).content.decode()
        as_(alice).post(URL, {"when": "now", "name": "annaexampl"})
    assert again(service).ended_at
    assert not anna.suspensions.in_force().exists()
    assert newest(anna).invoice
    assert newest(anna).taken_back_at


def test_what_is_paid_in_part_is_for_staff(
    service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    live(anna, day(-8), day(-3))
    pay(newest(anna), "10.00", by=sam)
    with on_day(day(-3)):
        answer = as_(alice).post(URL, {"when": "end"})
    assert answer.status_code == 422
    assert "10.00 USD were paid for the renewal already" in answer.content.decode()
    assert not again(service).cancellation
    with pytest.raises(ValidationError):
        again(service).cancel(by=alice)


def test_what_was_paid_on_a_page_that_was_open_goes_back(
    stripe: StripeDesk, service: Subscription, anna: Customer, alice: User
) -> None:
    from billing import card_payments

    live(anna, day(-8), day(-3))
    with on_day(day(-3)):
        url = card_payments.pay_by_card(newest(anna), by=alice)
        again(service).cancel(by=alice)
        stripe.pay(url)
        catch_up()
        catch_up()
    assert stripe.charges == 1
    assert stripe.kept_minor == 0


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_is_renewed_at_the_same_moment_is_locked_first(
    service: Subscription, anna: Customer, alice: User, quiet_broker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody locks the renewal first; somebody sold one after it was looked for."""
    lock, looks = Subscription._lock_to_end, []

    def renew() -> None:
        try:
            assert again(service).renew()
        finally:
            connection.close()

    def looked(self: Subscription) -> Any:
        looks.append(Renewal.objects.count())
        return lock(self)

    def once(queryset: Any, **more: Any) -> Any:
        if len(looks) == 1 and queryset.model is Customer and not Renewal.objects.exists():
            with ThreadPoolExecutor(1) as other:
                other.submit(renew).result(10)
        return select_for_update(queryset, **more)

    select_for_update = QuerySet.select_for_update
    monkeypatch.setattr(Subscription, "_lock_to_end", looked)
    with on_day(day(-3)):
        monkeypatch.setattr(QuerySet, "select_for_update", once)
        again(service).cancel(by=alice)
    assert looks == [0, 1]
    assert newest(anna).taken_back_at
