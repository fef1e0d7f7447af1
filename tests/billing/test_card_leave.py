"""Customers who go: Stripe deletes them with their cards, and what is left here names no card."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import privacy
from accounts.models import Customer, User
from billing import card_payments, card_setups, hosted_pages, kept_cards, stripe_customers
from billing.models import CardOnFile, CardSetup, Checkout, Order, StripeCustomer
from tests.billing.stripe_desk import StripeDesk, catch_up, mails, save_card


@pytest.fixture
def visa(stripe: StripeDesk, acme: Customer, alice: User) -> CardOnFile:
    return save_card(stripe, acme, alice)


def erase(person: User) -> None:
    privacy._holders["billing"].erase(person)


def export(person: User) -> list[dict[str, Any]]:
    return list(privacy._holders["billing"].export(person)["cards"])


def customers(stripe: StripeDesk) -> list[str | None]:
    """The addresses of those that Stripe has."""
    return [each["email"] for each in stripe.books.all("customer")]


def test_who_is_erased_leaves_nothing_behind(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, other: Customer, alice: User, mallory: User
) -> None:
    theirs = save_card(stripe, other, mallory)
    assert [card["last4"] for card in export(alice)] == ["4242"]
    erase(alice)
    catch_up()
    assert customers(stripe) == [mallory.email]
    assert stripe.methods(other) == [theirs.method]
    assert [each["id"] for each in stripe.books.all("payment_method") if each["customer"]] == [theirs.method]
    assert export(alice) == []
    visa.refresh_from_db()
    assert (visa.brand, visa.last4, visa.exp_year, visa.added_by, visa.state) == (
        "",
        "0000",
        2000,
        None,
        "removed",
    )
    assert mails("card.gone") == []


def test_what_was_saved_and_not_learned_is_not_kept(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    stripe.pay(card_setups.add_card(acme, by=alice))
    erase(alice)
    catch_up()
    assert not acme.cards.exclude(brand="").filter(removed_at=None).exists()
    assert customers(stripe) == []


def test_a_page_that_is_open_is_ended(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    card_setups.add_card(acme, by=alice)
    erase(alice)
    catch_up()
    assert [each["status"] for each in stripe.sessions()] == ["expired"]
    assert not CardSetup.objects.filter(ended_at=None).exists()


def test_a_page_whose_answer_comes_late_is_not_kept(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    """The card was saved, and Stripe did not take the deletion yet."""
    stripe.pay(card_setups.add_card(acme, by=alice))
    StripeCustomer.objects.get().leave()
    CardSetup.objects.update(next_look_at=timezone.now())
    [setup] = hosted_pages.due_pages(CardSetup)
    card_setups.look_at_card_setup(setup)
    card = CardOnFile.objects.get()
    assert (card.state, card.brand, card.added_by) == ("removed", "", None)


def test_a_page_that_never_came_is_not_handed_out_later(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, carol: User
) -> None:
    """On it nothing would be kept."""
    stripe.fail("POST /v1/checkout/sessions", "unreached")
    with pytest.raises(hosted_pages.CardUnavailable):
        card_setups.add_card(acme, by=alice)
    StripeCustomer.objects.get().leave()
    assert str(save_card(stripe, acme, carol)) == "Visa 4242"


def test_cards_of_another_account_are_no_less_there(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User
) -> None:
    """The customer of the account in use is deleted there, not the one of the account before."""
    known = stripe.books.objects.pop(visa.stripe_customer)
    save_card(stripe, acme, alice, "5555555555554444")
    stripe.delete(acme)
    StripeCustomer.objects.get().forget()
    assert list(acme.cards.filter(removed_at=None)) == [visa]
    stripe.books.objects[visa.stripe_customer] = known


def test_a_customer_whose_reply_was_lost_is_deleted_as_well(
    stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    stripe.fail("POST /v1/customers", "lost")
    with pytest.raises(hosted_pages.CardUnavailable):
        card_setups.add_card(acme, by=alice)
    assert StripeCustomer.objects.get().email == alice.email
    erase(alice)
    catch_up()
    assert customers(stripe) == []
    assert (StripeCustomer.objects.get().email, StripeCustomer.objects.get().next_try_at) == ("", None)


@pytest.mark.parametrize("fault", ["lost", "unreached", "409", "429", "500", "500-after", "refused"])
def test_whatever_fails_stripe_deletes_them(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, fault: str, quiet_broker: None
) -> None:
    StripeCustomer.objects.get().leave()
    stripe.fail("DELETE /v1/customers", fault)
    for _ in range(2):
        catch_up()
    assert customers(stripe) == []
    row = StripeCustomer.objects.get()
    assert (row.stripe_id, row.next_try_at) == ("", None)


def test_the_key_of_another_account_deletes_them_later(
    stripe: StripeDesk, visa: CardOnFile, quiet_broker: None
) -> None:
    StripeCustomer.objects.get().leave()
    known = stripe.books.objects.pop(visa.stripe_customer)
    catch_up()
    assert StripeCustomer.objects.get().next_try_at
    stripe.books.objects[visa.stripe_customer] = known
    catch_up()
    assert customers(stripe) == []


def test_who_stays_can_add_a_card_again(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, carol: User
) -> None:
    erase(alice)
    catch_up()
    save_card(stripe, acme, carol)
    assert customers(stripe) == [carol.email]


@pytest.mark.parametrize("fault", ["lost", "unreached", "429", "500"])
def test_no_card_is_added_to_who_is_deleted_later(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, fault: str, quiet_broker: None
) -> None:
    StripeCustomer.objects.get().leave()
    stripe.fail("DELETE /v1/customers", fault)
    with pytest.raises(card_payments.CardUnavailable):
        card_setups.add_card(acme, by=alice)
    catch_up()
    card = save_card(stripe, acme, alice)
    catch_up()
    assert kept_cards.default_card(acme) == card
    assert stripe.methods(acme) == [card.method]


def test_a_customer_that_has_ended_gets_no_card_and_leaves_in_a_month(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User
) -> None:
    page = card_setups.add_card(acme, by=alice)
    Customer.objects.filter(pk=acme.pk).update(ended_at=timezone.now())
    stripe.pay(page, "5555555555554444")
    catch_up()
    assert list(acme.cards.filter(removed_at=None)) == [visa]
    assert stripe_customers.leave_ended() == 0
    Customer.objects.filter(pk=acme.pk).update(ended_at=timezone.now() - timedelta(days=31))
    assert stripe_customers.leave_ended() == 1
    catch_up()
    assert customers(stripe) == []
    assert stripe_customers.leave_ended() == 0
    assert not acme.cards.filter(removed_at=None).exists()


def test_a_removed_card_is_known_for_90_days(stripe: StripeDesk, visa: CardOnFile, alice: User) -> None:
    other = save_card(stripe, visa.customer, alice, "5555555555554444")
    visa.remove(by=alice)
    assert kept_cards.forget_removed() == 0
    CardOnFile.objects.exclude(removed_at=None).update(removed_at=timezone.now() - timedelta(days=91))
    assert kept_cards.forget_removed() == 1
    assert kept_cards.forget_removed() == 0
    assert sorted(CardOnFile.objects.values_list("brand", "last4")) == [
        ("", "0000"),
        (other.brand, other.last4),
    ]


def test_deleted_at_stripe_is_one_mail(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, hear: Callable[[], None]
) -> None:
    for number in ("5555555555554444", "4000000000000341"):
        save_card(stripe, acme, alice, number)
    stripe.delete(acme)
    hear()
    [message] = mails("card.gone")
    assert "There is no other card" in message.body
    assert not acme.cards.filter(removed_at=None).exists()
    assert StripeCustomer.objects.get().stripe_id == ""


@pytest.fixture(params=["event", "look"])
def hear(request: pytest.FixtureRequest, stripe: StripeDesk) -> Callable[[], None]:
    """The two ways in which we learn it: each alone."""
    from billing import stripe_events
    from billing.stripe_gateway import EventFacts

    def by_events() -> None:
        for event in stripe.events():
            stripe_events.keep_event(EventFacts(event["id"], event["type"], event["data"]["object"]["id"]))
            stripe_events.work_event(event["id"])

    return by_events if request.param == "event" else catch_up


def test_pages_of_who_was_deleted_there_end(
    stripe: StripeDesk, unpaid: Order, alice: User, quiet_broker: None
) -> None:
    card_payments.pay_by_card(unpaid, by=alice)
    card_setups.add_card(unpaid.customer, by=alice)
    row = StripeCustomer.objects.get()
    stripe.delete(unpaid.customer)
    assert row.forget()
    catch_up()
    assert {each["status"] for each in stripe.sessions()} == {"expired"}
    assert not Checkout.objects.filter(ended_at=None).exists()
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    catch_up()
    assert Order.objects.with_facts().get(pk=unpaid.pk).status == "active"
