"""Money that goes back to cards, and what becomes of it: sent once, looked after, told to whoever must know."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import card_payments, card_refunds
from billing.models import CardRefund, Order, OrderConflict
from billing.review_queue import Filters, figures
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import VISA, StripeDesk, catch_up

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
