"""Which card renewals are charged to."""

from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing.kept_cards import default_card
from billing.models import CardOnFile
from tests.at_once import at_once
from tests.billing.stripe_desk import StripeDesk, save_card

AsPerson = Callable[[User], Client]


@pytest.fixture
def visa(stripe: StripeDesk, acme: Customer, alice: User) -> CardOnFile:
    return save_card(stripe, acme, alice)


@pytest.fixture
def second(visa: CardOnFile, stripe: StripeDesk, acme: Customer, alice: User) -> CardOnFile:
    return save_card(stripe, acme, alice, "5555555555554444")


def path(card: CardOnFile) -> str:
    return f"/c/acme/billing/cards/{card.pk}/default/"


def test_works(visa: CardOnFile, second: CardOnFile, acme: Customer, carol: User, as_: AsPerson) -> None:
    assert default_card(acme) == visa
    answer = as_(carol).post(path(second), follow=True)
    assert answer.redirect_chain == [("/c/acme/billing/cards/", 302)]
    assert "Renewals are charged to Mastercard 4444 from now on." in answer.content.decode()
    assert default_card(acme) == second
    entry = AuditEntry.objects.get(action="card.make_default")
    assert (entry.subject, entry.before, entry.by) == ("Mastercard 4444", {"card": "Visa 4242"}, carol)


def test_a_stranger_gets_404(second: CardOnFile, mallory: User, other: Customer, as_: AsPerson) -> None:
    assert as_(mallory).post(path(second)).status_code == 404
    assert as_(mallory).post(f"/c/other/billing/cards/{second.pk}/default/").status_code == 404


def test_a_reader_gets_403(second: CardOnFile, bob: User, as_: AsPerson) -> None:
    assert as_(bob).post(path(second)).status_code == 403
    second.refresh_from_db()
    assert not second.is_default


def test_twice_is_harmless(second: CardOnFile, alice: User) -> None:
    assert second.make_default(by=alice)
    assert not second.make_default(by=alice)
    assert AuditEntry.objects.filter(action="card.make_default").count() == 1


def test_one_that_was_removed_is_not(
    visa: CardOnFile, second: CardOnFile, acme: Customer, alice: User, as_: AsPerson
) -> None:
    second.remove(by=alice)
    html = as_(alice).post(path(second), follow=True).content.decode()
    assert "Mastercard 4444 is not kept any more." in html
    assert default_card(acme) == visa


def test_the_database_knows_one_default(visa: CardOnFile, second: CardOnFile) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        CardOnFile.objects.update(is_default=True)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_several_at_once_end_with_one(
    stripe: StripeDesk, acme: Customer, alice: User, visa: CardOnFile, second: CardOnFile
) -> None:
    third = save_card(stripe, acme, alice, "4000000000000341")
    at_once(*[lambda card=card: card.make_default(by=alice) for card in (visa, second, third) * 3])
    assert acme.cards.filter(is_default=True).count() == 1
