"""Adding a card: to Stripe's page and back, however often somebody clicks, whoever hears first, whatever fails."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Customer, User
from billing import card_setups, hosted_pages, stripe_events
from billing.kept_cards import default_card
from billing.models import CardOnFile, CardSetup
from tests.at_once import at_once
from tests.billing.stripe_desk import StripeDesk, catch_up, save_card, signed

AsPerson = Callable[[User], Client]
ADD, LIST = "/c/acme/billing/cards/add/", "/c/acme/billing/cards/"


def come_back(client: Client) -> str:
    CardSetup.objects.update(looked_at=None)
    return client.get("/c/acme/billing/cards/added/", follow=True).content.decode()


def tell(client: Client, event: dict[str, Any]) -> None:
    body, signature = signed(event)
    assert (
        client.post(
            "/stripe/webhook/",
            body,
            content_type="application/json",
            headers={"stripe-signature": signature},
        ).status_code
        == 204
    )
    stripe_events.work_event(event["id"])


def test_works(stripe: StripeDesk, acme: Customer, carol: User, as_: AsPerson, settings: Any) -> None:
    client = as_(carol)
    page = client.get(LIST)
    assert "No cards yet" in page.content.decode()
    assert stripe.books.base in page["Content-Security-Policy"]
    answer = client.post(ADD)
    assert answer.status_code == 302
    back = stripe.pay(answer["Location"], expiry="11 / 31")
    assert back.headers["Location"] == f"{settings.PANEL_URL}/c/acme/billing/cards/added/"
    html = come_back(client)
    assert "Visa 4242 is saved." in html
    assert "Visa ending in 4242" in html
    assert "11/2031" in html
    card = CardOnFile.objects.get()
    assert (card.customer, card.is_default, card.added_by) == (acme, True, carol)
    assert (card.exp_month, card.exp_year, card.state) == (11, 2031, "valid")
    assert AuditEntry.objects.get(action="card.add").subject == "Visa 4242"
    assert stripe.methods(acme) == [card.method]
    assert stripe.charges == 0


def test_stripes_page_says_what_it_is_for(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    import requests

    html = requests.get(card_setups.add_card(acme, by=alice), timeout=5).text
    assert "You allow us to charge your card for future payments" in html
    assert "Your card is kept for renewals of this service. You can take it off at any time." in html
    assert 'value="alice@example.test"' in html


@pytest.mark.parametrize("path", [ADD, LIST, "/c/acme/billing/cards/added/"])
def test_a_stranger_gets_404(
    stripe: StripeDesk, acme: Customer, mallory: User, as_: AsPerson, path: str
) -> None:
    assert as_(mallory).post(path).status_code == as_(mallory).get(path).status_code == 404
    assert not stripe.sessions()


def test_a_reader_sees_and_gets_403(stripe: StripeDesk, acme: Customer, bob: User, as_: AsPerson) -> None:
    html = as_(bob).get(LIST).content.decode()
    assert "Someone who may order for this customer can add one." in html
    assert "Add" not in html.split("<main", 1)[1]
    assert as_(bob).post(ADD).status_code == 403
    assert not stripe.sessions()


def test_twice_leads_to_the_same_page(stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson) -> None:
    first, second = (as_(alice).post(ADD)["Location"] for _ in range(2))
    assert first == second
    assert len(stripe.sessions()) == len(stripe.books.all("customer")) == 1


def test_before_activation_it_is_refused_with_the_reason(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson
) -> None:
    Customer.objects.update(activated_at=None)
    answer = as_(alice).post(ADD)
    assert answer.status_code == 403
    assert "not active yet" in answer.content.decode()
    assert not stripe.sessions()


def test_who_is_suspended_can_add_one(stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson) -> None:
    acme.suspend(reason="A renewal was not paid", by=None)
    stripe.pay(as_(alice).post(ADD)["Location"])
    assert "Visa 4242 is saved." in come_back(as_(alice))


def test_without_stripe_there_is_no_button(acme: Customer, alice: User, as_: AsPerson) -> None:
    assert "Cards are not taken here." in as_(alice).get(LIST).content.decode()
    answer = as_(alice).post(ADD)
    assert answer.status_code == 409
    assert "Cards cannot be kept here." in answer.content.decode()


@pytest.mark.parametrize("number", ["4000000000000002", "4000000000009995", "4000000000000069"])
def test_a_card_that_is_declined_is_not_saved(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson, number: str
) -> None:
    url = as_(alice).post(ADD)["Location"]
    assert stripe.pay(url, number).status_code == 402
    assert "No card was saved." in come_back(as_(alice))
    assert not CardOnFile.objects.exists()
    assert stripe.pay(url).status_code == 303
    assert "Visa 4242 is saved." in come_back(as_(alice))


def test_three_d_secure(stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson) -> None:
    url = as_(alice).post(ADD)["Location"]
    assert "Your bank asks" in stripe.pay(url, "4000002500003155").text
    assert stripe.authenticate(url, "fail").status_code == 402
    assert "No card was saved." in come_back(as_(alice))
    stripe.pay(url, "4000002500003155")
    stripe.authenticate(url)
    assert "Visa 3155 is saved." in come_back(as_(alice))


def test_who_turns_back_is_not_told_of_the_card_before(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson
) -> None:
    save_card(stripe, acme, alice)
    as_(alice).post(ADD)
    assert "No card was saved." in come_back(as_(alice))


def test_who_comes_back_after_the_webhook_is_told(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson
) -> None:
    stripe.pay(as_(alice).post(ADD)["Location"])
    catch_up()
    assert "Visa 4242 is saved." in come_back(as_(alice))


def test_a_closed_tab(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    stripe.pay(card_setups.add_card(acme, by=alice))
    catch_up()
    assert CardOnFile.objects.get().last4 == "4242"
    assert not CardSetup.objects.filter(ended_at=None).exists()


def test_a_page_that_expired_is_another_page(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    first = card_setups.add_card(acme, by=alice)
    stripe.books.advanced = 24 * 3600 + 1
    CardSetup.objects.update(looked_at=None)
    assert card_setups.add_card(acme, by=alice) != first
    assert not CardOnFile.objects.exists()


@pytest.mark.parametrize("kind", ["checkout.session.completed", "setup_intent.succeeded"])
def test_an_event_is_enough(stripe: StripeDesk, acme: Customer, alice: User, kind: str) -> None:
    stripe.pay(card_setups.add_card(acme, by=alice))
    [event] = [each for each in stripe.events() if each["type"] == kind]
    for _ in range(3):
        tell(Client(), event)
    assert CardOnFile.objects.get().last4 == "4242"


def test_an_event_about_a_page_whose_reply_was_lost(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    stripe.fail("POST /v1/checkout/sessions", "lost")
    with pytest.raises(hosted_pages.CardUnavailable):
        card_setups.add_card(acme, by=alice)
    stripe.pay(stripe.sessions()[0]["url"])
    tell(Client(), stripe.events()[-1])
    assert CardOnFile.objects.get().last4 == "4242"


def test_an_event_about_another_panels_page_is_foreign(
    stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    stripe.pay(card_setups.add_card(acme, by=alice))
    CardSetup.objects.all().delete()
    for event in stripe.events():
        tell(Client(), event)
    assert not CardOnFile.objects.exists()


def test_the_same_card_again_takes_its_place(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    first = save_card(stripe, acme, alice, expiry="01 / 30")
    other = save_card(stripe, acme, alice, "5555555555554444")
    again = save_card(stripe, acme, alice, expiry="01 / 35")
    catch_up()
    assert [(str(each), each.is_default) for each in acme.cards.filter(removed_at=None)] == [
        ("Visa 4242", True),
        ("Mastercard 4444", False),
    ]
    first.refresh_from_db()
    assert first.removed_at
    assert stripe.methods(acme) == [again.method, other.method]


@pytest.mark.parametrize("year", [2020, None])
def test_it_takes_the_place_of_a_default_that_ends(
    stripe: StripeDesk, acme: Customer, alice: User, year: int | None
) -> None:
    """As the mail about its end says; it has expired, or does so this month."""
    first, now = save_card(stripe, acme, alice), timezone.now()
    CardOnFile.objects.filter(pk=first.pk).update(exp_year=year or now.year, exp_month=now.month)
    new = save_card(stripe, acme, alice, "5555555555554444")
    assert default_card(acme) == new


def test_a_default_that_holds_keeps_its_place(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    first = save_card(stripe, acme, alice)
    save_card(stripe, acme, alice, "5555555555554444")
    assert default_card(acme) == first


def test_whoever_comes_to_the_page_last_has_added_it(
    stripe: StripeDesk, acme: Customer, alice: User, carol: User
) -> None:
    page = card_setups.add_card(acme, by=carol)
    assert card_setups.add_card(acme, by=alice) == page
    stripe.pay(page)
    catch_up()
    assert CardOnFile.objects.get().added_by == alice


def test_events_about_pages_of_others_are_asked_about_once(
    stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    card_setups.add_card(acme, by=alice)
    [session] = stripe.sessions()
    session["metadata"] = {}
    CardSetup.objects.all().delete()
    stripe.books.tell("checkout.session.expired", session)
    reads = len(stripe.calls("GET /v1/checkout"))
    tell(Client(), stripe.events()[-1])
    assert len(stripe.calls("GET /v1/checkout")) - reads == 1


def test_too_many_are_refused(stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson) -> None:
    for number in range(20):
        CardOnFile.objects.create(
            customer=acme, stripe_customer="cus_1", method=f"pm_{number}", brand="Visa", last4="0000",
            exp_month=1, exp_year=2040,
        )  # fmt: skip
    answer = as_(alice).post(ADD)
    assert answer.status_code == 409
    assert "20 cards are kept already. Remove one first." in answer.content.decode()
    assert not stripe.sessions()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_clicks_at_once_are_one_page(stripe: StripeDesk, acme: Customer, alice: User) -> None:
    urls = at_once(*[lambda: card_setups.add_card(acme, by=alice)] * 10)
    assert len(set(urls)) == len(stripe.books.all("customer")) == len(stripe.sessions()) == 1
    stripe.pay(str(urls[0]))
    [setup] = CardSetup.objects.all()
    at_once(*[lambda: card_setups.look_at_session(setup.session)] * 10)
    assert CardOnFile.objects.get().is_default


def test_the_list_asks_the_database_the_same_for_many_cards(
    stripe: StripeDesk, acme: Customer, alice: User, as_: AsPerson, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        CardOnFile.objects.create(
            customer=acme, stripe_customer="cus_1", method=f"pm_{number}", brand="Visa", last4="0000",
            exp_month=1, exp_year=2040,
        )  # fmt: skip
    client = as_(alice)
    with django_assert_max_num_queries(10):
        assert client.get(LIST).status_code == 200
