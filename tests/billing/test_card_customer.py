"""The customer at Stripe whom cards are added for: one, whatever fails and whoever clicks, in each of its accounts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Customer, User
from billing import card_setups, hosted_pages, stripe_cards
from billing.kept_cards import default_card
from billing.models import CardOnFile, CardSetup, StripeCustomer
from tests.at_once import at_once
from tests.billing.stripe_desk import StripeDesk, catch_up, save_card

AsPerson = Callable[[User], Client]
ADD = "/c/acme/billing/cards/add/"


def come_back(client: Client) -> str:
    CardSetup.objects.update(looked_at=None)
    return client.get("/c/acme/billing/cards/added/", follow=True).content.decode()


@pytest.mark.parametrize("fault", ["lost", "unreached", "409", "429", "500", "500-after", "503"])
@pytest.mark.parametrize("on", ["POST /v1/customers", "POST /v1/checkout/sessions"])
def test_whatever_fails_a_second_click_ends_right(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson, on: str, fault: str
) -> None:
    stripe.fail(on, fault)
    answer = as_(alice).post(ADD)
    assert answer.status_code == 503
    assert "Nothing was lost; try again in a minute." in answer.content.decode()
    stripe.pay(as_(alice).post(ADD)["Location"])
    assert "Visa 4242 is saved." in come_back(as_(alice))
    assert len(stripe.books.all("customer")) == 1
    assert CardOnFile.objects.get().stripe_customer == StripeCustomer.objects.get().stripe_id


def test_a_customer_whose_reply_was_lost_days_ago_is_found(
    stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    stripe.fail("POST /v1/customers", "lost")
    with pytest.raises(hosted_pages.CardUnavailable):
        card_setups.add_card(acme, by=alice)
    [made] = stripe.books.all("customer")
    days = timedelta(days=9)
    made["created"] -= int(days.total_seconds())
    stripe.books.replies.clear()
    StripeCustomer.objects.update(asked_at=timezone.now() - days)
    card_setups.add_card(acme, by=alice)
    assert StripeCustomer.objects.get().stripe_id == made["id"]
    assert len(stripe.books.all("customer")) == 1


def test_a_customer_that_was_deleted_at_stripe_is_another_one(
    stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    save_card(stripe, acme, alice)
    former = StripeCustomer.objects.get().stripe_id
    stripe.delete(acme)
    stripe.pay(card_setups.add_card(acme, by=alice), "5555555555554444")
    catch_up()
    assert StripeCustomer.objects.get().stripe_id not in ("", former)
    [kept] = acme.cards.filter(removed_at=None)
    assert (str(kept), kept.is_default) == ("Mastercard 4444", True)


def test_whoever_comes_back_while_stripe_deletes_them_loses_no_card(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson
) -> None:
    former, now = save_card(stripe, acme, alice).stripe_customer, timezone.now()
    StripeCustomer.objects.get().leave()
    StripeCustomer.objects.update(next_try_at=now + timedelta(seconds=20))  # a worker is at it
    answer = as_(alice).post(ADD)
    assert answer.status_code == 503
    assert "Nothing was lost; try again in a minute." in answer.content.decode()
    StripeCustomer.objects.update(next_try_at=now + timedelta(hours=6))  # Stripe was away for long
    stripe.pay(as_(alice).post(ADD)["Location"], "5555555555554444")
    assert "Mastercard 4444 is saved." in come_back(as_(alice))
    catch_up()
    [kept] = acme.cards.filter(removed_at=None)
    assert kept.stripe_customer == StripeCustomer.objects.get().stripe_id != former


def test_whoever_was_to_be_deleted_in_another_account_can_come_back(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson
) -> None:
    stripe.books.objects.pop(save_card(stripe, acme, alice).stripe_customer)
    StripeCustomer.objects.get().leave()
    catch_up()
    stripe.pay(as_(alice).post(ADD)["Location"], "5555555555554444")
    assert "Mastercard 4444 is saved." in come_back(as_(alice))
    catch_up()
    assert acme.cards.get(removed_at=None).last4 == "4444"


def test_whom_stripe_refuses_to_delete_can_pay_all_the_same(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson
) -> None:
    save_card(stripe, acme, alice)
    StripeCustomer.objects.get().leave()
    stripe.fail("DELETE /v1/customers", *["refused"] * 9)
    catch_up()
    assert as_(alice).post(ADD).status_code == 302


def test_the_key_of_another_account_loses_nothing(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson
) -> None:
    """There another customer is made; the key of before finds the one of before, and so on."""
    card = save_card(stripe, acme, alice)
    known = stripe.books.objects.pop(card.stripe_customer)
    stripe.pay(as_(alice).post(ADD)["Location"], "5555555555554444")
    come_back(as_(alice))
    there = StripeCustomer.objects.get().stripe_id
    assert there not in ("", card.stripe_customer)
    card.refresh_from_db()
    assert card.state == "valid"
    assert str(default_card(acme)) == "Mastercard 4444"  # the one that this key can charge

    stripe.books.objects[card.stripe_customer] = known
    elsewhere = stripe.books.objects.pop(there)
    assert as_(alice).post(ADD).status_code == 302
    assert StripeCustomer.objects.get().stripe_id == card.stripe_customer
    stripe.books.objects[there] = elsewhere
    stripe.books.objects.pop(card.stripe_customer)
    CardSetup.objects.update(ended_at=timezone.now())
    assert as_(alice).post(ADD).status_code == 302
    assert StripeCustomer.objects.get().stripe_id == there
    assert len(stripe.books.all("customer")) == 1


def test_an_address_that_stripe_takes_for_none_is_left_out(
    stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    User.objects.filter(pk=alice.pk).update(email="anna@b\u00fccher.test")
    alice.refresh_from_db()
    card_setups.add_card(acme, by=alice)
    assert [each["email"] for each in stripe.books.all("customer")] == [None]


def test_it_is_kept_for_whom_stripe_knows_now(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    """Somebody holds the row of before, while the customer was deleted at Stripe and made again."""
    stripe.pay(card_setups.add_card(acme, by=alice))
    row = StripeCustomer.objects.get()
    StripeCustomer.objects.update(stripe_id="cus_of_now")
    facts = stripe_cards.look_at_setup(stripe.sessions()[0]["id"]).card
    assert facts
    assert row.keep_card(facts, by=alice) is None
    assert row.keep_card(replace(facts, customer="cus_of_now"), by=alice)


def test_a_lost_reply_is_had_by_somebody_else(
    stripe: StripeDesk, acme: Customer, alice: User, carol: User
) -> None:
    """Under one key goes one address, so that the second click finds what the first one made."""
    stripe.fail("POST /v1/customers", "lost")
    with pytest.raises(hosted_pages.CardUnavailable):
        card_setups.add_card(acme, by=alice)
    assert card_setups.add_card(acme, by=carol)
    assert [each["email"] for each in stripe.books.all("customer")] == [alice.email]
    assert StripeCustomer.objects.get().email == ""  # Stripe has it


def test_a_customer_is_looked_for_among_those_of_the_address(
    stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    stripe.fail("POST /v1/customers", "500-after")
    with pytest.raises(hosted_pages.CardUnavailable):
        card_setups.add_card(acme, by=alice)
    [mine] = stripe.books.all("customer")
    for number in range(150):
        stripe_cards.make_customer(
            key=f"other-{number}", ours="x", description="x", email="other@example.test"
        )
    reads = len(stripe.calls("GET /v1/customers"))
    card_setups.add_card(acme, by=alice)
    assert StripeCustomer.objects.get().stripe_id == mine["id"]
    assert len(stripe.calls("GET /v1/customers")) - reads == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_second_click_waits_for_the_first(
    stripe: StripeDesk, acme: Customer, alice: User, quiet_broker: None
) -> None:
    stripe.fail("POST /v1/customers", "slow", seconds=0.6)
    urls = at_once(*[lambda: card_setups.add_card(acme, by=alice)] * 2)
    assert len(set(urls)) == len(stripe.books.all("customer")) == 1
