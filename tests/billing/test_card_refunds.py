"""Money that goes back to cards, and what becomes of it: sent once, looked after, told to whoever must know."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from billing import card_payments, card_refunds, stripe_events
from billing.models import CardRefund, Order, OrderConflict
from billing.review_queue import Filters, figures
from billing.stripe_gateway import EventFacts
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import VISA, StripeDesk, catch_up, mails

AsPerson = Callable[[User], Client]
Back = Callable[..., CardRefund]


@pytest.fixture
def back(stripe: StripeDesk, unpaid: Order, alice: User) -> Back:
    """Somebody paid, the order was cancelled, and the money is to go back to this card."""

    def make(number: str = VISA) -> CardRefund:
        url = card_payments.pay_by_card(unpaid, by=alice)
        fresh(unpaid).cancel(by=alice)
        stripe.pay(url, number)
        card_payments.learn_payment(unpaid)
        return CardRefund.objects.get()

    return make


def send(refund: CardRefund) -> bool:
    """As the sweep does when it is due."""
    CardRefund.objects.filter(pk=refund.pk).exclude(next_try_at=None).update(next_try_at=timezone.now())
    return card_refunds.send_card_refund(str(refund.pk))


def fail_at_stripe(stripe: StripeDesk, refund: CardRefund) -> None:
    """The card's bank sends it back, days later; then we hear of it."""
    with stripe.books.lock:
        made = stripe.books.all("refund")[0]
        made["status"] = "failed"
    assert card_refunds.look_at_refund(made["id"])


def owed_in_queue(order: Order) -> bool:
    """Whether the review desk says that a refund is owed, in its figures and in its queue alike."""
    listed = [each.number for each in Filters(status="refund").orders()]
    assert bool(figures().refunds) == bool(listed)
    return order.number in listed


def test_what_fails_after_staff_sent_another_part_back_is_owed_again(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User
) -> None:
    pay(unpaid, "20.00", by=sam)
    url = card_payments.pay_by_card(unpaid, by=alice)
    fresh(unpaid).cancel(by=alice)
    stripe.pay(url)
    catch_up()
    assert (fresh(unpaid).refund_owed, owed_in_queue(unpaid)) == ("20.00 USD", True)
    assert fresh(unpaid).record_refund("By bank", by=sam)
    assert (fresh(unpaid).refund_owed, owed_in_queue(unpaid)) == ("", False)
    fail_at_stripe(stripe, CardRefund.objects.get())
    assert (fresh(unpaid).refund_owed, owed_in_queue(unpaid)) == ("39.00 USD", True)
    with pytest.raises(OrderConflict, match=r"39\.00 USD are owed"):
        fresh(unpaid).record_refund("By bank", by=sam, owed_minor=2000)
    assert fresh(unpaid).record_refund("By bank, the rest", by=sam, owed_minor=3900)
    assert not fresh(unpaid).record_refund("By bank, the rest", by=sam, owed_minor=3900)
    assert (fresh(unpaid).refund_owed, owed_in_queue(unpaid)) == ("", False)
    assert [refund.amount_minor for refund in fresh(unpaid).refunds.all()] == [2000, 3900]


def test_the_form_says_which_sum_was_seen(
    stripe: StripeDesk, back: Back, unpaid: Order, sam: User, as_: AsPerson
) -> None:
    refund = back()
    send(refund)
    fail_at_stripe(stripe, refund)
    page = f"/admin/review/{unpaid.number}/"
    html = as_(sam).get(page).content.decode()
    assert 'name="owed_minor" value="5900"' in html
    form: dict[str, Any] = {"reference": "By bank", "owed_minor": "2000"}
    assert as_(sam).post(f"{page}refund/", form).status_code == 409
    assert as_(sam).post(f"{page}refund/", {**form, "owed_minor": "5900"}).status_code == 302
    assert "59.00 USD sent back" in as_(sam).get(page).content.decode()


# What somebody sent at Stripe by hand


def test_what_somebody_sent_already_is_not_owed(
    stripe: StripeDesk, back: Back, unpaid: Order, sam: User, as_: AsPerson
) -> None:
    refund = back()
    stripe.send_by_hand()
    assert not send(refund)
    assert (fresh(unpaid).refund_owed, owed_in_queue(unpaid)) == ("", False)
    [ours, by_hand] = sorted(fresh(unpaid).card_refunds, key=lambda each: bool(each.sent_at))
    assert ours.problem == "Stripe refused the call: charge_already_refunded."
    assert (by_hand.reason, by_hand.amount_minor) == ("by_hand", 5900)
    [told] = mails("order.sent_back")
    assert "We have sent back 59.00 USD of what you had paid by card" in told.body
    assert mails("refund.failed") == []
    html = as_(sam).get(f"/admin/review/{unpaid.number}/").content.decode()
    assert "Nothing is owed." in html
    assert "in another way" not in html


def test_of_what_somebody_sent_a_part_the_rest_is_owed(
    stripe: StripeDesk, back: Back, unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    """Stripe refuses an amount greater than what is left."""
    refund = back()
    stripe.send_by_hand(2000)
    assert not send(refund)
    assert (fresh(unpaid).refund_owed, owed_in_queue(unpaid)) == ("39.00 USD", True)
    [told] = mails("refund.failed")
    assert told.to == [sam.email]
    assert "39.00 USD are owed now" in told.body
    assert "Send 39.00 USD in another way" in as_(sam).get(f"/admin/review/{unpaid.number}/").content.decode()
    assert "We see to it" in as_(alice).get(unpaid.get_absolute_url()).content.decode()


def test_another_of_ours_is_not_taken_for_one_by_hand(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User
) -> None:
    """The reply to the first was lost when the second is refused."""
    url = card_payments.pay_by_card(unpaid, by=alice)
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).messages.create(kind="answer", text="By the way", by=alice)
    stripe.pay(url)
    card_payments.learn_payment(unpaid)
    payment = unpaid.payments.get(method="card")
    CardRefund.objects.all().delete()
    make = partial(CardRefund.objects.create, payment=payment)
    first, second = make(amount_minor=2000, reason="paid"), make(amount_minor=3900, reason="cancelled")
    stripe.fail("POST /v1/refunds", "lost", "refused")
    assert not send(first)
    assert not send(second)
    assert not send(first)
    first, second = CardRefund.objects.order_by("amount_minor")
    assert (bool(first.sent_at), bool(second.failed_at)) == (True, True)
    assert CardRefund.objects.count() == 2


def test_a_refusal_waits_while_stripe_cannot_be_asked_why(
    stripe: StripeDesk, back: Back, unpaid: Order
) -> None:
    refund = back()
    stripe.send_by_hand()
    stripe.fail("GET /v1/refunds", "unreached")
    assert not send(refund)
    assert CardRefund.objects.get().failed_at is None
    assert not send(refund)
    assert (fresh(unpaid).refund_owed, CardRefund.objects.count()) == ("", 2)


# What was sent is looked after


def look_after(refund: CardRefund) -> CardRefund:
    assert not send(refund)
    refund.refresh_from_db()
    return refund


def test_a_refund_that_fails_by_itself_is_seen_without_a_webhook(
    stripe: StripeDesk, back: Back, unpaid: Order
) -> None:
    refund = back("4000000000005126")
    assert send(refund)
    stripe.books.advanced = 61
    assert look_after(refund).failed_at
    assert (fresh(unpaid).refund_owed, stripe.kept_minor) == ("59.00 USD", 5900)


def test_a_refund_that_is_pending_is_asked_about_daily(stripe: StripeDesk, back: Back) -> None:
    refund = back("4000000000007726")
    assert send(refund)
    refund.refresh_from_db()
    assert refund.next_try_at
    assert timedelta(hours=23) < refund.next_try_at - timezone.now() <= timedelta(days=1)
    stripe.books.advanced = 61
    looked = look_after(refund)
    assert looked.next_try_at
    assert looked.next_try_at - timezone.now() > timedelta(days=6)
    CardRefund.objects.update(sent_at=timezone.now() - timedelta(days=31))
    assert look_after(refund).next_try_at is None
    assert not looked.failed_at


def test_a_refund_that_stripe_lost_is_not_asked_about_for_ever(stripe: StripeDesk, back: Back) -> None:
    refund = back()
    assert send(refund)
    stripe.fail("GET /v1/refunds", "unreached", "refused")
    assert look_after(refund).next_try_at
    after = look_after(refund)
    assert (after.next_try_at, after.failed_at) == (None, None)


def tell_all(stripe: StripeDesk) -> None:
    """All that happened reaches the webhook, in any number of copies."""
    for event in stripe.events() * 2:
        facts = EventFacts(event["id"], event["type"], event["data"]["object"]["id"])
        stripe_events.keep_event(facts)
    catch_up()


def test_a_refund_by_hand_is_noted_and_told(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    card_payments.learn_payment(unpaid)
    made = stripe.send_by_hand(1000)
    tell_all(stripe)
    order = fresh(unpaid)
    assert (order.status, order.paid_minor, order.refund_owed) == ("active", 4900, "")
    [row] = order.card_refunds
    assert (row.refund, row.reason) == (made["id"], "by_hand")
    [told] = mails("refund.found")
    assert told.to == [sam.email]
    assert "Somebody sent back 10.00 USD" in told.body
    assert [told.to for told in mails("order.sent_back")] == [[alice.email]]
    assert AuditEntry.objects.get(action="refund.find").after["amount"] == "10.00 USD"
    assert (
        "10.00 USD sent back to the card" in as_(sam).get(f"/admin/review/{order.number}/").content.decode()
    )


def test_a_refund_whose_reply_is_under_way_is_known_by_its_name(
    stripe: StripeDesk, back: Back, unpaid: Order
) -> None:
    refund = back()
    stripe.fail("POST /v1/refunds", "lost")
    assert not send(refund)
    [made] = stripe.books.all("refund")
    assert card_refunds.look_at_refund(made["id"])
    assert CardRefund.objects.get().refund == made["id"]
    assert not send(refund)
    assert stripe.books.all("refund") == [made]


def test_a_refund_of_another_program_is_none_of_ours(stripe: StripeDesk, unpaid: Order, alice: User) -> None:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    made = stripe.send_by_hand()
    assert not card_refunds.look_at_refund(made["id"])


def test_staff_are_told_of_a_dispute(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User, bob: User
) -> None:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice), "4000000000000259")
    card_payments.learn_payment(unpaid)
    tell_all(stripe)
    [told] = mails("payment.disputed")
    assert told.to == [sam.email]
    assert "59.00 USD for the order" in told.body
    [entry] = AuditEntry.objects.filter(action="payment.dispute")
    assert entry.after["status"] == "needs_response"
    [dispute] = stripe.books.all("dispute")
    dispute["status"] = "lost"
    stripe.books.tell("charge.dispute.closed", dispute)
    tell_all(stripe)
    assert len(mails("payment.disputed")) == 1
    assert fresh(unpaid).status == "active"


def test_a_refund_that_fails_is_told_to_staff(
    stripe: StripeDesk, back: Back, unpaid: Order, sam: User
) -> None:
    refund = back()
    send(refund)
    fail_at_stripe(stripe, refund)
    fail_at_stripe(stripe, refund)
    [told] = mails("refund.failed")
    assert told.to == [sam.email]
    assert "Stripe could not bring it to the card." in told.body
    assert AuditEntry.objects.filter(action="refund.fail").count() == 1


def test_a_refund_waits_for_our_balance(stripe: StripeDesk, back: Back, unpaid: Order) -> None:
    refund = back()
    stripe.fail("POST /v1/refunds", "refused", code="balance_insufficient")
    assert not send(refund)
    assert fresh(unpaid).refund_owed == ""
    assert send(refund)
    assert stripe.kept_minor == 0
