"""Two clicks, and what Stripe answers to one of them while the other is under way: one page can be paid, never two."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing import card_payments, stripe_gateway
from billing.models import Checkout, Order, Payment
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import StripeDesk

CREATE = "POST /v1/checkout/sessions"
Meanwhile = Callable[..., None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Do something once while the next page is being asked for: before Stripe has the call, or before we have the reply."""
    ask = stripe_gateway.open_checkout

    def arrange(act: Callable[[], Any], *, before: bool = False) -> None:
        acts = [act]

        def asked(**wish: Any) -> Any:
            due = acts.pop() if acts else None
            if due and before:
                due()
            facts = ask(**wish)
            if due and not before:
                due()
            return facts

        monkeypatch.setattr(stripe_gateway, "open_checkout", asked)

    return arrange


def pay_all(stripe: StripeDesk, order: Order) -> None:
    """Somebody pays on every page that is open, and all is told."""
    for session in stripe.sessions("open"):
        stripe.pay(session["url"])
    for session in stripe.sessions():
        card_payments.look_at_session(session["id"])


def fails(stripe: StripeDesk, order: Order, by: User, fault: str = "503") -> Callable[[], None]:
    """A twin's click that meets this fault."""

    def click() -> None:
        stripe.fail(CREATE, fault)
        with pytest.raises(card_payments.CardUnavailable):
            card_payments.pay_by_card(order, by=by)

    return click


def test_a_page_that_was_handed_out_outlives_a_twin_that_fails(
    stripe: StripeDesk, unpaid: Order, alice: User, meanwhile: Meanwhile
) -> None:
    """The twin read the row before the page was there, and its call ends in a 503."""
    urls = []

    def first() -> None:
        urls.append(card_payments.pay_by_card(unpaid, by=alice))
        stripe.fail(CREATE, "503")

    meanwhile(first, before=True)
    assert card_payments.pay_by_card(unpaid, by=alice) == urls[0]
    assert Checkout.objects.get().ended_at is None
    assert card_payments.pay_by_card(unpaid, by=alice) == urls[0]
    assert len(stripe.sessions()) == 1


def test_a_page_whose_row_a_twin_ended_is_not_handed_out(
    stripe: StripeDesk, unpaid: Order, alice: User, meanwhile: Meanwhile
) -> None:
    meanwhile(fails(stripe, unpaid, alice))
    url = card_payments.pay_by_card(unpaid, by=alice)
    [newer, older] = stripe.sessions()
    assert url == newer["url"]
    assert (newer["status"], older["status"]) == ("open", "expired")
    assert Checkout.objects.get(ended_at=None).session == newer["id"]


def test_one_who_gives_up_leaves_a_page_that_came_meanwhile(
    stripe: StripeDesk, unpaid: Order, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep has read the row without a page; then its page comes."""
    stripe.fail(CREATE, "unreached")
    with pytest.raises(card_payments.CardUnavailable):
        card_payments.pay_by_card(unpaid, by=alice)
    checkout = Checkout.objects.get()
    old = timezone.now() - timedelta(days=1, minutes=1)
    Checkout.objects.update(at=old, next_look_at=timezone.now())
    read = Checkout.objects.get

    def late(**which: Any) -> Checkout:
        found = read(**which)
        Checkout.objects.filter(pk=checkout.pk).update(session="cs_test_late", url="https://x.test/")
        return found

    monkeypatch.setattr(Checkout.objects, "get", late)
    card_payments.look_at_checkout(str(checkout.pk))
    monkeypatch.undo()
    assert Checkout.objects.get().ended_at is None


def test_a_key_that_stripe_has_forgotten_is_not_used_again(
    stripe: StripeDesk, unpaid: Order, alice: User
) -> None:
    """Its reply was lost a day ago: asked again under its key, Stripe would make a second page beside the first."""
    stripe.fail(CREATE, "lost")
    with pytest.raises(card_payments.CardUnavailable):
        card_payments.pay_by_card(unpaid, by=alice)
    Checkout.objects.update(at=timezone.now() - timedelta(hours=23, minutes=1))
    stripe.books.advanced = 23 * 3600 + 60
    url = card_payments.pay_by_card(unpaid, by=alice)
    assert [bool(each.ended_at) for each in Checkout.objects.all()] == [False, True]
    assert url == stripe.sessions()[0]["url"]
    pay_all(stripe, unpaid)
    assert (fresh(unpaid).status, stripe.kept_minor) == ("active", 5900 * stripe.charges)


def test_an_event_about_an_older_page_leaves_the_one_that_is_open(
    stripe: StripeDesk, unpaid: Order, alice: User
) -> None:
    """Both are called the same: Stripe forgot the key of the first, whose reply was lost."""
    stripe.fail(CREATE, "lost")
    with pytest.raises(card_payments.CardUnavailable):
        card_payments.pay_by_card(unpaid, by=alice)
    stripe.books.replies.clear()
    url = card_payments.pay_by_card(unpaid, by=alice)
    [newer, older] = stripe.sessions()
    assert url == newer["url"]
    older.update(status="expired")
    assert card_payments.look_at_session(older["id"])
    checkout = Checkout.objects.get()
    assert (checkout.session, checkout.ended_at) == (newer["id"], None)
    stripe.pay(url)
    card_payments.learn_payment(unpaid)
    assert (fresh(unpaid).status, Payment.objects.count()) == ("active", 1)


def test_an_older_page_that_was_paid_counts(stripe: StripeDesk, unpaid: Order, alice: User) -> None:
    stripe.fail(CREATE, "lost")
    with pytest.raises(card_payments.CardUnavailable):
        card_payments.pay_by_card(unpaid, by=alice)
    stripe.books.replies.clear()
    card_payments.pay_by_card(unpaid, by=alice)
    [newer, older] = stripe.sessions()
    stripe.pay(older["url"])
    assert card_payments.look_at_session(older["id"])
    assert fresh(unpaid).status == "active"
    card_payments.look_at_session(newer["id"])
    assert stripe.sessions()[0]["status"] == "expired"


def test_a_page_that_never_came_asks_for_what_is_due_now(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User
) -> None:
    stripe.fail(CREATE, "unreached")
    with pytest.raises(card_payments.CardUnavailable):
        card_payments.pay_by_card(unpaid, by=alice)
    pay(unpaid, "20.00", by=sam)
    card_payments.pay_by_card(unpaid, by=alice)
    assert [session["amount_total"] for session in stripe.sessions()] == [3900]
