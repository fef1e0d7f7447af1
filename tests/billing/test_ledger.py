"""The ledger of a customer: what is posted when money moves, that it only grows, and that it agrees with the orders."""

import random

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from billing import card_disputes, card_payments, card_refunds, ledger
from billing.invoice_document import InvoiceDocument
from billing.models import (
    Account,
    CardRefund,
    EntryKind,
    Invoice,
    LedgerEntry,
    Order,
    OrderStatus,
    SaleConflict,
)
from billing.stripe_gateway import RefundFacts
from deploy.stripe_stand_in.disputes import dispute
from tests.billing.books import must_balance
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import StripeDesk, catch_up, mails
from tests.billing.test_credit_grant import grant
from tests.billing.test_refund_give import give
from tests.conftest import NEVER_EMPTIED
from tests.faults import Dice, kills

PRICE = 5900


def sums(order: Order) -> dict[str, int]:
    """The accounts of the order's customer that are not zero."""
    found = ledger.balances(order.customer).get(order.currency, {})
    return {account.value: amount for account, amount in found.items() if amount}


def posted(order: Order) -> list[tuple[str, str, str, int]]:
    fields = ("kind", "debit", "credit", "amount_minor")
    return list(order.customer.ledger_entries.order_by("id").values_list(*fields))


def test_an_order_that_is_to_be_paid_is_owed(unpaid: Order) -> None:
    assert posted(unpaid) == [("sale", "receivable", "revenue", PRICE)]
    assert sums(unpaid) == {"receivable": PRICE, "revenue": -PRICE}


def test_a_transfer_pays_the_invoice(unpaid: Order, sam: User) -> None:
    pay(unpaid, "20.00", by=sam)
    assert sums(unpaid) == {"receivable": 3900, "revenue": -PRICE, "bank": 2000}
    assert fresh(unpaid).status == OrderStatus.UNPAID
    pay(unpaid, "39.00", by=sam)
    assert sums(unpaid) == {"revenue": -PRICE, "bank": PRICE}
    assert fresh(unpaid).status == OrderStatus.ACTIVE
    assert posted(unpaid)[1:3] == [
        ("payment", "bank", "credit", 2000),
        ("settle", "credit", "receivable", 2000),
    ]


def test_what_a_card_pays_too_much_is_held_until_it_went_back(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User
) -> None:
    url = card_payments.pay_by_card(unpaid, by=alice)
    pay(unpaid, "59.00", by=sam)
    stripe.pay(url)
    card_payments.learn_payment(fresh(unpaid))
    assert sums(unpaid) == {"revenue": -PRICE, "bank": PRICE, "cards": PRICE, "credit": -PRICE}
    catch_up()
    assert sums(unpaid) == {"revenue": -PRICE, "bank": PRICE}


def test_a_cancelled_order_owes_nothing_and_has_its_money(unpaid: Order, alice: User, sam: User) -> None:
    pay(unpaid, "20.00", by=sam)
    fresh(unpaid).cancel(by=alice)
    assert sums(unpaid) == {"credit": -2000, "bank": 2000}
    fresh(unpaid).record_refund("By bank", by=sam)
    assert sums(unpaid) == {}
    assert posted(unpaid)[-3:] == [
        ("sale", "revenue", "receivable", PRICE),
        ("release", "receivable", "credit", 2000),
        ("refund", "credit", "bank", 2000),
    ]


def test_what_somebody_sends_back_at_stripe_of_what_runs_is_credited(
    stripe: StripeDesk, unpaid: Order, alice: User
) -> None:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    catch_up()
    assert sums(unpaid) == {"revenue": -PRICE, "cards": PRICE}
    made = stripe.send_by_hand(1000)
    assert card_refunds.look_at_refund(made["id"])
    assert sums(unpaid) == {"revenue": -4900, "cards": 4900}
    note = Invoice.objects.get(kind="credit_note")
    assert note.total_minor == 1000
    assert InvoiceDocument.from_json(note.document).lines[0].text == f"Part of {note.corrects}"
    with stripe.books.lock:
        made["status"] = "failed"
    assert card_refunds.look_at_refund(made["id"])
    assert sums(unpaid) == {"revenue": -4900, "cards": PRICE, "credit": -1000}


def test_what_somebody_sends_back_before_it_runs_is_owed_again(
    stripe: StripeDesk, looked_at_again: Order, sam: User
) -> None:
    order = looked_at_again
    made = stripe.send_by_hand(1000)
    assert card_refunds.look_at_refund(made["id"])
    assert sums(order) == {"receivable": 1000, "revenue": -PRICE, "cards": 4900}
    assert order.approve("", by=sam, seen=order.seen)
    assert fresh(order).due_minor == 1000
    with stripe.books.lock:
        made["status"] = "failed"
    assert card_refunds.look_at_refund(made["id"])
    assert sums(order) == {"revenue": -PRICE, "cards": PRICE}
    assert fresh(order).status == OrderStatus.ACTIVE


def test_a_refund_that_stripe_refuses_is_held(
    stripe: StripeDesk, unpaid: Order, alice: User, sam: User
) -> None:
    """A card paid all, a transfer a part more; staff sent so much back at Stripe that the rest is refused."""
    url = card_payments.pay_by_card(unpaid, by=alice)
    pay(unpaid, "20.00", by=sam)
    stripe.pay(url)
    card_payments.learn_payment(fresh(unpaid))
    refund = CardRefund.objects.get()
    assert (refund.amount_minor, fresh(unpaid).status) == (2000, OrderStatus.ACTIVE)
    assert card_refunds.look_at_refund(stripe.send_by_hand(4000)["id"])
    card_refunds._fail(refund, "refused")
    assert sums(unpaid) == {"revenue": -2000, "cards": 1900, "bank": 2000, "credit": -1900}


def test_money_in_another_currency_pays_nothing(unpaid: Order) -> None:
    unpaid.receive_card_payment(intent="pi_1", card="Visa 4242", amount_minor=PRICE, currency="EUR")
    card_refunds._fail(CardRefund.objects.get(), "refused")
    assert ledger.balances(unpaid.customer)["EUR"][Account.CREDIT] == -PRICE
    invoice = unpaid.invoice
    assert invoice
    assert invoice.open_minor == PRICE


def test_a_reply_that_comes_after_the_failure_changes_nothing(
    stripe: StripeDesk, unpaid: Order, alice: User
) -> None:
    unpaid.receive_card_payment(intent="pi_1", card="Visa 4242", amount_minor=2 * PRICE, currency="USD")
    refund = CardRefund.objects.get()
    late = CardRefund.objects.select_related("payment__order__customer").get()
    card_refunds._fail(refund, "refused")
    facts = RefundFacts("re_1", str(refund.pk), "pi_1", PRICE, failed=False, done=True)
    card_refunds._learn(late, facts)
    assert sums(unpaid) == {"revenue": -PRICE, "cards": 2 * PRICE, "credit": -PRICE}
    assert not mails("order.sent_back")


def test_each_cause_is_posted_once(unpaid: Order, sam: User) -> None:
    pay(unpaid, "20.00", by=sam)
    before = posted(unpaid)
    order = fresh(unpaid)
    invoice = order.invoice
    assert invoice
    ledger.post_document(invoice)
    ledger.post_payment(order.payments.get(), invoice, 2000)
    assert posted(unpaid) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_ledgerentry SET amount_minor = 1",
        "DELETE FROM billing_ledgerentry",
        "UPDATE billing_invoice SET total_minor = 1, net_minor = 1",
        "UPDATE billing_invoice SET document = '{}'",
        "UPDATE billing_invoice SET erased_at = now(), number = 'INV-1'",
        "UPDATE billing_invoice SET erased_at = now(), document = document || '{\"total_minor\": 1}'",
        "DELETE FROM billing_invoice",
    ],
)
def test_the_database_refuses_to_change_what_stands(unpaid: Order, statement: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", ["billing_ledgerentry", "billing_invoice"])
def test_the_tables_are_not_emptied_at_one_stroke(unpaid: Order, table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {NEVER_EMPTIED[table]}")
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute(f"TRUNCATE {table} CASCADE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {NEVER_EMPTIED[table]}")


def test_an_entry_has_one_cause_and_two_accounts(unpaid: Order) -> None:
    entry = LedgerEntry.objects.get()
    facts = {
        "customer": unpaid.customer, "kind": EntryKind.SALE, "debit": Account.BANK, "credit": Account.CREDIT,
        "amount_minor": 1, "currency": "USD",
    }  # fmt: skip
    for wrong in (
        {},
        {"document": entry.document, "credit": Account.BANK},
        {"document": entry.document, "amount_minor": 0},
        {"document": entry.document, "debit": Account.RECEIVABLE},
        {"document": entry.document, "invoice": entry.document, "kind": EntryKind.TAX},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            LedgerEntry.objects.create(**(facts | wrong))
    with pytest.raises(TypeError):
        entry.save()


@pytest.mark.soak
@pytest.mark.parametrize("walk", range(kills(6, 200)))
def test_whatever_happens_the_books_agree_with_the_orders(
    stripe: StripeDesk, looked_at_again: Order, alice: User, sam: User, rng: Dice, walk: int
) -> None:
    """Random acts on one order, by its customer, by staff, at Stripe; it was paid by card while staff looked at it."""
    chance, order, urls = random.Random(f"{rng.seed_given}-{walk}"), looked_at_again, []

    def part() -> None:
        pay(fresh(order), f"{chance.randint(1, 59)}.00", by=sam, reference=str(chance.random()))

    def late() -> None:
        amount = chance.choice([1000, PRICE])
        fresh(order).receive_card_payment(
            intent=f"pi_{chance.random()}"[:20], card="Visa 4242", amount_minor=amount, currency="USD"
        )

    def question() -> None:
        if fresh(order).status == OrderStatus.UNPAID:
            order.messages.create(kind="answer", text="By the way", by=alice)

    def by_hand() -> None:
        amount, charges = chance.choice([100, 1000, 2000]), stripe.books.all("charge", status="succeeded")
        left = charges[0]["amount"] - charges[0]["amount_refunded"] if charges else 0
        if left > amount and not charges[0]["disputed"]:
            card_refunds.look_at_refund(stripe.send_by_hand(amount)["id"])

    def come_back() -> None:
        if sent := [refund for refund in stripe.books.all("refund") if refund["status"] == "succeeded"]:
            made = chance.choice(sent)
            made["status"] = "failed"
            card_refunds.look_at_refund(made["id"])

    def refuse() -> None:
        if waiting := list(CardRefund.objects.filter(sent_at=None, failed_at=None)):
            card_refunds._fail(chance.choice(waiting), "refused")

    def give_back() -> None:
        way = chance.choice(["card", "bank_transfer"])
        give(fresh(order), chance.choice([100, 1000, PRICE]), way=way, by=sam)

    def credit() -> None:
        grant(order.customer, 1000, by=sam)

    def take_credit_back() -> None:
        if given := list(order.customer.credit_grants.all()):
            chance.choice(given).take_back(by=sam)

    def disputed() -> None:
        with stripe.books.lock:
            charges = [
                each
                for each in stripe.books.all("charge", status="succeeded")
                if not each["disputed"] and not each["refunded"]
            ]
            made = dispute(stripe.books, chance.choice(charges)) if charges else None
        if made:
            card_disputes.look_at_dispute(made["id"])

    def decided() -> None:
        if any(each["status"] in ("needs_response", "under_review") for each in stripe.books.all("dispute")):
            card_disputes.look_at_dispute(stripe.decide(chance.choice(["under_review", "won", "lost"]))["id"])

    acts = {
        "give back": give_back,
        "credit": credit,
        "take credit back": take_credit_back,
        "disputed": disputed,
        "decided": decided,
        "part": part,
        "late": late,
        "question": question,
        "by hand": by_hand,
        "come back": come_back,
        "refuse": refuse,
        "card": lambda: urls.append(card_payments.pay_by_card(fresh(order), by=alice)),
        "pay": lambda: urls and stripe.pay(chance.choice(urls)),
        "catch up": catch_up,
        "approve": lambda: fresh(order).approve("Fine", by=sam, seen=fresh(order).seen),
        "reject": lambda: chance.random() < 0.2 and fresh(order).reject("No", by=sam, seen=fresh(order).seen),
        "cancel": lambda: chance.random() < 0.2 and fresh(order).cancel(by=alice),
        "refund": lambda: fresh(order).record_refund("By bank", by=sam),
    }
    done = []
    for _ in range(26):
        done.append(chance.choice([*acts, "by hand", "come back", "refuse", "approve"]))
        try:
            acts[done[-1]]()
        except (SaleConflict, ValidationError, card_payments.CardRefused):
            done[-1] += " (refused)"
        try:
            must_balance()
        except AssertionError as error:
            raise AssertionError(f"seed {rng.seed_given}, walk {walk}: {done}: {error}") from error
