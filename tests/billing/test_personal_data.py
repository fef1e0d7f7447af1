"""What billing hands out about a person, and what it erases."""

import json
from collections.abc import Callable
from typing import Any

from django.utils import timezone

from accounts import privacy
from accounts.models import AuditEntry, User
from billing import reporting
from billing.models import FraudCheck, FraudReport, Invoice, Order, OrderMessage, ReviewDecision, ReviewNote
from foundation.unit_of_work import unit_of_work
from tests.accounts.test_privacy import handed_out
from tests.billing.conftest import check, fresh, pay


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
        "draft": None, "orders": [], "invoices": [], "messages": [], "billing_details": [], "gets_invoices_of": []
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
