"""A dispute: staff's case, the facts to answer with, and where the money is while the bank decides and afterwards."""

import random
from collections.abc import Callable
from datetime import timedelta
from itertools import permutations

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Customer, User
from billing import card_disputes, card_payments, ledger
from billing.models import CardOnFile, Dispute, Invoice, Order, Refund, Sale, SaleConflict, Subscription
from tests.billing.conftest import fresh
from tests.billing.renewed import NEXT, live, newest, on_day
from tests.billing.stripe_desk import StripeDesk, mails
from tests.billing.test_refund_give import give

AsPerson = Callable[[User], Client]
DISPUTED = "4000000000000259"


def sums(sale: Sale) -> dict[str, int]:
    found = ledger.balances(sale.customer)[sale.currency]
    return {account.value: amount for account, amount in found.items() if amount}


def look(stripe: StripeDesk) -> bool:
    [dispute] = stripe.books.all("dispute")
    return card_disputes.look_at_dispute(dispute["id"])


@pytest.fixture
def disputed(stripe: StripeDesk, unpaid: Order, alice: User) -> Order:
    """Paid by card, and disputed at once."""
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice), DISPUTED)
    card_payments.learn_payment(unpaid)
    assert look(stripe)
    return fresh(unpaid)


def test_the_bank_takes_the_money_and_staff_have_a_case(
    disputed: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    assert sums(disputed) == {"revenue": -5900, "disputed": 5900}
    assert (disputed.status, disputed.refundable_cards) == ("active", [])
    dispute = Dispute.objects.get()
    assert dispute.due_at
    assert dispute.due_at > timezone.now() + timedelta(days=6)
    [told] = mails("payment.disputed")
    assert told.to == [sam.email]
    assert f"/admin/disputes/{dispute.dispute}/" in told.body
    html = " ".join(as_(sam).get(f"/admin/disputes/{dispute.dispute}/").content.decode().split())
    for part in (
        "Dispute over 59.00 USD", 'data-status="needs_response"', "Fraudulent", "Answer in Stripe's dashboard",
        "Anna Example", disputed.number, "198.51.100.7", "Terms accepted", "Visa 0259", "10 GB, since",
        "placed the order …", "issued on",
    ):  # fmt: skip
        assert part in html, part


def test_won_it_comes_back(stripe: StripeDesk, disputed: Order) -> None:
    stripe.decide("under_review")
    look(stripe)
    assert not Dispute.objects.get().is_answerable
    stripe.decide("won")
    look(stripe)
    assert sums(disputed) == {"revenue": -5900, "cards": 5900}
    assert Dispute.objects.get().closed_at
    assert not Invoice.objects.filter(kind="credit_note").exists()
    assert len(fresh(disputed).refundable_cards) == 1


def test_lost_there_is_a_credit_note(
    stripe: StripeDesk, disputed: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    stripe.decide("lost")
    look(stripe)
    assert sums(disputed) == {}
    note = Invoice.objects.get(kind="credit_note")
    assert note.total_minor == 5900
    order = fresh(disputed)
    assert (order.status, order.paid_minor, order.refund_owed) == ("active", 0, "")
    assert order.customer.ended_at is None
    with pytest.raises(SaleConflict, match="nothing that could be sent back"):
        give(order, 100, by=sam)
    assert order.invoice
    html = as_(alice).get(order.invoice.get_absolute_url()).content.decode()
    assert "Taken back by the bank of the card." in html
    assert (
        "The bank kept the money"
        in as_(sam).get(f"/admin/disputes/{Dispute.objects.get().dispute}/").content.decode()
    )


def test_lost_after_a_part_went_back(stripe: StripeDesk, unpaid: Order, alice: User, sam: User) -> None:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice), DISPUTED)
    card_payments.learn_payment(unpaid)
    give(fresh(unpaid), 2000, by=sam)
    look(stripe)
    stripe.decide("lost")
    look(stripe)
    assert fresh(unpaid).paid_minor == 0
    assert sums(unpaid) == {"credit": 2000, "bank": -2000}  # it is the customer who owes us that


def test_of_a_renewal(stripe: StripeDesk, anna: Customer, visa: CardOnFile) -> None:
    stripe.change(visa, number=DISPUTED)
    live(anna, NEXT - timedelta(days=8), NEXT)
    with on_day(NEXT, 13):
        look(stripe)
        stripe.decide("lost")
        look(stripe)
    renewal = newest(anna)
    assert renewal.invoice
    assert renewal.invoice.status == "credited"
    assert renewal.settled_at
    assert not anna.suspensions.in_force().exists()


@pytest.mark.parametrize("end", ["won", "lost"])
def test_only_the_end_is_heard_of(stripe: StripeDesk, unpaid: Order, alice: User, end: str) -> None:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice), DISPUTED)
    card_payments.learn_payment(unpaid)
    stripe.decide(end)
    look(stripe)
    assert sums(unpaid) == ({} if end == "lost" else {"revenue": -5900, "cards": 5900})


def test_doubles_and_late_facts_change_nothing(
    stripe: StripeDesk, disputed: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Facts that were read at each step reach the database in every order, each of them twice."""
    from billing import stripe_gateway as gateway

    [dispute] = stripe.books.all("dispute")
    read = [gateway.look_at_dispute(dispute["id"])]
    for status in ("under_review", "lost"):
        stripe.decide(status)
        read.append(gateway.look_at_dispute(dispute["id"]))
    order = random.Random(7).choice(list(permutations(read)))
    for facts in [*order, *order, read[-1]]:
        monkeypatch.setattr(gateway, "look_at_dispute", lambda _, facts=facts: facts)
        look(stripe)
    assert sums(disputed) == {}
    assert Refund.objects.count() == 1
    assert Dispute.objects.get().status == "lost"
    told = AuditEntry.objects.filter(action="payment.dispute").count()
    look(stripe)
    assert AuditEntry.objects.filter(action="payment.dispute").count() == told


def test_what_is_not_ours_is_left(stripe: StripeDesk, disputed: Order) -> None:
    [dispute] = stripe.books.all("dispute")
    dispute["payment_intent"] = "pi_of_another"
    assert not look(stripe)


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(disputed: Order, as_: AsPerson, who: str, request: pytest.FixtureRequest) -> None:
    client = as_(request.getfixturevalue(who))
    assert client.get(f"/admin/disputes/{Dispute.objects.get().dispute}/").status_code == 403


def test_an_unknown_one_is_404(disputed: Order, sam: User, as_: AsPerson) -> None:
    assert as_(sam).get("/admin/disputes/du_none/").status_code == 404


def test_what_the_bank_may_keep_staff_do_not_send_as_well(
    stripe: StripeDesk, disputed: Order, alice: User, sam: User
) -> None:
    with pytest.raises(SaleConflict):
        give(disputed, 5900, by=sam)
    service = Subscription.objects.get(order=disputed)
    service.cancel(by=alice, at_once=True)
    assert Subscription.objects.get(pk=service.pk).return_quote().total_minor == 5900
    stripe.decide("won")
    look(stripe)
    assert Subscription.objects.get(pk=service.pk).return_quote().total_minor == 0
    assert fresh(disputed).refundable_minor == 5900
