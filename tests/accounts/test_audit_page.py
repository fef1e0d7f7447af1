"""A customer's members see what was changed, by whom, from where and why."""

import ast
import csv
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import audit
from accounts.audit_words import ACTS, Shown
from accounts.models import AuditEntry, Role

PAGE = "/c/acme/audit/"


@pytest.fixture
def entries(acme, other, alice, sam, mallory):
    now = timezone.now()
    for number in range(120):
        AuditEntry.objects.create(
            action="mailbox.change", customer=acme, by=alice, subject=f"m{number}@acme.test", address="192.0.2.7",
            before={"quota_mb": 1}, after={"quota_mb": 2}, at=now - timedelta(days=number // 4 + 1),
        )  # fmt: skip
    AuditEntry.objects.create(action="domain.add", customer=other, by=mallory, subject="other.test")
    acme.suspend(reason="Spam was sent.", by=sam)


def rows(client, **filters):
    lines = b"".join(client.get(f"{PAGE}csv/", filters).streaming_content).decode().splitlines()
    return list(csv.DictReader(lines))


def test_readers_see_it_in_words_and_nothing_of_others(as_, bob, entries):
    page = as_(bob).get(PAGE).content.decode()
    assert "<strong>alice@example.test</strong> changed the mailbox m0@acme.test" in page
    assert "quota mb: 1 → 2" in page
    assert "192.0.2.7" in page
    assert "other.test" not in page


def test_strangers_do_not(as_, mallory, entries):
    assert as_(mallory).get(PAGE).status_code == 404
    assert as_(mallory).get(f"{PAGE}csv/").status_code == 404


def test_what_staff_did_stands_there_with_the_reason_and_without_the_person(as_, bob, entries):
    page = as_(bob).get(PAGE, {"who": "staff"}).content.decode()
    assert "<strong>our staff</strong> suspended acme" in page
    assert "Reason: Spam was sent." in page
    assert "sam@example.test" not in page
    assert rows(as_(bob), who="sam@") == []


def test_pages_follow_each_other_without_a_gap_at_the_same_cost(
    as_, bob, entries, django_assert_max_num_queries
):
    client, seen, path = as_(bob), [], PAGE
    total = AuditEntry.objects.filter(customer__username="acme").count()
    for _ in range(10):
        with django_assert_max_num_queries(8):
            answer = client.get(path)
        seen += [(row["at"], row["act"]) for row in answer.context["rows"]]
        if not answer.context["more"]:
            break
        path = answer.content.decode().split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        path = f"{PAGE}{path}"
    assert len(seen) == total
    assert seen == sorted(seen, key=lambda row: row[0], reverse=True)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"subject": "m7@"}, 1),
        ({"who": "alice"}, 120),
        ({"what": "customer.suspend"}, 1),
        ({"who": "system", "what": "customer.activate"}, 1),
        ({"who": "alice", "since": "the day of m4@"}, 8),
    ],
)
def test_filters(as_, bob, entries, filters, count):
    if "since" in filters:
        filters = filters | {"since": AuditEntry.objects.get(subject="m4@acme.test").at.date()}
    assert len(rows(as_(bob), **filters)) == count


def test_a_filter_that_makes_no_sense_says_so(as_, bob, entries):
    answer = as_(bob).get(PAGE, {"since": "yesterday"})
    assert answer.status_code == 422
    assert 'id="id_since_error"' in answer.content.decode()
    assert as_(bob).get(PAGE, {"after": "x_y"}).status_code == 200


def test_formulas_in_the_csv_are_harmless(as_, acme, bob):
    AuditEntry.objects.create(action="mailbox.change", customer=acme, subject="=1+1", after={"reason": "@x"})
    (row,) = rows(as_(bob), subject="=1")
    assert (row["subject"], row["reason"]) == ("'=1+1", "'@x")


def test_staff_who_are_members_act_as_members(as_, acme, bob, sam):
    acme.add_member(sam, Role.ADMIN, by=None)
    audit.record("domain.add", customer=acme, by=sam, subject="acme.test")
    assert "<strong>sam@example.test</strong> added the domain" in as_(bob).get(PAGE).content.decode()


def test_former_staff_stay_behind_the_mask(as_, acme, bob, sam):
    acme.suspend(reason="Spam was sent.", by=sam)
    sam.is_staff = False
    sam.save()
    page = as_(bob).get(PAGE).content.decode()
    assert "<strong>our staff</strong> suspended acme" in page
    assert "sam@example.test" not in page
    assert rows(as_(bob), who="sam@") == []
    assert [row["who"] for row in rows(as_(bob), who="staff")] == ["our staff"]


def test_a_member_who_becomes_staff_was_a_member_then(as_, acme, bob, alice):
    audit.record("domain.add", customer=acme, by=alice, subject="acme.test")
    acme.memberships.filter(user=alice).delete()
    alice.is_staff = True
    alice.save()
    assert "<strong>alice@example.test</strong> added the domain" in as_(bob).get(PAGE).content.decode()


def test_what_the_review_of_an_order_found_stays_with_staff(as_, acme, bob, sam):
    for action in ("order.check", "order.approve", "report.file", "thing.unknown"):
        values = {"text": "Secret", "value": "Secret"}
        audit.record(action, customer=acme, by=sam, subject=f"of {action}", after=values)
    client = as_(bob)
    page = client.get(PAGE).content.decode()
    assert "<strong>our staff</strong> approved the order of order.approve" in page
    assert "Secret" not in page
    for hidden in ("order.check", "report.file", "thing.unknown"):
        assert hidden not in page
        assert client.get(PAGE, {"what": hidden}).status_code == 422
    assert [row["action"] for row in rows(client, who="staff")] == ["order.approve"]


def test_the_reference_of_a_payment_stays_with_staff(as_, acme, bob, sam):
    for action in ("payment.record", "refund.record"):
        audit.record(action, customer=acme, by=sam, subject="ABCD", after={"reference": "IBAN of Anna"})
    page = as_(bob).get(PAGE).content.decode()
    assert "recorded a payment for ABCD" in page
    assert "recorded a refund for the order ABCD" in page
    assert "IBAN of Anna" not in page


def literals(tree):
    """The actions that are written out in a call that records one."""
    recording = {"record", "_record", "_told", "_give", "tell"}
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call.args:
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name in recording and isinstance(call.args[0], ast.Constant | ast.IfExp):
                found = (each.value for each in ast.walk(call.args[0]) if isinstance(each, ast.Constant))
                yield from (value for value in found if isinstance(value, str) and "." in value)


def test_every_action_has_a_sentence_and_says_who_sees_it():
    """Those that are put together at run time are caught by tests/conftest.py."""
    root = Path(__file__).parents[2]
    paths = [
        path
        for place in ("accounts", "billing", "domains", "mxpanel")
        for path in (root / place).rglob("*.py")
    ]
    used = {action for path in paths for action in literals(ast.parse(path.read_text()))}
    assert len(used) > 40
    assert used <= set(ACTS)
    assert all(act.words and isinstance(act.shown, Shown) for act in ACTS.values())


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_days_at_the_ends_of_time(as_, bob, entries, day):
    assert as_(bob).get(PAGE, {"since": day, "until": day}).status_code == 200


def test_days_are_whole_and_found_by_index(as_, acme, bob, alice):
    for at in ("2026-03-01T00:00:00Z", "2026-03-02T23:59:59.999999Z", "2026-03-03T00:00:00Z"):
        AuditEntry.objects.create(action="domain.add", customer=acme, by=alice, subject=at, at=at)
    found = rows(as_(bob), since="2026-03-01", until="2026-03-02", what="domain.add")
    assert [row["subject"][:10] for row in found] == ["2026-03-02", "2026-03-01"]
    with CaptureQueriesContext(connection) as queries:
        as_(bob).get(PAGE, {"since": "2026-03-01"})
    assert not any("AT TIME ZONE" in query["sql"] for query in queries)
