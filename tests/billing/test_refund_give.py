"""Staff send back what was paid for an order that runs, or for a renewal: a part or all, with a reason."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import AuditEntry, Customer, Role, User
from billing import card_payments, card_refunds, ledger
from billing.crediting import grant_credit
from billing.invoicing import issue_anew
from billing.models import (
    CardOnFile,
    CardRefund,
    Invoice,
    Order,
    OrderConflict,
    Payment,
    Refund,
    Renewal,
    Sale,
    SaleConflict,
    Subscription,
)
from billing.submissions import Submission, new_token
from tests.billing.conftest import fresh, pay
from tests.billing.renewed import NEXT, live, newest, on_day, sweep
from tests.billing.renewed import pay as pay_sale
from tests.billing.stripe_desk import StripeDesk, catch_up, mails
from tests.billing.test_free_months_give import upgrade

AsPerson = Callable[[User], Client]
AHEAD = NEXT - timedelta(days=8)
TRANSFER = {"way": "bank_transfer", "amount": "20.00", "reference": "B-1", "reason": "It was down"}


def give(sale: Any, amount_minor: int, *, by: User, way: str = "bank_transfer", **more: Any) -> Refund:
    made: Refund = sale.refund(
        way=way, amount_minor=amount_minor, reason="It was down", reference="B-1",
        **{"submission": Submission(new_token(), "", True), "by": by, **more},
    )  # fmt: skip
    return made


def sums(sale: Sale) -> dict[str, int]:
    found = ledger.balances(sale.customer)[sale.currency]
    return {account.value: amount for account, amount in found.items() if amount}


def path_of(sale: Sale) -> str:
    assert sale.invoice
    return f"/admin/invoices/{sale.invoice.number}/refund/"


def page_of(client: Client, path: str) -> str:
    return " ".join(client.get(path).content.decode().split())


@pytest.fixture
def paid_by_card(stripe: StripeDesk, unpaid: Order, alice: User) -> Order:
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    catch_up()
    return fresh(unpaid)


@pytest.fixture
def half_paid(anna: Customer, sam: User) -> Renewal:
    """A renewal of which 20.00 USD are in."""
    live(anna, AHEAD, NEXT)
    with on_day(NEXT):
        pay_sale(newest(anna), "20.00", by=sam)
    return newest(anna)


def test_a_part_goes_back_to_the_card(
    stripe: StripeDesk, paid_by_card: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    client, path = as_(sam), path_of(paid_by_card)
    assert 'data-refundable="5900"' in page_of(client, path)
    payment = paid_by_card.payments.get()
    answer = client.post(path, TRANSFER | {"way": str(payment.pk), "reference": ""})
    assert (answer.status_code, answer["Location"]) == (302, path)
    assert "20.00 USD on the way to Visa 4242." in page_of(client, path)
    catch_up()
    assert stripe.kept_minor == 3900
    assert sums(paid_by_card) == {"revenue": -3900, "cards": 3900}
    assert Invoice.objects.get(kind="credit_note").total_minor == 2000
    assert fresh(paid_by_card).status == "active"
    [told] = mails("order.sent_back")
    assert told.to == [alice.email]
    assert "The reason: It was down" in told.body
    assert paid_by_card.invoice
    html = page_of(as_(alice), paid_by_card.invoice.get_absolute_url())
    assert "20.00 USD. 20.00 USD sent back to Visa 4242." in html
    assert "Reason: It was down" in html
    entry = AuditEntry.objects.get(action="refund.give", by=sam)
    assert entry.after == {"reason": "It was down", "amount": "20.00 USD", "way": "Back to the card"}


def test_a_transfer_is_noted(unpaid: Order, alice: User, sam: User, as_: AsPerson) -> None:
    pay(unpaid, "59.00", by=sam)
    client, path = as_(sam), path_of(unpaid)
    assert client.post(path, TRANSFER | {"reference": ""}).status_code == 422
    assert client.post(path, TRANSFER).status_code == 302
    assert sums(unpaid) == {"revenue": -3900, "bank": 3900}
    [told] = mails("refund.given")
    assert told.to == [alice.email]
    for part in ("20.00 USD", "by bank transfer", "B-1", "It was down"):
        assert part in told.body, part
    assert unpaid.invoice
    html = page_of(as_(alice), unpaid.invoice.get_absolute_url())
    assert "Sent by bank transfer, reference B-1." in html
    assert client.post(path, TRANSFER | {"amount": "39.01"}).status_code == 422
    assert client.post(path, TRANSFER | {"amount": "39.00"}).status_code == 302
    assert sums(unpaid) == {}
    assert "Nothing is left" in page_of(client, path)
    assert client.post(path, TRANSFER | {"amount": "1.00"}).status_code == 409
    assert fresh(unpaid).refund_owed == ""


def test_a_renewal_goes_back_too(stripe: StripeDesk, anna: Customer, visa: CardOnFile, sam: User) -> None:
    live(anna, AHEAD, NEXT)
    with on_day(NEXT, 13):
        give(newest(anna), 5900, way="card", by=sam)
        catch_up()
    assert stripe.kept_minor == 0
    renewal = newest(anna)
    assert renewal.invoice
    assert renewal.settled_at
    assert renewal.invoice.status == "credited"
    assert Subscription.objects.get(customer=anna).ended_at is None


def test_the_page_of_a_change_of_plan_says_that_the_plan_stays(
    service: Subscription, alice: User, sam: User, as_: AsPerson
) -> None:
    words = "A refund does not change the plan back: it stays 25 GB until the customer changes it."
    with on_day(AHEAD):
        upgrade(service, by=alice)
        made = Renewal.objects.get()
        assert words not in page_of(as_(sam), path_of(made))
        pay_sale(made, by=sam)
        assert words in page_of(as_(sam), path_of(made))
        assert words not in page_of(as_(sam), path_of(service.order))
        give(Renewal.objects.get(), made.total_minor, by=sam)
    assert Subscription.objects.get().plan.name == "25 GB"


def test_of_several_payments_the_newest_goes_first(
    stripe: StripeDesk, anna: Customer, sam: User, alice: User
) -> None:
    live(anna, AHEAD, NEXT)
    with on_day(NEXT):
        for intent, amount in (("pi_1", 3000), ("pi_2", 2900)):
            newest(anna).receive_card_payment(
                intent=intent, card="Visa 1", amount_minor=amount, currency="USD"
            )
        give(newest(anna), 4000, way="card", by=sam)
        assert list(CardRefund.objects.order_by("at").values_list("payment__reference", "amount_minor")) == [
            ("pi_2", 2900), ("pi_1", 1100)
        ]  # fmt: skip
        with pytest.raises(ValidationError, match="Choose another one"):
            give(newest(anna), 1000, way="card", by=sam, payment=Payment.objects.get(reference="pi_2"))
        give(newest(anna), 1000, way="card", by=sam, payment=Payment.objects.get(reference="pi_1"))
        assert newest(anna).refundable_minor == 900


def test_what_stripe_refuses_is_held_and_can_be_sent_otherwise(
    stripe: StripeDesk, paid_by_card: Order, sam: User
) -> None:
    give(paid_by_card, 2000, way="card", by=sam)
    card_refunds._fail(CardRefund.objects.get(), "refused")
    assert sums(paid_by_card) == {"revenue": -3900, "cards": 5900, "credit": -2000}
    [told] = mails("refund.failed")
    assert told.to == [sam.email]
    assert "20.00 USD are owed now" in told.body
    assert fresh(paid_by_card).refund_owed == "20.00 USD"
    give(fresh(paid_by_card), 2000, by=sam)
    assert sums(paid_by_card) == {"revenue": -3900, "cards": 5900, "bank": -2000}
    assert fresh(paid_by_card).refund_owed == ""
    assert Invoice.objects.filter(kind="credit_note").count() == 1


def test_a_renewal_paid_in_part_can_be_taken_back_after_a_refund(
    half_paid: Renewal, anna: Customer, alice: User, sam: User, service: Subscription
) -> None:
    with on_day(NEXT, 14):
        with pytest.raises(ValidationError, match="were paid for the renewal"):
            service.cancel(by=alice, at_once=True)
        give(half_paid, 2000, by=sam)
        assert newest(anna).due_minor == 5900
        assert not Invoice.objects.filter(kind="credit_note").exists()
        assert service.cancel(by=alice, at_once=True)
    assert sums(half_paid) == {"revenue": -5900, "bank": 5900}


def test_what_fails_of_an_open_renewal_pays_it_again(stripe: StripeDesk, anna: Customer, sam: User) -> None:
    live(anna, AHEAD, NEXT)
    with on_day(NEXT):
        newest(anna).receive_card_payment(intent="pi_1", card="Visa 1", amount_minor=3000, currency="USD")
        give(newest(anna), 1000, way="card", by=sam)
        assert newest(anna).due_minor == 3900
        card_refunds._fail(CardRefund.objects.get(), "refused")
        assert newest(anna).due_minor == 2900


def test_the_page_asks_little(
    service: Subscription, sam: User, as_: AsPerson, django_assert_max_num_queries: Any
) -> None:
    client, path = as_(sam), path_of(service.order)
    client.get(path)
    with django_assert_max_num_queries(20):
        assert "59.00 USD <span>can be sent back" in page_of(client, path)


def test_only_who_may_refund_is_led_there_and_from_the_last_invoice(
    unpaid: Order, sam: User, as_: AsPerson, staff_of: Callable[[str], User]
) -> None:
    page = "/admin/billing/invoice/"
    assert path_of(unpaid) in page_of(as_(sam), page)
    assert "Send money back" not in page_of(as_(staff_of("support")), page)
    first = path_of(unpaid)
    with unpaid._locked() as sale:
        issue_anew(sale)
    html = page_of(as_(sam), page)
    assert first not in html
    assert path_of(unpaid) in html


def test_twice_is_harmless(unpaid: Order, sam: User) -> None:
    pay(unpaid, "59.00", by=sam)
    once = Submission(new_token(), "", True)
    first = give(fresh(unpaid), 2000, by=sam, submission=once)
    assert give(fresh(unpaid), 2000, by=sam, submission=once) == first
    assert fresh(unpaid).paid_minor == 3900


def test_nobody_refunds_their_own(unpaid: Order, sam: User) -> None:
    pay(unpaid, "59.00", by=sam)
    unpaid.customer.memberships.create(user=sam, role=Role.READER)
    with pytest.raises(SaleConflict, match="You are a member"):
        give(fresh(unpaid), 2000, by=sam)


def test_of_what_does_not_run_nothing_goes_back_here(unpaid: Order, sam: User, as_: AsPerson) -> None:
    pay(unpaid, "20.00", by=sam)
    client, path = as_(sam), path_of(unpaid)
    assert "review page" in page_of(client, path)
    assert client.post(path, TRANSFER).status_code == 409
    assert not Refund.objects.exists()


@pytest.mark.parametrize("who", ["alice", "mallory"])
def test_others_get_403(unpaid: Order, as_: AsPerson, who: str, request: pytest.FixtureRequest) -> None:
    client = as_(request.getfixturevalue(who))
    assert client.get(path_of(unpaid)).status_code == 403
    assert client.post(path_of(unpaid), TRANSFER).status_code == 403


def test_the_database_refuses_more_than_was_paid(
    stripe: StripeDesk, paid_by_card: Order, unpaid: Order, sam: User
) -> None:
    give(paid_by_card, 5000, way="card", by=sam)
    order, refund = fresh(paid_by_card), Refund.objects.get()
    with pytest.raises(IntegrityError, match="More would go back"), transaction.atomic():
        order.refunds.create(amount_minor=901, currency="USD", by=sam)
    with pytest.raises(IntegrityError, match="than it paid"), transaction.atomic():
        order.payments.get().card_refunds.create(amount_minor=901, reason="staff", ordered=refund)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_at_once_no_more_goes_back_than_was_paid(unpaid: Order, sam: User) -> None:
    """Eight refunds of 20.00 USD each at the same moment, of 59.00 USD."""
    pay(unpaid, "59.00", by=sam)

    def one(_: int) -> bool:
        try:
            return bool(give(fresh(unpaid), 2000, by=sam))
        except (SaleConflict, ValidationError):
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(8))) == 2
    assert fresh(unpaid).paid_minor == 1900


def test_a_charge_takes_what_is_owed_again(
    stripe: StripeDesk, half_paid: Renewal, visa: CardOnFile, anna: Customer, sam: User
) -> None:
    with on_day(NEXT, 15):
        give(half_paid, 2000, by=sam)
        sweep(anna)
    assert stripe.kept_minor == 5900


def test_it_is_not_taken_for_what_was_owed(service: Subscription, sam: User) -> None:
    give(service.order, 100, by=sam)
    with pytest.raises(OrderConflict, match="Nothing is to be sent back"):
        fresh(service.order).record_refund("X-1", by=sam)
    assert Refund.objects.count() == 1


def test_the_database_refuses_to_send_credit_to_a_bank(
    service: Subscription, anna: Customer, sam: User
) -> None:
    with on_day(AHEAD):
        grant_credit(
            anna, amount_minor=5900, currency="USD", reason="It was down",
            submission=Submission(new_token(), "", True), by=sam,
        )  # fmt: skip
    live(anna, AHEAD, NEXT)
    paid = newest(anna)
    assert (paid.paid_by_credit_minor, paid.refundable_minor) == (5900, 0)
    with pytest.raises(IntegrityError, match="More would go back"), transaction.atomic():
        paid.refunds.create(amount_minor=5900, currency="USD", reference="x", by=sam)
