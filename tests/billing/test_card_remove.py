"""Removing a card: nothing is charged to it from then on, and Stripe forgets it, at once or when it can be asked."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing import card_setups
from billing.kept_card_views import CardRemoveForm
from billing.kept_cards import default_card
from billing.models import CardOnFile, Order
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import StripeDesk, catch_up, save_card

AsPerson = Callable[[User], Client]


@pytest.fixture
def visa(stripe: StripeDesk, acme: Customer, alice: User) -> CardOnFile:
    return save_card(stripe, acme, alice)


def path(card: CardOnFile) -> str:
    return f"/c/acme/billing/cards/{card.pk}/remove/"


def test_works(stripe: StripeDesk, visa: CardOnFile, acme: Customer, carol: User, as_: AsPerson) -> None:
    html = as_(carol).get(path(visa)).content.decode()
    assert "Remove Visa 4242?" in html
    assert "Stripe forgets it" in html
    answer = as_(carol).post(path(visa), follow=True)
    assert answer.redirect_chain == [("/c/acme/billing/cards/", 302)]
    assert "Visa 4242 is removed. Nothing is charged to it any more." in answer.content.decode()
    assert "No cards yet" in answer.content.decode()
    catch_up()
    assert stripe.methods(acme) == []
    visa.refresh_from_db()
    assert (visa.removed_by, visa.is_default, visa.next_look_at, visa.fingerprint) == (carol, False, None, "")
    assert AuditEntry.objects.get(action="card.remove").subject == "Visa 4242"


def test_a_stranger_gets_404(visa: CardOnFile, other: Customer, mallory: User, as_: AsPerson) -> None:
    for where in (path(visa), f"/c/other/billing/cards/{visa.pk}/remove/"):
        assert as_(mallory).post(where).status_code == as_(mallory).get(where).status_code == 404
    assert not CardOnFile.objects.get().removed_at


def test_a_reader_gets_403(visa: CardOnFile, bob: User, as_: AsPerson) -> None:
    assert as_(bob).post(path(visa)).status_code == 403
    assert not CardOnFile.objects.get().removed_at


def test_twice_is_harmless(visa: CardOnFile, alice: User, as_: AsPerson) -> None:
    as_(alice).post(path(visa))
    assert as_(alice).post(path(visa)).status_code == 302
    assert as_(alice).get(path(visa)).status_code == 302
    assert AuditEntry.objects.filter(action="card.remove").count() == 1


def test_it_is_asked_again_who_it_is(visa: CardOnFile, alice: User, as_: AsPerson) -> None:
    client = as_(alice)
    session = client.session
    session["account_authentication_methods"] = []
    session.save()
    assert "reauthenticate" in client.post(path(visa))["Location"]
    assert not CardOnFile.objects.get().removed_at


def test_the_newest_of_the_others_is_the_default(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, as_: AsPerson
) -> None:
    save_card(stripe, acme, alice, "4000000000000341")
    newest = save_card(stripe, acme, alice, "5555555555554444")
    html = as_(alice).get(path(visa)).content.decode()
    assert "Renewals are charged to Mastercard ending in 4444 instead." in html
    as_(alice).post(path(visa))
    assert default_card(acme) == newest
    assert AuditEntry.objects.get(action="card.remove").after == {"default": "Mastercard 4444"}


def test_one_that_has_expired_is_the_default_where_no_other_is_left(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, as_: AsPerson
) -> None:
    holds = save_card(stripe, acme, alice, "5555555555554444")
    expired = save_card(stripe, acme, alice, "4000000000000341")
    CardOnFile.objects.filter(pk=expired.pk).update(exp_year=2020)
    html = as_(alice).get(path(visa)).content.decode()
    assert "Renewals are charged to Mastercard ending in 4444 instead." in html
    visa.remove(by=alice)
    assert default_card(acme) == holds
    html = " ".join(as_(alice).get(path(holds)).content.decode().split())
    assert (
        "Renewals are charged to Visa ending in 0341 instead. It has expired, so add another one as well."
        in html
    )
    holds.remove(by=alice)
    assert default_card(acme) == expired


def test_two_tabs_leave_one(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are asked while the other card is there."""
    pay(unpaid, "59.00", by=sam)
    customer = fresh(unpaid).customer
    first = save_card(stripe, customer, alice)
    second = save_card(stripe, customer, alice, "5555555555554444")
    valid = CardRemoveForm.is_valid

    def late(form: CardRemoveForm) -> bool:
        first.remove(by=alice)
        return valid(form)

    monkeypatch.setattr(CardRemoveForm, "is_valid", late)
    where = f"/c/{customer.username}/billing/cards/{second.pk}/remove/"
    html = as_(alice).post(where, follow=True).content.decode()
    assert "It is the only card that is left now. Nothing was changed." in html
    assert "It is the only card, and 10 GB renews with it." in html
    assert default_card(customer) == second


def test_the_last_one_of_a_running_service_wants_a_yes(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    pay(unpaid, "59.00", by=sam)
    customer = fresh(unpaid).customer
    card = save_card(stripe, customer, alice)
    where = f"/c/{customer.username}/billing/cards/{card.pk}/remove/"
    html = as_(alice).get(where).content.decode()
    assert "It is the only card, and 10 GB renews with it." in html
    answer = as_(alice).post(where)
    assert answer.status_code == 422
    assert 'id="id_confirm_error"' in answer.content.decode()
    assert not CardOnFile.objects.get().removed_at
    assert as_(alice).post(where, {"confirm": "on"}).status_code == 302
    assert CardOnFile.objects.get().removed_at


def test_cards_and_services_of_others_count_for_nothing(
    stripe: StripeDesk, visa: CardOnFile, other: Customer, mallory: User, unpaid: Order, sam: User, alice: User,
    as_: AsPerson,
) -> None:  # fmt: skip
    save_card(stripe, other, mallory, "5555555555554444")
    pay(unpaid, "59.00", by=sam)  # of another customer of alice's
    html = as_(alice).get(path(visa)).content.decode()
    assert "4444" not in html
    assert "It is the only card" not in html
    assert as_(alice).post(path(visa)).status_code == 302
    assert default_card(other)


@pytest.mark.parametrize("fault", ["lost", "unreached", "409", "429", "500", "500-after", "refused"])
def test_whatever_fails_stripe_forgets_it(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, fault: str, quiet_broker: None
) -> None:
    visa.remove(by=alice)
    stripe.fail("POST /v1/payment_methods", fault)
    catch_up()
    assert stripe.methods(acme) == []
    assert CardOnFile.objects.get().next_look_at is None


def test_one_that_was_taken_off_at_stripe_as_well(
    stripe: StripeDesk, visa: CardOnFile, alice: User, quiet_broker: None
) -> None:
    visa.remove(by=alice)
    stripe.detach(visa)
    catch_up()
    assert CardOnFile.objects.get().next_look_at is None


def test_an_old_page_does_not_bring_it_back(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User
) -> None:
    session = stripe.sessions()[0]["id"]
    visa.remove(by=alice)
    card_setups.look_at_session(session)
    catch_up()
    card_setups.look_at_session(session)
    assert not acme.cards.filter(removed_at=None).exists()
