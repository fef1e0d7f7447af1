"""The staff pages of this app, and what they may change."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry
from domains import health
from domains.models import MailServer, Placement, ServerSync
from tests.domains.conftest import HASH, make_server, settle


@pytest.mark.parametrize("page", ["mailserver", "placement", "domain", "mailbox"])
def test_lists_and_pages(as_, sam, anna, mx1, page):
    client = as_(sam)
    listed = client.get(f"/admin/domains/{page}/")
    assert listed.status_code == 200
    key = {
        "mailserver": mx1.pk,
        "placement": mx1.placements.get().pk,
        "domain": anna.domain.pk,
        "mailbox": anna.pk,
    }[page]
    shown = client.get(f"/admin/domains/{page}/{key}/change/")
    assert shown.status_code == 200
    for secret in (anna.password_hash, mx1.agent_key, "PRIVATE KEY"):
        assert secret not in listed.content.decode() + shown.content.decode()


def test_a_list_of_mailboxes_costs_the_same_for_any_number(as_, sam, alice, domain, anna):
    client, url = as_(sam), "/admin/domains/mailbox/"
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    for number in range(10):
        domain.mailboxes.create(local_part=f"m{number}", password_hash=HASH)
    anna.suspend(by=alice)
    with CaptureQueriesContext(connection) as many:
        page = client.get(url).content.decode()
    assert len(many) == len(one)
    assert page.count("suspended</td>") == 1


def test_the_list_of_servers_costs_the_same_for_any_number(as_, sam, mx1):
    client, url = as_(sam), "/admin/domains/mailserver/"
    client.get(url)
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    for number in range(5):
        make_server(f"more{number}.mxpanel.test")
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(one)


def test_the_list_counts_customers_that_are_there_and_no_wishes(as_, sam, mx1, acme, other):
    Placement.objects.create(customer=acme, server=mx1, placed_at=timezone.now())
    Placement.objects.create(customer=other, server=mx1)
    page = as_(sam).get("/admin/domains/mailserver/").content.decode()
    assert '<td class="field-customers">1</td>' in page


def test_a_halted_server_is_seen_and_let_go_on(as_, sam, mx1):
    ServerSync.objects.filter(server=mx1).update(
        halted_at=timezone.now(), halted_reason="A mark was never given."
    )
    client = as_(sam)
    assert "A mark was never given." in client.get("/admin/domains/mailserver/").content.decode()
    assert health.server_checks() == {"mx1.mxpanel.test": "sync is halted"}
    client.post("/admin/domains/mailserver/", {"action": "resume", "_selected_action": [mx1.pk]})
    mx1.sync.refresh_from_db()
    assert mx1.sync.halted_at is None


def test_closing_a_server_leaves_its_counter(as_, sam, mx1):
    MailServer.objects.update(revision=50)
    client = as_(sam)
    client.get(f"/admin/domains/mailserver/{mx1.pk}/change/")
    assert client.post(f"/admin/domains/mailserver/{mx1.pk}/change/", {}).status_code == 302
    mx1.refresh_from_db()
    assert (mx1.takes_new_customers, mx1.revision) == (False, 50)


def test_a_wish_before_service_starts(as_, sam, other, mx1):
    data = {"customer": str(other.pk), "server": mx1.pk, "reason": "Wants to be in Europe"}
    assert as_(sam).post("/admin/domains/placement/add/", data).status_code == 302
    placement = Placement.objects.get(customer=other)
    assert (placement.server, placement.placed_at, placement.by) == (mx1, None, sam)


def test_a_placed_customer_is_not_moved_here(as_, sam, served):
    make_server("mx2.mxpanel.test")
    placement = served.placement
    response = as_(sam).post(f"/admin/domains/placement/{placement.pk}/change/", {"server": 2})
    assert response.status_code == 403


def test_actions_go_through_verbs(as_, sam, anna):
    client, chosen = as_(sam), {"_selected_action": [str(anna.pk)], "reason": "Spam was sent."}
    client.post("/admin/domains/mailbox/", {"action": "suspend", **chosen})
    assert (anna.suspension.by, anna.suspension.reason) == (sam, "Spam was sent.")
    client.post("/admin/domains/mailbox/", {"action": "unsuspend", **chosen, "reason": "It was theirs."})
    assert anna.suspension is None
    lifted = AuditEntry.objects.get(action="mailbox.unsuspend")
    assert (lifted.after, lifted.by_staff) == ({"reason": "It was theirs."}, True)
    response = client.post("/admin/domains/mailbox/", {"action": "delete_selected", **chosen})
    assert anna.domain.mailboxes.count() == 1
    assert response.status_code in (200, 302)


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "a\0b", "x" * 501])
@pytest.mark.parametrize("action", ["suspend", "unsuspend", "restore"])
def test_without_a_reason_nothing_is_done(as_, sam, alice, anna, action, reason):
    if action == "unsuspend":
        anna.suspend(by=sam, by_staff=True)
    before = (bool(anna.suspension), AuditEntry.objects.count())
    chosen = {"action": action, "_selected_action": [str(anna.pk)], "reason": reason}
    answer = as_(sam).post("/admin/domains/mailbox/", chosen, follow=True)
    assert answer.status_code in (200, 400)
    assert answer.status_code == 400 or b"Nothing was done. Reason:" in answer.content
    assert (bool(anna.suspension), AuditEntry.objects.count()) == before


def test_health(mx1):
    assert health.server_checks() == {"mx1.mxpanel.test": "not in service yet"}
    settle(mx1)
    ServerSync.objects.update(contact_at=timezone.now())
    assert health.server_checks() == {"mx1.mxpanel.test": "ok"}
    ServerSync.objects.update(contact_at=timezone.now() - timezone.timedelta(minutes=5))
    assert health.server_checks() == {"mx1.mxpanel.test": "silent"}
