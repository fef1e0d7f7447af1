"""A customer's members see what was changed, by whom, from where and why."""

import csv
from datetime import timedelta

import pytest
from django.utils import timezone

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
        ({"who": "alice", "since": (timezone.now() - timedelta(days=2)).date()}, 8),
    ],
)
def test_filters(as_, bob, entries, filters, count):
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
    AuditEntry.objects.create(action="domain.add", customer=acme, by=sam, subject="acme.test")
    assert "<strong>sam@example.test</strong> added the domain" in as_(bob).get(PAGE).content.decode()


def test_what_the_review_of_an_order_found_stays_with_staff(as_, acme, bob, sam):
    for action in ("order.check", "order.approve", "report.file"):
        AuditEntry.objects.create(
            action=action, customer=acme, by=sam, subject="ABCD", after={"text": "Secret", "value": "Secret"}
        )
    page = as_(bob).get(PAGE).content.decode()
    assert "<strong>our staff</strong> approved the order ABCD" in page
    assert "Secret" not in page
