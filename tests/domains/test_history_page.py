"""The staff page of lost history: what differs, what each decision would change, and the decision itself."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, Customer, User
from domains import tasks
from domains.admin import lost_history
from domains.driver import hints, history
from domains.models import Difference, MailServer, ServerSync

Sign = Callable[[User], Client]
COMPARISON = "1-50-mark"


@pytest.fixture
def page(mx1: MailServer) -> str:
    """Its address; the server is halted at a point that this panel never gave it, and compared."""
    now = timezone.now()
    ServerSync.objects.filter(server=mx1).update(
        halted_at=now, halted_revision=50, halted_mark="mark", compared_at=now, compared_revision=1,
        compared_node_revision=50, compared_node_mark="mark", reported={"rows": {"mailbox": 9}},
    )  # fmt: skip
    for number in range(3):
        differ(mx1, "mailbox", f"m{number}@acme.test", node="quota 7 MB")
    differ(mx1, "domain", "acme.test", panel="hosted here", node_right="is deleted here")
    return f"/admin/domains/mailserver/{mx1.pk}/lost_history/"


def differ(server: MailServer, kind: str, label: str, **fields: Any) -> Difference:
    given = {"node_right": "is added here", "panel_right": "is taken off the server"} | fields
    return Difference.objects.create(server=server, kind=kind, key=uuid4(), label=label, **given)


def test_it_shows_what_differs_and_what_would_change(page: str, as_: Sign, sam: User) -> None:
    answer = as_(sam).get(page)
    text = answer.content.decode()
    assert 'data-status="compared"' in text
    assert "4 rows differ" in text
    for shown in (
        "m0@acme.test",
        "quota 7 MB",
        "is added here",
        "is taken off the server",
        "is deleted here",
    ):
        assert shown in text
    assert "?decide=panel" in text
    assert answer.context["history"].counts == [
        ("domain", "is deleted here", "is taken off the server", 1),
        ("mailboxes", "is added here", "is taken off the server", 3),
    ]


def test_rows_come_in_pages_and_by_kind(
    page: str, as_: Sign, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_history, "PAGE", 2)
    client, seen, after = as_(sam), [], ""
    while after is not None:
        shown = client.get(page, {"after": after}).context["history"]
        assert len(shown.rows) <= 2
        seen += [each.label for _, each in shown.rows]
        after = shown.more
    assert seen == ["acme.test", "m0@acme.test", "m1@acme.test", "m2@acme.test"]
    assert [each.label for _, each in client.get(page, {"kind": "domain"}).context["history"].rows] == [
        "acme.test"
    ]


@pytest.mark.parametrize(
    "query",
    ["?kind=%20&after=x%C2%B2", "?after=9999999999999999999999", "?after=-1&kind=x'", "?decide=%3Cb%3E"],
)
def test_nonsense_becomes_sense(page: str, as_: Sign, sam: User, query: str) -> None:
    assert as_(sam).get(page + query).status_code == 200


@pytest.mark.parametrize(
    ("decide", "words"), [("panel", "is filled anew"), ("server", "is taken into this panel")]
)
def test_each_decision_is_asked_with_its_consequences(
    page: str, as_: Sign, sam: User, decide: str, words: str
) -> None:
    text = as_(sam).get(page, {"decide": decide}).content.decode()
    assert words in text
    assert "3 mailboxes" in text
    assert COMPARISON in text
    assert ServerSync.objects.get().halted_at


def test_the_panel_is_right(page: str, as_: Sign, sam: User) -> None:
    answer = as_(sam).post(page, {"decision": "panel", "comparison": COMPARISON}, follow=True)
    assert "is being rebuilt" in answer.content.decode()
    assert 'data-status="known"' in answer.content.decode()
    assert ServerSync.objects.get().rebuild_wanted_at
    assert MailServer.objects.get().revision > 50
    assert AuditEntry.objects.get(action="history.panel_right").by == sam


def test_the_server_is_right(page: str, as_: Sign, sam: User) -> None:
    answer = as_(sam).post(page, {"decision": "server", "comparison": COMPARISON}, follow=True)
    text = answer.content.decode()
    assert 'data-status="taking"' in text
    assert "0 of 4 rows done" in text
    assert "<progress" in text
    assert AuditEntry.objects.get(action="history.server_right").by == sam
    Difference.objects.filter(kind="domain").update(refused="the plan is used up")
    Difference.objects.filter(kind="mailbox").update(taken_at=timezone.now())
    text = as_(sam).get(page, {"kind": "refused"}).content.decode()
    assert "4 of 4 rows done" in text
    assert "not taken:</strong> the plan is used up" in text
    assert "nothing has been changed" not in text


def test_who_decides_second_is_told(page: str, as_: Sign, sam: User) -> None:
    client = as_(sam)
    client.post(page, {"decision": "server", "comparison": COMPARISON})
    answer = client.post(page, {"decision": "panel", "comparison": COMPARISON})
    assert answer.status_code == 409
    assert "Somebody else has decided already" in answer.content.decode()
    assert ServerSync.objects.get().rebuild_wanted_at is None
    assert AuditEntry.objects.filter(action__startswith="history.").count() == 1


def test_another_comparison_is_a_conflict(page: str, as_: Sign, sam: User) -> None:
    answer = as_(sam).post(page, {"decision": "server", "comparison": "1-49-mark"})
    assert answer.status_code == 409
    assert "not the comparison that you saw" in answer.content.decode()
    assert ServerSync.objects.get().taking_since is None


def test_what_is_no_decision_changes_nothing(page: str, as_: Sign, sam: User) -> None:
    answer = as_(sam).post(page, {"decision": "both"})
    assert answer.status_code == 422
    assert 'id="id_decision_error"' in answer.content.decode()


def test_comparing_shows_how_far_it_is(page: str, as_: Sign, sam: User) -> None:
    client = as_(sam)
    client.post(page, {"decision": "again"})
    ServerSync.objects.update(compared_rows=3, compare_failure="mx1 could not be asked.")
    text = client.get(page).content.decode()
    assert 'data-status="comparing"' in text
    assert "3 rows compared of about 9" in text
    assert "mx1 could not be asked." in text
    assert "?decide=" not in text
    assert client.post(page, {"decision": "panel", "comparison": COMPARISON}).status_code == 409


def test_a_known_history_needs_no_decision(page: str, as_: Sign, sam: User) -> None:
    ServerSync.objects.update(halted_at=None, halted_revision=None)
    client = as_(sam)
    assert 'data-status="known"' in client.get(page).content.decode()
    assert client.post(page, {"decision": "panel", "comparison": COMPARISON}).status_code == 409
    assert client.get("/admin/domains/mailserver/999999/lost_history/").status_code == 404


def test_the_sweep_asks_for_what_is_owed(
    page: str, mx1: MailServer, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []
    monkeypatch.setattr(hints, "hint", lambda server_id, task: asked.append((server_id, task)))
    tasks.sweep_histories()
    assert asked == []
    ServerSync.objects.update(halted_mark="elsewhere")
    tasks.sweep_histories()
    assert asked.pop() == (mx1.pk, "domains.tasks.compare_server")
    ServerSync.objects.update(taking_since=timezone.now(), taking_by=sam)
    tasks.sweep_histories()
    assert asked == [(mx1.pk, "domains.tasks.take_over_server")]
    assert {task for _, task in asked} <= set(current_app.tasks)


def test_the_servers_page_leads_here(page: str, as_: Sign, sam: User) -> None:
    client, of_server = as_(sam), page.replace("lost_history", "change")
    assert page in client.get(of_server).content.decode()
    ServerSync.objects.update(halted_at=None)
    assert page not in client.get(of_server).content.decode()


def test_what_is_decided_is_forgotten_but_for_what_was_not_taken(page: str, as_: Sign, sam: User) -> None:
    history.forget()
    assert Difference.objects.count() == 4
    ServerSync.objects.update(halted_at=None, halted_revision=None)
    Difference.objects.filter(kind="domain").update(refused="the plan is used up")
    history.forget()
    assert [each.label for each in Difference.objects.all()] == ["acme.test"]
    text = as_(sam).get(page).content.decode()
    assert "1 could not be" in text
    assert "the plan is used up" in text


def test_others_do_not_get_in(
    page: str, as_: Sign, acme: Customer, alice: User, bob: User, mallory: User
) -> None:
    for person in (alice, bob, mallory):
        client = as_(person)
        assert client.get(page).status_code == 403
        assert client.post(page, {"decision": "panel", "comparison": COMPARISON}).status_code == 403
    assert Client().get(page).status_code == 302
    assert ServerSync.objects.get().halted_at


def test_staff_who_may_only_look_decide_nothing(page: str, as_: Sign, sam: User) -> None:
    from django.contrib.auth.models import Permission

    User.objects.filter(pk=sam.pk).update(is_superuser=False)
    sam.user_permissions.add(Permission.objects.get(codename="view_mailserver"))
    client = as_(User.objects.get(pk=sam.pk))
    text = client.get(page).content.decode()
    assert "4 rows differ" in text
    assert "?decide=" not in text
    assert client.post(page, {"decision": "panel", "comparison": COMPARISON}).status_code == 403
