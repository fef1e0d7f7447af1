"""Paying an order by card: to Stripe's page and back, however often somebody clicks and whatever fails in between."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Notice, Role, User
from billing import card_payments, hosted_pages, stripe_gateway
from billing.models import Checkout, Order, Payment
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import StripeDesk, catch_up

AsPerson = Callable[[User], Client]


def click(client: Client, order: Order) -> Any:
    return client.post(f"/order/{order.number}/pay/")


def later() -> None:
    """As if the last look at Stripe were seconds ago."""
    Checkout.objects.update(looked_at=timezone.now() - timedelta(seconds=3))


def come_back(client: Client, order: Order) -> str:
    """The order's page as the browser shows it that comes back from Stripe."""
    return client.get(f"/order/{order.number}/paid/", follow=True).content.decode()


def test_works(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User, as_: AsPerson, settings: Any
) -> None:
    client = as_(alice)
    assert "Pay by card" in client.get(unpaid.get_absolute_url()).content.decode()
    answer = click(client, unpaid)
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{stripe.books.base}/c/pay/cs_test_")
    back = stripe.pay(answer["Location"])
    assert back.headers["Location"] == f"{settings.PANEL_URL}/order/{unpaid.number}/paid/"
    html = come_back(client, unpaid)
    assert 'data-status="active"' in html
    assert "your payment is in" in html
    assert "By card at Stripe: Visa 4242." in html
    [payment] = fresh(unpaid).payments.all()
    assert (payment.method, payment.amount_minor, payment.card, payment.by) == (
        "card",
        5900,
        "Visa 4242",
        None,
    )
    assert AuditEntry.objects.get(action="payment.receive").after["amount"] == "59.00 USD"
    assert Notice.objects.filter(kind="order.active").count() == 1
    assert stripe.kept_minor == 5900
    review = as_(sam).get(f"/admin/review/{unpaid.number}/").content.decode()
    assert f"By card at Stripe: Visa 4242. {payment.reference}" in review


def test_a_stranger_gets_404(stripe: StripeDesk, unpaid: Order, mallory: User, as_: AsPerson) -> None:
    assert click(as_(mallory), unpaid).status_code == 404
    assert as_(mallory).get(f"/order/{unpaid.number}/paid/").status_code == 404
    assert not stripe.sessions()


def test_a_reader_gets_403(stripe: StripeDesk, unpaid: Order, bob: User, as_: AsPerson) -> None:
    unpaid.customer.add_member(bob, Role.READER, by=None)
    assert click(as_(bob), unpaid).status_code == 403
    assert "can pay by card here" in as_(bob).get(unpaid.get_absolute_url()).content.decode()
    assert not stripe.sessions()


def test_twice_leads_to_the_same_page(stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson) -> None:
    first, second = (click(as_(alice), unpaid)["Location"] for _ in range(2))
    assert first == second
    assert len(stripe.sessions()) == Checkout.objects.count() == 1


def test_a_click_after_paying_finds_it_paid(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    stripe.pay(click(as_(alice), unpaid)["Location"])
    answer = click(as_(alice), unpaid)
    assert answer.status_code == 409
    assert "this order is active" in answer.content.decode()
    assert (stripe.charges, Payment.objects.count()) == (1, 1)


def test_who_comes_back_without_paying_is_told_so(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    url = click(as_(alice), unpaid)["Location"]
    stripe.pay(url, "4000000000000002")
    assert "Nothing was paid by card" in come_back(as_(alice), unpaid)
    assert fresh(unpaid).status == "unpaid"
    stripe.pay(url)
    later()
    come_back(as_(alice), unpaid)
    assert fresh(unpaid).status == "active"


def test_another_sum_is_another_page(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    click(as_(alice), unpaid)
    pay(unpaid, "20.00", by=sam)
    stripe.pay(click(as_(alice), unpaid)["Location"])
    assert [(each["amount_total"], each["status"]) for each in stripe.sessions()] == [
        (3900, "complete"),
        (5900, "expired"),
    ]
    come_back(as_(alice), unpaid)
    assert fresh(unpaid).status == "active"


def test_another_sum_right_after_a_look_is_another_page(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    click(as_(alice), unpaid)
    come_back(as_(alice), unpaid)
    pay(unpaid, "20.00", by=sam)
    asked = []
    find = card_payments._open_for
    monkeypatch.setattr(card_payments, "_open_for", lambda *args, **by: asked.append(1) or find(*args, **by))
    assert click(as_(alice), unpaid).status_code == 302
    assert [each["amount_total"] for each in stripe.sessions("open")] == [3900]
    assert len(asked) == 2


def test_a_page_that_expired_is_another_page(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    first = click(as_(alice), unpaid)["Location"]
    stripe.books.advanced = 25 * 3600
    assert click(as_(alice), unpaid)["Location"] != first


@pytest.mark.parametrize("fault", ["lost", "unreached", "429", "500", "500-after"])
def test_stripe_is_away_for_a_moment(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson, fault: str
) -> None:
    stripe.fail("POST /v1/checkout/sessions", fault)
    answer = click(as_(alice), unpaid)
    assert answer.status_code == 503
    assert "try again in a minute" in answer.content.decode()
    stripe.pay(click(as_(alice), unpaid)["Location"])
    come_back(as_(alice), unpaid)
    assert fresh(unpaid).status == "active"
    assert stripe.kept_minor == 5900


def test_stripe_is_away_when_somebody_comes_back(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    stripe.pay(click(as_(alice), unpaid)["Location"])
    stripe.fail("GET /v1/checkout/sessions", "unreached")
    assert "We have not heard from Stripe yet" in come_back(as_(alice), unpaid)
    catch_up()
    assert fresh(unpaid).status == "active"


def test_reloading_asks_stripe_no_second_time_at_once(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted_pages, "BETWEEN", timedelta(minutes=1))
    click(as_(alice), unpaid)
    looks: list[str] = []
    look = stripe_gateway.look_at_checkout

    def counted(session: str) -> Any:
        looks.append(session)
        return look(session)

    monkeypatch.setattr(stripe_gateway, "look_at_checkout", counted)
    assert "Nothing was paid by card" in come_back(as_(alice), unpaid)
    for _ in range(3):
        assert "We have not heard from Stripe yet" in come_back(as_(alice), unpaid)
        assert click(as_(alice), unpaid).status_code == 302
    assert len(looks) == 1
    soon = Checkout.objects.get().next_look_at
    assert soon
    assert soon < timezone.now() + timedelta(seconds=61)
    Checkout.objects.update(looked_at=timezone.now() - timedelta(minutes=2))
    come_back(as_(alice), unpaid)
    assert len(looks) == 2


def test_who_comes_back_reads_how_the_order_stands_now(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_payments, "learn_payment", lambda order: fresh(order).cancel(by=alice))
    html = come_back(as_(alice), unpaid)
    assert 'data-status="cancelled"' in html
    assert "You can try again" not in html


def test_without_a_key_nothing_is_offered(unpaid: Order, alice: User, as_: AsPerson, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    answer = as_(alice).get(unpaid.get_absolute_url())
    assert "Pay by card" not in answer.content.decode()
    assert "form-action 'self';" in answer["Content-Security-Policy"] + ";"
    assert click(as_(alice), unpaid).status_code == 409


def test_the_policy_of_the_page_lets_its_button_lead_to_stripe(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    policy = as_(alice).get(unpaid.get_absolute_url())["Content-Security-Policy"]
    assert f"form-action 'self' {stripe.books.base}" in policy


@pytest.mark.parametrize("end", ["review", "rejected", "cancelled", "active"])
def test_only_what_is_due_is_paid(
    stripe: StripeDesk, in_review: Order, alice: User, sam: User, as_: AsPerson, end: str
) -> None:
    if end == "rejected":
        in_review.reject("", by=sam)
    elif end == "cancelled":
        in_review.cancel(by=alice)
    elif end == "active":
        in_review.approve("", by=sam)
        pay(fresh(in_review), "59.00", by=sam)
    answer = click(as_(alice), in_review)
    assert answer.status_code == 409
    assert f"this order is {end}" in answer.content.decode()
    assert not stripe.sessions()


@pytest.mark.odd_rows
def test_an_odd_amount_has_no_button(stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson) -> None:
    Order.objects.filter(pk=unpaid.pk).update(currency="XAF", amount_minor=5950)
    assert "Pay by card" not in as_(alice).get(unpaid.get_absolute_url()).content.decode()
    answer = click(as_(alice), unpaid)
    assert answer.status_code == 409
    assert "This cannot be paid by card; pay in another way." in answer.content.decode()
    assert not stripe.sessions()


def test_what_stripe_refuses_for_good_is_paid_in_another_way(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    stripe.fail("POST /v1/checkout/sessions", "refused", code="amount_too_small")
    answer = click(as_(alice), unpaid)
    assert answer.status_code == 409
    assert "This cannot be paid by card; pay in another way." in answer.content.decode()


def test_an_address_that_stripe_takes_for_none_is_asked_for_there(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    Order.objects.filter(pk=unpaid.pk).update(email="anna@b\u00fccher.test")
    stripe.pay(click(as_(alice), unpaid)["Location"])
    come_back(as_(alice), unpaid)
    assert fresh(unpaid).status == "active"
    [customer] = stripe.books.all("customer")
    assert customer["email"] == "anna@example.test"  # as it was entered on Stripe's page
    assert Checkout.objects.count() == 1


def test_a_page_that_stripe_has_no_more_is_another_page(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is another account's now."""
    first = click(as_(alice), unpaid)["Location"]
    del stripe.books.objects[stripe.sessions()[0]["id"]]
    assert click(as_(alice), unpaid)["Location"] != first
    assert [bool(each.ended_at) for each in Checkout.objects.all()] == [False, True]
    assert "Stripe has no page cs_test_" in caplog.text


def test_get_is_405(stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson) -> None:
    assert as_(alice).get(f"/order/{unpaid.number}/pay/").status_code == 405
    assert as_(alice).post(f"/order/{unpaid.number}/paid/").status_code == 405


def test_staff_cannot_record_a_card(unpaid: Order, sam: User, as_: AsPerson) -> None:
    form = {"method": "card", "reference": "pi_1", "amount": "59.00", "currency": "USD"}
    assert as_(sam).post(f"/admin/review/{unpaid.number}/payment/", form).status_code == 422
