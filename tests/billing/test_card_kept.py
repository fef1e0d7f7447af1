"""The card that pays an order is kept for renewals, whoever hears of the payment, and not where nothing will renew."""

from collections.abc import Callable

import pytest
import requests
from django.test import Client

from accounts.models import User
from billing import card_payments
from billing.kept_cards import default_card
from billing.models import CardOnFile, Order, Payment, StripeCustomer
from tests.billing.conftest import fresh
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
    assert "Stripe keeps the card, and renewals are charged to it." in html
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
