"""What was changed, by whom and from where, for programs: what the page of changes shows, and no more."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEntry, Role
from tests.program import Program, data, error


@pytest.fixture
def entries(acme, other, alice, sam, mallory):
    now = timezone.now()
    for number in range(12):
        AuditEntry.objects.create(
            action="mailbox.change", customer=acme, by=alice, subject=f"m{number}@acme.test", address="192.0.2.7",
            before={"quota_mb": 1, "name": "Anna"}, after={"quota_mb": 2, "name": "Anna", "api_key": "mxp_abcdefgh"},
            at=now - timedelta(days=number // 4 + 1),
        )  # fmt: skip
    AuditEntry.objects.create(action="domain.add", customer=other, by=mallory, subject="other.test")
    acme.suspend(reason="Spam was sent.", by=sam)


def changes(program, query=""):
    return data(program.get(f"audit?{query}"))["changes"]


def test_a_reader_gets_it(acme, bob, entries):
    found = changes(Program(acme, bob), "subject=m0@")
    entry = AuditEntry.objects.get(subject="m0@acme.test")
    assert found == [
        {
            "id": str(entry.pk), "at": entry.at.isoformat().replace("+00:00", "Z"), "who": "alice@example.test",
            "action": "mailbox.change", "words": "changed the mailbox m0@acme.test", "subject": "m0@acme.test",
            "before": {"quota_mb": 1}, "after": {"quota_mb": 2, "api_key": "mxp_abcdefgh"}, "reason": "",
            "address": "192.0.2.7",
        }
    ]  # fmt: skip


def test_nothing_of_others(program, entries):
    assert "other.test" not in str(changes(program, "limit=200"))
    assert changes(program, "who=mallory") == changes(program, "what=domain.add") == []


def test_of_staff_only_that_it_was_staff(program, entries):
    AuditEntry.objects.create(
        action="domain.add", customer_id=program.api_key.customer_id, by_staff=True, address="192.0.2.9",
        by=AuditEntry.objects.get(action="customer.suspend").by,
    )  # fmt: skip
    added, suspended = changes(program, "who=staff")
    assert (added["who"], added["address"]) == ("our staff", "")
    assert (suspended["words"], suspended["reason"]) == ("suspended acme", "Spam was sent.")
    assert "sam@" not in str(changes(program, "limit=200"))
    assert changes(program, "who=sam@") == []


def test_what_the_review_of_an_order_found_stays_with_staff(program, acme, sam):
    for action in ("order.check", "order.approve", "report.file", "thing.unknown"):
        values = {"text": "Secret", "value": "Secret"}
        audit.record(action, customer=acme, by=sam, subject=f"of {action}", before=values, after=values)
    (shown,) = changes(program, "who=staff")
    assert shown["action"] == "order.approve"
    assert (shown["before"], shown["after"], shown["reason"]) == ({}, {}, "")
    error(program.get("audit?what=order.check"), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("subject=m7@", 1),
        ("who=alice&what=mailbox.change", 12),
        ("what=customer.suspend", 1),
        ("who=system&what=customer.activate", 1),
        ("what=mailbox.change&since={m4}", 8),
        ("what=mailbox.change&until={m4}", 8),
    ],
)
def test_filters(program, entries, query, count):
    day = AuditEntry.objects.get(subject="m4@acme.test").at.date()
    assert len(changes(program, query.format(m4=day))) == count


@pytest.mark.parametrize(
    ("field", "value"),
    [("since", "yesterday"), ("until", "2026-02-30"), ("what", "x"), ("who", "x" * 255), ("subject", "%00")],
)
def test_filters_that_make_no_sense(program, field, value):
    answer = program.get(f"audit?{field}={value}")
    assert error(answer, 400, "VALIDATION_ERROR").get("field") == (field if value != "%00" else None)


def test_pages_follow_each_other_without_a_gap_at_the_same_cost(
    program, acme, entries, django_assert_num_queries
):
    seen, cursor = [], ""
    at = timezone.now()
    for number in range(5):
        AuditEntry.objects.create(action="domain.add", customer=acme, subject=f"{number}.test", at=at)
    while cursor is not None:
        with django_assert_num_queries(4):
            page = data(program.get(f"audit?limit=3&cursor={cursor}"))
        seen += [change["id"] for change in page["changes"]]
        cursor = page["next_cursor"]
    found = acme.audit_entries.order_by("-at", "-pk").values_list("pk", flat=True)
    assert seen == [str(pk) for pk in found]


def test_each_customer_has_its_own(other, acme, mallory, entries):
    other.memberships.create(user=acme.members.get(email="bob@example.test"), role=Role.READER)
    found = changes(Program(other, mallory), "what=domain.add")
    assert [change["subject"] for change in found] == ["other.test"]
