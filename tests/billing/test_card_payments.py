"""Whatever happens between a click and Stripe's reply: the sum at Stripe is the sum of the payments, and each starts one
service or goes back.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import notices
from accounts.models import AuditEntry, Notice, User
from billing import card_payments, card_refunds, hosted_pages
from billing.models import CardRefund, Checkout, Order, Payment
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import StripeDesk, catch_up, signed

AsPerson = Callable[[User], Client]


@pytest.fixture
def page(stripe: StripeDesk, unpaid: Order, alice: User) -> str:
    """The address of the page where the unpaid order is paid."""
    return card_payments.pay_by_card(unpaid, by=alice)


def sent_back_mail() -> mail.EmailMessage:
    mail.outbox.clear()
    assert notices.deliver(Notice.objects.get(kind="order.sent_back").pk)
    return mail.outbox[0]


def test_a_closed_tab_and_a_lost_webhook(stripe: StripeDesk, page: str, unpaid: Order) -> None:
    stripe.pay(page)
    catch_up()
    assert fresh(unpaid).status == "active"


def test_nothing_is_asked_before_it_is_due(stripe: StripeDesk, page: str, unpaid: Order) -> None:
    assert hosted_pages.due_pages(Checkout) == []
    Checkout.objects.update(next_look_at=timezone.now())
    [due] = hosted_pages.due_pages(Checkout)
    assert card_payments.look_at_checkout(due)
    assert not card_payments.look_at_checkout(due)


def test_an_open_page_is_looked_at_every_five_minutes(stripe: StripeDesk, page: str) -> None:
    for minutes in (1, 2, 4, 5, 5):
        Checkout.objects.update(next_look_at=timezone.now())
        [due] = hosted_pages.due_pages(Checkout)
        assert card_payments.look_at_checkout(due)
        gap = Checkout.objects.get().next_look_at
        assert gap
        assert timedelta(0) <= timezone.now() + timedelta(minutes=minutes) - gap < timedelta(seconds=20)


def test_a_look_that_is_asked_for_meanwhile_is_not_put_off(
    stripe: StripeDesk, page: str, unpaid: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, now = card_payments.look_at, timezone.now()

    def asked_for(checkout: Checkout) -> bool:
        found = look(checkout)
        Checkout.objects.update(next_look_at=now)
        return found

    monkeypatch.setattr(card_payments, "look_at", asked_for)
    Checkout.objects.update(next_look_at=now)
    assert card_payments.look_at_checkout(str(Checkout.objects.get().pk))
    assert Checkout.objects.get().next_look_at == now


def test_cancelled_while_being_paid(stripe: StripeDesk, page: str, unpaid: Order, alice: User) -> None:
    """The page is paid after the order was cancelled, before anybody could close it."""
    fresh(unpaid).cancel(by=alice)
    stripe.pay(page)
    catch_up()
    order = fresh(unpaid)
    assert (order.status, order.paid_minor, order.refund_minor) == ("cancelled", 0, 0)
    [refund] = order.card_refunds
    assert (refund.amount_minor, refund.reason) == (5900, "cancelled")
    assert (stripe.charges, stripe.kept_minor) == (1, 0)
    assert AuditEntry.objects.get(action="refund.send").after["amount"] == "59.00 USD"
    message = sent_back_mail()
    assert message.to == ["alice@example.test"]
    assert "We have sent back 59.00 USD that you had paid for it by card." in message.body
    assert "(Visa 4242)" in message.body


def test_cancelling_closes_the_page(stripe: StripeDesk, page: str, unpaid: Order, alice: User) -> None:
    fresh(unpaid).cancel(by=alice)
    catch_up()
    assert stripe.sessions()[0]["status"] == "expired"
    assert "This page is over" in stripe.pay(page).text
    assert not Checkout.objects.filter(ended_at=None).exists()


def test_paid_twice_by_two_ways(
    stripe: StripeDesk, page: str, unpaid: Order, sam: User, as_: AsPerson
) -> None:
    pay(unpaid, "59.00", by=sam)
    stripe.pay(page)
    catch_up()
    order = fresh(unpaid)
    assert (order.status, order.paid_minor, stripe.kept_minor) == ("active", 5900, 0)
    assert "was paid already when 59.00 USD came in by card as well" in sent_back_mail().body
    assert Notice.objects.filter(kind="order.active").count() == 1
    html = as_(sam).get(f"/admin/review/{order.number}/").content.decode()
    assert "59.00 USD sent back to the card" in html


def test_what_is_too_much_goes_back(stripe: StripeDesk, page: str, unpaid: Order, sam: User) -> None:
    """A part came in by the bank while somebody paid the whole sum by card."""
    pay(unpaid, "20.00", by=sam)
    stripe.pay(page)
    catch_up()
    order = fresh(unpaid)
    assert (order.status, order.paid_minor, stripe.kept_minor) == ("active", 5900, 3900)
    body = sent_back_mail().body
    assert "We do not need 20.00 USD of it" in body


def test_paid_in_review_starts_with_the_approval(looked_at_again: Order, sam: User) -> None:
    looked_at_again.approve("Fine", by=sam)
    assert fresh(looked_at_again).status == "active"


def test_paid_in_review_goes_back_with_the_rejection(
    stripe: StripeDesk, looked_at_again: Order, sam: User
) -> None:
    looked_at_again.reject("", by=sam)
    catch_up()
    assert (fresh(looked_at_again).refund_owed, stripe.kept_minor) == ("", 0)
    assert "have sent back 59.00 USD" in sent_back_mail().body
    notices.deliver(Notice.objects.get(kind="order.rejected").pk)
    assert "59.00 USD had come in for it. We send that back." in mail.outbox[-1].body


# Refunds


@pytest.fixture
def owed(stripe: StripeDesk, page: str, unpaid: Order, alice: User) -> CardRefund:
    """The card paid for an order that is cancelled."""
    fresh(unpaid).cancel(by=alice)
    stripe.pay(page)
    card_payments.learn_payment(unpaid)
    return CardRefund.objects.get()


def try_again(refund: CardRefund) -> bool:
    CardRefund.objects.filter(pk=refund.pk, next_try_at__isnull=False).update(next_try_at=timezone.now())
    return card_refunds.send_card_refund(str(refund.pk))


@pytest.mark.parametrize("fault", ["lost", "unreached", "409", "429", "500", "500-after"])
def test_a_refund_is_sent_once(stripe: StripeDesk, owed: CardRefund, fault: str) -> None:
    stripe.fail("POST /v1/refunds", fault)
    assert not try_again(owed)
    assert not Notice.objects.filter(kind="order.sent_back").exists()
    assert try_again(owed)
    assert not try_again(owed)
    assert len(stripe.books.all("refund")) == 1
    assert (stripe.kept_minor, Notice.objects.filter(kind="order.sent_back").count()) == (0, 1)


def test_a_reply_that_was_lost_a_week_ago(stripe: StripeDesk, owed: CardRefund) -> None:
    """Stripe has forgotten the key by then, so it is asked for the refund itself."""
    CardRefund.objects.update(amount_minor=100)
    stripe.fail("POST /v1/refunds", "lost")
    assert not try_again(owed)
    stripe.books.advanced = 7 * 24 * 3600
    assert try_again(owed)
    assert [refund["amount"] for refund in stripe.books.all("refund")] == [100]


def test_a_refund_that_stripe_refuses_is_for_staff(
    stripe: StripeDesk, owed: CardRefund, unpaid: Order, sam: User, as_: AsPerson
) -> None:
    stripe.fail("POST /v1/refunds", "refused", code="charge_disputed")
    assert not try_again(owed)
    order = fresh(unpaid)
    assert (order.refund_owed, order.card_refunds[0].problem) == (
        "59.00 USD",
        "Stripe refused the call: charge_disputed.",
    )
    client = as_(sam)
    assert order.number in client.get("/admin/review/?status=refund").content.decode()
    html = client.get(f"/admin/review/{order.number}/").content.decode()
    assert "59.00 USD could not go back to the card" in html
    client.post(f"/admin/review/{order.number}/refund/", {"reference": "By bank"})
    assert fresh(unpaid).refund_owed == ""
    assert order.number not in client.get("/admin/review/?status=refund").content.decode()


def test_a_refund_that_fails_days_later_is_for_staff(
    stripe: StripeDesk, owed: CardRefund, unpaid: Order, client: Client
) -> None:
    assert try_again(owed)
    [refund] = stripe.books.all("refund")
    refund["status"] = "failed"
    stripe.books.tell("refund.failed", refund)
    body, signature = signed(stripe.events()[-1])
    send = {"content_type": "application/json", "headers": {"Stripe-Signature": signature}}
    assert client.post("/stripe/webhook/", body, **send).status_code == 204
    catch_up()
    assert fresh(unpaid).refund_owed == "59.00 USD"


def test_more_than_an_active_order_costs_is_for_staff_where_it_cannot_go_back(
    stripe: StripeDesk, page: str, unpaid: Order, sam: User, as_: AsPerson
) -> None:
    pay(unpaid, "59.00", by=sam)
    stripe.pay(page)
    stripe.fail("POST /v1/refunds", "refused", code="charge_disputed")
    catch_up()
    order = fresh(unpaid)
    assert (order.status, order.refund_owed) == ("active", "59.00 USD")
    assert order.number in as_(sam).get("/admin/review/?status=refund").content.decode()
    assert order.record_refund("By bank", by=sam)
    assert fresh(unpaid).refund_owed == ""


# What Stripe never told, and what is not ours


def test_a_page_that_stripe_never_named_is_given_up(stripe: StripeDesk, unpaid: Order, alice: User) -> None:
    stripe.fail("POST /v1/checkout/sessions", "lost")
    with pytest.raises(card_payments.CardUnavailable):
        card_payments.pay_by_card(unpaid, by=alice)
    catch_up()
    assert Checkout.objects.get().ended_at is None
    Checkout.objects.update(at=timezone.now() - timedelta(days=1, minutes=1))
    catch_up()
    assert Checkout.objects.get().ended_at


def test_a_page_whose_reply_was_lost_is_known_by_its_name(
    stripe: StripeDesk, unpaid: Order, alice: User
) -> None:
    stripe.fail("POST /v1/checkout/sessions", "500-after")
    with pytest.raises(card_payments.CardUnavailable):
        card_payments.pay_by_card(unpaid, by=alice)
    [session] = stripe.sessions()
    stripe.pay(session["url"])
    assert card_payments.look_at_session(session["id"])
    assert fresh(unpaid).status == "active"


def test_a_session_of_another_program_is_none_of_ours(stripe: StripeDesk, page: str, unpaid: Order) -> None:
    [session] = stripe.sessions()
    Checkout.objects.all().delete()
    assert not card_payments.look_at_session(session["id"])
    session["metadata"] = {"checkout": "theirs"}
    assert not card_payments.look_at_session(session["id"])
    assert not Payment.objects.exists()


def test_without_a_key_nothing_is_swept(
    stripe: StripeDesk, page: str, owed: CardRefund, settings: Any
) -> None:
    settings.STRIPE_SECRET_KEY = ""
    CardRefund.objects.update(next_try_at=timezone.now())
    assert card_refunds.due_refunds() == hosted_pages.due_pages(Checkout) == []
    assert not try_again(owed)


@pytest.mark.django_db
def test_programs_of_the_version_before_still_record_payments() -> None:
    """They do not name the new column."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_default FROM information_schema.columns"
            " WHERE table_name = 'billing_payment' AND column_name = 'card'"
        )
        [default] = cursor.fetchone()
    assert default == "''::character varying"
