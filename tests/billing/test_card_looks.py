"""Cards that change, vanish or expire without our doing: noted once, whoever tells, and told to their owners."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Customer, Notice, User
from billing import kept_cards, stripe_cards, stripe_events
from billing.models import CardOnFile, StripeEvent
from tests.billing.stripe_desk import StripeDesk, catch_up, mails, save_card, signed

AsPerson = Callable[[User], Client]


@pytest.fixture
def visa(stripe: StripeDesk, acme: Customer, alice: User) -> CardOnFile:
    return save_card(stripe, acme, alice)


def tell_all(stripe: StripeDesk) -> None:
    for event in stripe.events():
        body, signature = signed(event)
        headers = {"stripe-signature": signature}
        Client().post("/stripe/webhook/", body, content_type="application/json", headers=headers)
        stripe_events.work_event(event["id"])


def by_look(stripe: StripeDesk) -> None:
    catch_up()


@pytest.fixture(params=[tell_all, by_look])
def hear(request: pytest.FixtureRequest) -> Callable[[StripeDesk], None]:
    hear: Callable[[StripeDesk], None] = request.param
    return hear


def test_a_successor_is_taken_over(
    stripe: StripeDesk, visa: CardOnFile, hear: Callable[[StripeDesk], None]
) -> None:
    stripe.change(visa, exp_month=3, exp_year=2045, last4="1881")
    for _ in range(2):
        hear(stripe)
    visa.refresh_from_db()
    assert (str(visa), visa.exp_month, visa.exp_year) == ("Visa 1881", 3, 2045)
    entry = AuditEntry.objects.get(action="card.change")
    assert entry.before == {"card": "Visa 4242", "expires": "12/2040"}
    assert entry.after == {"card": "Visa 1881", "expires": "03/2045"}


def test_one_that_is_taken_off_in_the_dashboard(
    stripe: StripeDesk, visa: CardOnFile, acme: Customer, alice: User, hear: Callable[[StripeDesk], None]
) -> None:
    second = save_card(stripe, acme, alice, "5555555555554444")
    stripe.detach(visa)
    for _ in range(2):
        hear(stripe)
    visa.refresh_from_db()
    assert visa.state == "removed"
    assert visa.removed_by is None
    assert kept_cards.default_card(acme) == second
    assert AuditEntry.objects.filter(action="card.lose").count() == 1
    [message] = mails("card.gone")
    assert message.to == ["alice@example.test", "carol@example.test", "dave@example.test"]
    assert "charged to Mastercard ending in 4444 from now on" in message.body


def test_the_last_one_says_what_to_do(stripe: StripeDesk, visa: CardOnFile) -> None:
    stripe.detach(visa)
    catch_up()
    [message] = mails("card.gone")
    assert message.subject == "Your card Visa 4242 is not kept any more"
    assert "Add a card to go on as before." in message.body
    assert "/c/acme/billing/cards/" in message.body


def test_the_key_of_another_account_loses_nothing(
    stripe: StripeDesk, visa: CardOnFile, caplog: pytest.LogCaptureFixture
) -> None:
    """There nobody knows the card. It is where it was, and the right key finds it again."""
    known = stripe.books.objects.pop(visa.method)
    catch_up()
    visa.refresh_from_db()
    assert (visa.state, visa.is_default) == ("valid", True)
    assert "resource_missing" in caplog.text
    assert "ERROR" in {record.levelname for record in caplog.records}
    stripe.books.objects[visa.method] = known
    stripe.change(visa, last4="1881")
    catch_up()
    visa.refresh_from_db()
    assert visa.last4 == "1881"


def test_one_that_was_removed_here_is_no_news(stripe: StripeDesk, visa: CardOnFile, alice: User) -> None:
    visa.remove(by=alice)
    catch_up()
    tell_all(stripe)
    assert not Notice.objects.filter(kind="card.gone").exists()
    assert not AuditEntry.objects.filter(action="card.lose").exists()


def test_events_about_cards_of_others_are_foreign(
    stripe: StripeDesk, acme: Customer, visa: CardOnFile
) -> None:
    CardOnFile.objects.all().delete()
    tell_all(stripe)
    outcomes = StripeEvent.objects.filter(kind="payment_method.attached").values_list("outcome", flat=True)
    assert list(outcomes) == ["foreign"]


def test_a_card_is_looked_at_once_a_week(stripe: StripeDesk, visa: CardOnFile) -> None:
    CardOnFile.objects.update(next_look_at=timezone.now())
    [due] = kept_cards.due_cards()
    assert kept_cards.look_at_card(due)
    assert not kept_cards.look_at_card(due)
    next_look_at = CardOnFile.objects.get().next_look_at
    assert next_look_at
    assert timedelta(days=6, hours=23) < next_look_at - timezone.now() <= timedelta(days=7)


def test_a_look_that_fails_is_put_off(stripe: StripeDesk, visa: CardOnFile) -> None:
    CardOnFile.objects.update(next_look_at=timezone.now(), looks=0)
    stripe.fail("GET /v1/payment_methods", "500")
    assert kept_cards.look_at_card(str(visa.pk))
    next_look_at = CardOnFile.objects.get().next_look_at
    assert next_look_at
    assert timedelta(seconds=50) < next_look_at - timezone.now() <= timedelta(minutes=1)
    assert not CardOnFile.objects.get().removed_at


def at(year: int, month: int, day: int) -> Any:
    """As if it were then."""
    moment = datetime(year, month, day, 9, tzinfo=UTC)
    return patch("django.utils.timezone.now", lambda: moment)


@pytest.fixture
def ends_in_april(stripe: StripeDesk, acme: Customer, alice: User) -> CardOnFile:
    card = save_card(stripe, acme, alice)
    CardOnFile.objects.update(exp_month=4, exp_year=2031)
    card.refresh_from_db()
    return card


def test_its_owner_is_told_30_and_7_days_before_its_end(ends_in_april: CardOnFile) -> None:
    told = []
    for day in range(25, 32):
        with at(2031, 3, day):
            told.append(kept_cards.warn_of_expiry())
    for day in range(1, 31):
        with at(2031, 4, day):
            told.append(kept_cards.warn_of_expiry())
    with at(2031, 5, 1):
        told.append(kept_cards.warn_of_expiry())
    days = [index for index, count in enumerate(told) if count]
    assert days == [6, 29]  # 31 March, 23 April
    with at(2031, 4, 24):
        messages = mails("card.expiring")
    assert [message.subject for message in messages] == ["Your card Visa 4242 expires on 30 April 2031"] * 2
    assert messages[0].to == ["alice@example.test", "carol@example.test", "dave@example.test"]
    assert "Has your bank sent you a new one?" in messages[0].body


def test_a_sweep_that_was_away_for_weeks_tells_once(ends_in_april: CardOnFile) -> None:
    with at(2031, 4, 26):
        assert kept_cards.warn_of_expiry() == 1
        assert kept_cards.warn_of_expiry() == 0


def test_the_short_month_is_not_forgotten(ends_in_april: CardOnFile) -> None:
    CardOnFile.objects.update(exp_month=2)
    with at(2031, 1, 28):
        assert kept_cards.warn_of_expiry() == 0
    with at(2031, 1, 29):
        assert kept_cards.warn_of_expiry() == 1


def test_february_is_not_left_out(ends_in_april: CardOnFile) -> None:
    """Thirty days after the end of January is March."""
    CardOnFile.objects.update(exp_month=2)
    with at(2031, 1, 30):
        assert kept_cards.warn_of_expiry() == 1


def test_what_changes_nothing_about_its_end_is_no_reason_to_write_again(
    ends_in_april: CardOnFile, stripe: StripeDesk
) -> None:
    with at(2031, 4, 10):
        assert kept_cards.warn_of_expiry() == 1
    facts = stripe_cards.look_at_card(ends_in_april.method)
    assert facts
    assert ends_in_april.note_facts(
        replace(facts, exp_month=4, exp_year=2031, last4="1881", fingerprint="other")
    )
    with at(2031, 4, 11):
        assert kept_cards.warn_of_expiry() == 0


def test_a_card_that_is_charged_for_nothing_is_no_reason_to_write(
    ends_in_april: CardOnFile, stripe: StripeDesk, acme: Customer, alice: User
) -> None:
    save_card(stripe, acme, alice, "5555555555554444").make_default(by=alice)
    with at(2031, 4, 20):
        assert kept_cards.warn_of_expiry() == 0


def test_a_mail_about_a_card_that_has_a_successor_is_not_sent(
    ends_in_april: CardOnFile, stripe: StripeDesk
) -> None:
    with at(2031, 4, 20):
        kept_cards.warn_of_expiry()
        CardOnFile.objects.update(exp_year=2035)
        assert mails("card.expiring") == []
    assert mail.outbox == []


def test_a_successor_is_warned_of_in_its_time(ends_in_april: CardOnFile, stripe: StripeDesk) -> None:
    with at(2031, 4, 26):
        kept_cards.warn_of_expiry()
    stripe.change(ends_in_april, exp_month=4, exp_year=2035)
    catch_up()
    with at(2035, 4, 1):
        assert kept_cards.warn_of_expiry() == 1


def test_the_page_says_what_expires(ends_in_april: CardOnFile, alice: User, bob: User, as_: AsPerson) -> None:
    def page(reader: User) -> str:
        return " ".join(as_(reader).get("/c/acme/billing/cards/").content.decode().split())

    advice = "Add your new card, and renewals are charged to that one."
    with at(2031, 3, 20):
        assert advice not in page(alice)
    with at(2031, 4, 20):
        assert "Expiring" in page(bob)
        assert advice not in page(bob)
        assert f"Visa ending in 4242 can be charged until 30 April 2031. {advice}" in page(alice)
    with at(2031, 5, 1):
        assert "Expired" in page(alice)
        assert f"Visa ending in 4242 has expired. {advice}" in page(alice)
