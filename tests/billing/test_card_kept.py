"""The card that pays an order is kept for renewals, whoever hears of the payment, and not where nothing will renew."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing import card_payments
from billing.kept_cards import default_card
from billing.models import CardOnFile, FraudCheck, Order, Payment, StripeCustomer
from deploy.fraudrecord import Server
from deploy.stripe_stand_in import sessions
from tests.billing.conftest import check, fresh
from tests.billing.stripe_desk import StripeDesk, catch_up, save_card

AsPerson = Callable[[User], Client]


@pytest.fixture
def page(stripe: StripeDesk, unpaid: Order, alice: User) -> str:
    return card_payments.pay_by_card(unpaid, by=alice)


def test_works(stripe: StripeDesk, page: str, unpaid: Order, alice: User, as_: AsPerson) -> None:
    stripe.pay(page)
    html = as_(alice).get(f"/order/{unpaid.number}/paid/", follow=True).content.decode()
    assert 'data-status="active"' in html
    card = CardOnFile.objects.get()
    assert (str(card), card.customer, card.is_default, card.added_by) == (
        "Visa 4242",
        unpaid.customer,
        True,
        alice,
    )
    assert stripe.methods(unpaid.customer) == [card.method]
    html = as_(alice).get(f"/c/{unpaid.customer.username}/billing/cards/").content.decode()
    assert "Visa ending in 4242" in html


def test_both_pages_say_so_before(
    stripe: StripeDesk, page: str, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    html = as_(alice).get(unpaid.get_absolute_url()).content.decode()
    assert "renewals are charged to it unless another one is your default." in " ".join(html.split())
    assert "Your card is kept for renewals of this service." in requests.get(page, timeout=5).text


def test_a_closed_tab(stripe: StripeDesk, page: str, unpaid: Order) -> None:
    stripe.pay(page)
    for _ in range(2):
        catch_up()
    assert CardOnFile.objects.get().is_default


def test_a_worker_that_dies_between_payment_and_card(
    stripe: StripeDesk, page: str, unpaid: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe.pay(page)
    with monkeypatch.context() as dying:
        dying.setattr(StripeCustomer, "keep_card", lambda *args, **by: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            catch_up()
    assert (Payment.objects.count(), CardOnFile.objects.count()) == (1, 0)
    catch_up()
    assert (Payment.objects.count(), CardOnFile.objects.count()) == (1, 1)


def test_it_does_not_replace_the_default(stripe: StripeDesk, page: str, unpaid: Order, alice: User) -> None:
    first = save_card(stripe, unpaid.customer, alice, "5555555555554444")
    stripe.pay(page)
    catch_up()
    assert default_card(unpaid.customer) == first
    assert unpaid.customer.cards.filter(removed_at=None).count() == 2


def test_of_an_order_that_came_to_nothing_it_is_taken_off(
    stripe: StripeDesk, page: str, unpaid: Order, alice: User
) -> None:
    fresh(unpaid).cancel(by=alice)
    stripe.pay(page)
    catch_up()
    assert stripe.kept_minor == 0
    assert not unpaid.customer.cards.filter(removed_at=None).exists()
    assert stripe.methods(unpaid.customer) == []


def test_a_card_that_wants_its_owner_is_charged_later_without(
    stripe: StripeDesk, page: str, unpaid: Order
) -> None:
    stripe.pay(page, "4000002500003155")
    stripe.authenticate(page)
    catch_up()
    assert CardOnFile.objects.get().method in stripe.books.set_up


@pytest.mark.parametrize("prefilled", [False, True])
def test_of_an_order_that_came_to_nothing_the_card_of_before_stays(
    stripe: StripeDesk, unpaid: Order, alice: User, monkeypatch: pytest.MonkeyPatch, prefilled: bool
) -> None:
    """The same card is entered again, or is the one that Stripe's page offers because it is saved."""
    card = save_card(stripe, unpaid.customer, alice)
    page = card_payments.pay_by_card(unpaid, by=alice)
    fresh(unpaid).cancel(by=alice)
    if prefilled:
        monkeypatch.setattr(sessions, "new_method", lambda books, *_, **__: books.objects[card.method])
    stripe.pay(page)
    for _ in range(2):
        catch_up()
    assert list(unpaid.customer.cards.filter(removed_at=None)) == [card]
    assert default_card(unpaid.customer) == card
    assert stripe.methods(unpaid.customer) == [card.method]


@pytest.fixture
def rejected(
    fraudrecord: Server, stripe: StripeDesk, ordered: Callable[..., Order], alice: User, sam: User
) -> Any:
    """Let an order be paid, have something done, and reject the order then."""

    def reject(meanwhile: Callable[[Order], object]) -> Order:
        order = check(ordered())
        page = card_payments.pay_by_card(order, by=alice)
        outage = {"outcome": "outage", "next_ask_at": timezone.now()}
        FraudCheck.objects.filter(order=order).update(**outage, count=None, value=None, reliability=None)
        stripe.pay(page)
        card_payments.learn_payment(order)
        assert order.customer.cards.filter(removed_at=None).exists()
        meanwhile(order)
        fresh(order).reject("", by=sam)
        catch_up()
        assert stripe.kept_minor == 0
        return order

    return reject


def test_of_an_order_that_is_rejected_later_it_is_taken_off(rejected: Any, stripe: StripeDesk) -> None:
    order = rejected(lambda order: None)
    assert not order.customer.cards.filter(removed_at=None).exists()
    assert stripe.methods(order.customer) == []


def test_one_that_its_owner_chose_stays(rejected: Any, stripe: StripeDesk, alice: User) -> None:
    def choose(order: Order) -> None:
        save_card(stripe, order.customer, alice, "5555555555554444").make_default(by=alice)
        order.customer.cards.get(last4="4242").make_default(by=alice)

    order = rejected(choose)
    assert {str(card) for card in order.customer.cards.filter(removed_at=None)} == {
        "Visa 4242",
        "Mastercard 4444",
    }


def test_one_that_its_owner_added_as_well_stays(rejected: Any, stripe: StripeDesk, alice: User) -> None:
    order = rejected(lambda order: save_card(stripe, order.customer, alice))
    assert str(default_card(order.customer)) == "Visa 4242"


def test_another_account_can_be_paid_at(stripe: StripeDesk, unpaid: Order, alice: User) -> None:
    """First Stripe's test mode, then live: nothing but the environment changes."""
    StripeCustomer.objects.create(customer=unpaid.customer, stripe_id="cus_of_test_mode")
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    catch_up()
    assert fresh(unpaid).status == "active"
    row = StripeCustomer.objects.get()
    assert row.former == ["cus_of_test_mode"]
    assert CardOnFile.objects.get().stripe_customer == row.stripe_id
