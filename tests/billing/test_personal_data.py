"""What billing hands out about a person, and what it erases."""

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts import deleting, privacy
from accounts.models import AuditEntry, Customer, Role, User
from billing import reporting, tasks
from billing.models import (
    BillingDetails,
    CardOnFile,
    CouponUse,
    FraudCheck,
    FraudReport,
    Invoice,
    Order,
    OrderMessage,
    ReviewDecision,
    ReviewNote,
    Subscription,
)
from billing.models.billing_details import ADDRESS, change_details
from foundation.unit_of_work import unit_of_work
from tests.accounts.test_privacy import handed_out
from tests.at_once import at_once
from tests.billing.conftest import check, fresh, pay
from tests.billing.coupons import coupon
from tests.billing.renewed import NEXT, live, newest, on_day
from tests.billing.stripe_desk import StripeDesk
from tests.billing.test_details_change import DETAILS, AsPerson, save
from tests.test_census import order_of


def test_export_is_whole_and_only_of_the_person(
    in_review: Order, alice: User, mallory: User, sam: User
) -> None:
    in_review.ask_question("Who?", by=sam)
    fresh(in_review).answer_question("Alice herself.", by=alice)
    data = handed_out(alice)["billing"]
    text = json.dumps(data)
    assert in_review.number in text
    assert "1 Long Street" in text
    assert "Alice herself." in text
    assert handed_out(mallory)["billing"] == {
        "draft": None, "orders": [], "renewals": [], "invoices": [], "messages": [], "billing_details": [],
        "gets_invoices_of": [], "coupons": [], "credits": [], "free_months": [], "cards": [],
        "disputes": [], "plan_changes": [],
    }  # fmt: skip


def test_erasing_blanks_what_came_to_nothing_and_names_what_stays(
    ordered: Callable[..., Order], unpaid: Order, alice: User, sam: User
) -> None:
    cancelled, still_open = ordered(), ordered()
    cancelled.cancel(by=alice)
    pay(unpaid, "59.00", by=sam)
    with unit_of_work():
        privacy.erase_person(alice)
    (kept,) = [line for line in privacy.kept(alice) if "orders" in line]
    assert unpaid.number in kept
    assert cancelled.number not in kept
    for gone in (fresh(cancelled), fresh(still_open)):
        assert gone.status == "cancelled"
        assert gone.street == "erased"
        assert gone.client_address is None
    assert fresh(unpaid).street == "1 Long Street"


def test_renewals_belong_to_the_owners_of_the_service(
    stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User, bob: User, carol: User, sam: User
) -> None:
    anna.memberships.create(user=bob, role=Role.OWNER)
    anna.memberships.create(user=carol, role=Role.BILLING)
    stripe.change(visa, number="4000000000000341")
    live(anna, NEXT - timedelta(days=7), NEXT + timedelta(days=10))
    number = newest(anna).label
    with on_day(NEXT + timedelta(days=10)):
        pay(newest(anna), "59.00", by=sam)
        for owner in (alice, bob):
            data = handed_out(owner)["billing"]
            (renewal,) = data["renewals"]
            assert (renewal["from"], renewal["until"], renewal["total"]) == (
                "2028-03-15",
                "2029-03-14",
                "59.00 USD",
            )
            assert [charge["card"] for charge in renewal["charges"]] == ["Visa 4242"] * 5
            assert [payment["amount_minor"] for payment in renewal["payments"]] == [5900]
            assert [step["step"] for step in renewal["done_while_unpaid"]][-1] == "Sending stopped"
            assert number in json.dumps(data["invoices"])
            assert any(number in line for line in privacy.kept(owner))
        for other in (carol, sam):
            data = handed_out(other)["billing"]
            assert (data["renewals"], data["invoices"]) == ([], [])


@pytest.mark.odd_rows
def test_what_was_given_disputed_and_changed_is_handed_out_and_named_as_kept(
    service: Subscription, alice: User, mallory: User, sam: User
) -> None:
    customer = service.customer
    assert not [line for line in privacy.kept(mallory) if "In the books" in line]
    given = {"by": sam, "submission": "s", "fingerprint": "f"}
    customer.credit_grants.create(amount_minor=100, currency="USD", reason="It was slow", **given)
    service.free_periods.create(months=1, period=1, from_on=NEXT, reason="It was down", **given)
    paid = service.order.payments.create(method="card", reference="pi_1", amount_minor=100, currency="USD")
    about = {"reason": "fraudulent", "status": "needs_response", "opened_at": timezone.now()}
    paid.disputes.create(dispute="du_1", amount_minor=100, currency="USD", **about)
    service.plan_changes.create(
        version=service.version, by=alice, why="Too small", outcome="dropped", ended_at=timezone.now()
    )
    CouponUse.of(coupon(), customer=customer, by=alice, currency="USD")
    service.order.refunds.create(
        way="other", amount_minor=50, currency="USD", reason="Nobody came", reference="B-1", **given
    )
    text = json.dumps(handed_out(alice)["billing"])
    for part in ("It was slow", "It was down", "fraudulent", "Too small", "SPRING-20", "Nobody came"):
        assert part in text, part
        assert part not in json.dumps(handed_out(mallory)["billing"])
    (kept,) = [line for line in privacy.kept(alice) if "In the books" in line]
    for part in ("coupons that you used", "credits", "free months", "refunds", "disputes", "changes of plan"):
        assert part in kept, part


def test_invoices_are_handed_out_and_kept(unpaid: Order, alice: User) -> None:
    invoice = unpaid.invoice
    assert invoice
    assert handed_out(alice)["billing"]["invoices"] == [invoice.document]
    fresh(unpaid).cancel(by=alice)
    with unit_of_work():
        privacy.erase_person(alice)
    (kept,) = [line for line in privacy.kept(alice) if "Invoices" in line]
    assert invoice.number in kept
    assert "kept for 10 years" in kept
    assert fresh(unpaid).street == "erased"
    assert Invoice.objects.get(pk=invoice.pk).document["buyer"]["street"] == "1 Long Street"


def test_reports_about_the_person_are_handed_out_and_none_is_sent_about_erased_details(
    in_review: Order, alice: User, sam: User, settings: Any
) -> None:
    settings.FRAUDRECORD_API_KEY = "key"
    sent = reporting.file_report(in_review, kind="spam", severity=2, text="Sent spam.", by=sam)
    FraudReport.objects.filter(pk=sent.pk).update(code="c0de", sent_at=timezone.now(), next_try_at=None)
    waiting = reporting.file_report(in_review, kind="spam", severity=3, text="Sent more.", by=sam)
    reports = handed_out(alice)["billing"]["orders"][0]["reports_to_fraudrecord"]
    assert [(report["text"], report["state"]) for report in reports] == [
        ("Sent spam.", "sent"), ("Sent more.", "waiting"),
    ]  # fmt: skip
    with unit_of_work():
        privacy.erase_person(alice)
    assert any("1 reports to FraudRecord" in words for words in privacy.kept(alice))
    assert not reporting.send_report(waiting.pk)
    assert FraudReport.objects.get(pk=sent.pk).code == "c0de"  # so that it can be withdrawn


def test_an_open_order_of_ones_own_is_in_the_way_until_it_is_cancelled(
    in_review: Order, alice: User, mallory: User
) -> None:
    (hindrance,) = [each for each in privacy.hindrances(alice) if in_review.number in each.text]
    assert hindrance.url == in_review.get_absolute_url()
    assert not privacy.hindrances(mallory)
    in_review.cancel(by=alice)
    assert not [each for each in privacy.hindrances(alice) if in_review.number in each.text]


def test_what_staff_wrote_about_the_person_is_erased_everywhere(
    ordered: Callable[..., Order], alice: User, sam: User, staff_of: Callable[[str], User], settings: Any
) -> None:
    settings.FRAUDRECORD_API_KEY = ""
    settings.REVIEW_SECOND_AMOUNT = 59.0
    reviewer = staff_of("reviewer")
    for decision in ("approve", "reject"):
        order = check(ordered())
        order.ask_question("A word of Anna: asked", by=sam)
        fresh(order).answer_question("A word of Anna: answered", by=alice)
        order.add_note("A word of Anna: noted", by=sam)
        for person in (sam, reviewer):
            getattr(fresh(order), decision)("A word of Anna: decided", by=person, seen=2)
        assert fresh(order).decision.text == "A word of Anna: decided"
    with unit_of_work():
        privacy.erase_person(alice)
    for model in (OrderMessage, ReviewDecision, ReviewNote, AuditEntry):
        rows = [str(row) for row in model.objects.values()]
        assert rows
        assert not [row for row in rows if "A word of Anna" in row], model


def test_questions_the_decision_and_the_verdict_are_handed_out_and_notes_are_not(
    in_review: Order, alice: User, sam: User
) -> None:
    in_review.ask_question("Whose domain is it?", by=sam)
    in_review.add_note("Looks odd to me", by=sam)
    fresh(in_review).reject("We do not serve this kind of use.", by=sam, seen=1)
    FraudCheck.objects.filter(order=in_review).update(outcome="held", value=21, count=3, reliability="7.5")
    data = handed_out(alice)["billing"]
    assert [(each["kind"], each["text"]) for each in data["messages"]] == [
        ("question", "Whose domain is it?")
    ]
    [order] = data["orders"]
    assert order["decision"]["decision"] == "reject"
    assert order["decision"]["text"] == "We do not serve this kind of use."
    check = order["fraud_check"]
    assert (check["value"], check["count"], float(check["reliability"])) == (21, 3, 7.5)
    assert "Looks odd" not in json.dumps(data)
    assert "Notes that our staff write for each other are not in the copy" in privacy.held()["billing"]


def test_they_are_handed_out_to_owners_and_their_recipients(
    acme: Customer, alice: User, bob: User, mallory: User, as_: AsPerson
) -> None:
    save(as_(alice), recipients=mallory.email)
    BillingDetails.objects.update(vat_consultation="WAPI123")
    [mine] = handed_out(alice)["billing"]["billing_details"]
    assert (mine["customer__username"], mine["street"]) == ("acme", "Weg 1")
    assert mine["vat_consultation"] == "WAPI123"
    assert handed_out(bob)["billing"]["billing_details"] == []
    theirs = handed_out(mallory)["billing"]
    assert (theirs["billing_details"], theirs["gets_invoices_of"]) == ([], ["acme"])


def test_who_is_erased_gets_no_invoices_any_more(
    acme: Customer, alice: User, mallory: User, as_: AsPerson
) -> None:
    save(as_(alice), recipients=f"books@acme.test\n{mallory.email}")
    email = mallory.email
    with unit_of_work():
        privacy.erase_person(mallory)
    assert BillingDetails.objects.get().recipients == ["books@acme.test"]
    assert email not in str(BillingDetails.objects.values())


def test_erasing_the_only_owner_erases_them_unless_something_was_paid(
    ordered: Callable[..., Order], unpaid: Order, alice: User, sam: User, as_: AsPerson
) -> None:
    nothing_paid = ordered()
    for order in (unpaid, nothing_paid):
        as_(alice).post(f"/c/{order.customer.username}/billing/details/", DETAILS)
    pay(unpaid, "59.00", by=sam)
    assert any("billing details" in line and "10 years" in line for line in privacy.kept(alice))
    with unit_of_work():
        privacy.erase_person(alice)
    assert BillingDetails.objects.get().customer == unpaid.customer


def test_they_stay_while_somebody_else_owns_the_customer(
    acme: Customer, alice: User, dave: User, as_: AsPerson
) -> None:
    save(as_(alice))
    acme.memberships.filter(user=dave).update(role=Role.OWNER)
    with unit_of_work():
        privacy.erase_person(alice)
    assert BillingDetails.objects.exists()


@pytest.mark.odd_rows
def test_the_legal_years_erase_them(
    acme: Customer, alice: User, sam: User, as_: AsPerson, settings: Any
) -> None:
    settings.INVOICE_YEARS = 3
    now = timezone.now()
    save(as_(alice))
    order = order_of(acme, alice)

    def left(changed: Any, placed: Any) -> int:
        BillingDetails.objects.update(changed_at=changed)
        Order.objects.filter(pk=order.pk).update(placed_at=placed)
        tasks.sweep_billing_details()
        return BillingDetails.objects.count()

    long_ago, of_the_year = now - timedelta(days=5 * 366), now.replace(year=now.year - 3, month=1, day=1)
    assert left(now, long_ago) == 1
    assert left(long_ago, now) == 1
    assert left(long_ago, of_the_year) == 1  # until the year is over
    subscription = order.customer.subscriptions.create(
        order=order, plan=order.plan, period="yearly", amount_minor=1, currency="USD", started_at=long_ago
    )
    assert left(long_ago, long_ago) == 1  # the service runs
    type(subscription).objects.update(ended_at=now)
    assert left(long_ago, long_ago) == 1
    type(subscription).objects.update(ended_at=long_ago + timedelta(days=1))
    assert left(long_ago, long_ago) == 0


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_erasing_somebody_and_changing_the_details_wait_for_each_other(
    ordered: Callable[..., Order], alice: User
) -> None:
    """Both lock the orders before the customer."""
    order, holding = ordered(), threading.Event()

    def erase() -> bool:
        with unit_of_work():
            deleting._hold_members(alice)
            holding.set()
            time.sleep(0.5)
            list(alice.orders.select_for_update(no_key=True))
        return True

    def change() -> BillingDetails:
        holding.wait(5)
        return change_details(order.customer, {"reference": "PO 1"}, by=alice)

    # A deadlock would raise in one of them and leave None.
    assert at_once(erase, change) == [True, BillingDetails.objects.get()]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_erasing_locks_whose_invoices_the_person_gets(acme: Customer, alice: User, mallory: User) -> None:
    fields = dict.fromkeys(ADDRESS, "x") | {"country": "DE", "recipients": [mallory.email]}
    change_details(acme, fields, by=alice)

    def take() -> list[Customer]:
        with unit_of_work():
            return list(Customer.objects.select_for_update(skip_locked=True).filter(pk=acme.pk))

    assert at_once(take) == [[acme]]
    with unit_of_work():
        privacy.hold_person(mallory)
        assert at_once(take) == [[]]
