from urllib.parse import urlencode

import pytest

from accounts.models import AuditEntry
from domains.models import BulkChange, BulkItem, Mailbox
from tests.domains.conftest import BASE, HASH

URL = f"{BASE}acme.test/bulk/add/"


@pytest.fixture
def boxes(domain) -> list[Mailbox]:
    """box-0 … box-4 at acme.test."""
    made = [Mailbox(domain=domain, local_part=f"box-{number}", password_hash=HASH) for number in range(5)]
    return Mailbox.objects.bulk_create(made)


def chosen(bulk: BulkChange) -> list[str]:
    return list(bulk.items.order_by("pk").values_list("mailbox__local_part", flat=True))


def test_works(as_, alice, domain, boxes):
    client = as_(alice)
    ticked = [str(box.pk) for box in boxes[:2]]
    response = client.post(URL, {"verb": "suspend", "scope": "ticked", "mailbox": ticked})
    bulk = BulkChange.objects.get()
    assert (response.status_code, response["Location"]) == (302, f"{BASE}acme.test/bulk/{bulk.pk}/")
    assert (bulk.status, bulk.total, chosen(bulk)) == ("proposed", 2, ["box-0", "box-1"])
    page = client.get(response["Location"]).content.decode()
    assert 'data-status="proposed"' in page
    assert "box-0@acme.test, box-1@acme.test" in page
    assert not any(box.suspension for box in boxes)
    assert not AuditEntry.objects.filter(action__startswith="bulk").exists()


def test_all_that_match(as_, alice, domain, boxes):
    domain.add_mailbox("other", password_hash=HASH, by=None)
    as_(alice).post(URL, {"verb": "delete", "scope": "matching", "list": "q=box&sort=-name&after=box-3"})
    assert chosen(BulkChange.objects.get()) == [box.local_part for box in boxes]


def test_all_on_the_page(as_, alice, boxes):
    as_(alice).post(URL, {"verb": "delete", "scope": "page", "list": "after=box-2"})
    assert chosen(BulkChange.objects.get()) == ["box-3", "box-4"]


def test_the_list_offers_it(as_, alice, bob, boxes):
    page = as_(alice).get(f"{BASE}acme.test/mailboxes/?q=box").content.decode()
    assert f'action="{URL}"' in page
    assert f'value="{boxes[0].pk}"' in page
    assert 'name="list" value="q=box"' in page
    assert "All 5 that match" in page
    assert 'name="scope"' not in as_(bob).get(f"{BASE}acme.test/mailboxes/").content.decode()


def test_summary_counts_what_will_not_change(as_, alice, domain, boxes):
    boxes[0].suspend(by=None, reason="spam", by_staff=True)
    boxes[1].suspend(by=None)
    boxes[2].delete(by=None)
    Mailbox.objects.filter(pk=boxes[3].pk).update(quota_mb=7, used_bytes=9 << 20)
    Mailbox.objects.filter(pk=boxes[4].pk).update(used_bytes=9 << 20)
    client = as_(alice)

    def summary(**posted: str) -> str:
        location = client.post(URL, {"scope": "ticked", "mailbox": all_ids, **posted})["Location"]
        return " ".join(client.get(location).content.decode().split())

    all_ids = [str(box.pk) for box in boxes]
    page = summary(verb="suspend")
    assert "<strong data-changing>2</strong> mailboxes, which hold 18.0" in page
    assert "<strong>2</strong>: They are suspended already, wholly or in part, and stay as they are." in page
    page = summary(verb="unsuspend")
    assert "<strong data-changing>1</strong> mailbox, which holds" in page
    assert "<strong>1</strong>: Our staff stopped them" in page
    assert "<strong>2</strong>: They are not suspended." in page
    page = summary(verb="delete")
    assert "<strong data-changing>3</strong>" in page
    page = summary(verb="quota", quota_mb="7")
    assert "<strong data-changing>3</strong>" in page
    assert "<strong>1</strong>: They have this quota already." in page
    assert "1 of them holds more than the new quota already." in page


def test_deleted_meanwhile_are_counted(as_, alice, boxes):
    client = as_(alice)
    location = client.post(URL, {"verb": "suspend", "scope": "matching"})["Location"]
    boxes[0].delete(by=None)
    page = " ".join(client.get(location).content.decode().split())
    assert "<strong data-changing>4</strong>" in page
    assert "<strong>1</strong>: They were deleted meanwhile." in page


def test_stranger_gets_404(as_, mallory, other, boxes):
    assert as_(mallory).post(URL, {"verb": "delete", "scope": "matching"}).status_code == 404
    assert not BulkChange.objects.exists()


def test_reader_gets_403_and_get_is_405(as_, alice, bob, boxes):
    assert as_(bob).post(URL, {"verb": "delete", "scope": "matching"}).status_code == 403
    assert as_(alice).get(URL).status_code == 405
    assert not BulkChange.objects.exists()


def test_mailboxes_of_others_are_not_there(as_, alice, other, boxes):
    theirs = other.domains.create(name="other.test").mailboxes.create(local_part="m", password_hash=HASH)
    elsewhere = (
        boxes[0]
        .customer.domains.create(name="second.test")
        .mailboxes.create(local_part="s", password_hash=HASH)
    )
    client = as_(alice)
    foreign = [str(theirs.pk), str(elsewhere.pk), "not-an-id", "\x7f", "9" * 40]
    posted = {"verb": "delete", "scope": "ticked", "mailbox": foreign}
    assert client.post(URL, posted).status_code == 404
    assert not BulkChange.objects.exists()
    client.post(URL, {**posted, "mailbox": [*foreign, str(boxes[0].pk)]})
    assert chosen(BulkChange.objects.get()) == ["box-0"]


@pytest.mark.parametrize(
    ("posted", "field"),
    [
        ({"verb": "suspend", "scope": "ticked"}, "scope"),
        ({"verb": "suspend", "scope": "matching", "list": "q=nobody"}, "scope"),
        ({"verb": "suspend", "scope": "everything"}, "scope"),
        ({"verb": "purge", "scope": "matching"}, "verb"),
        ({"scope": "matching"}, "verb"),
        ({"verb": "quota", "scope": "matching"}, "quota_mb"),
        ({"verb": "quota", "scope": "matching", "quota_mb": "-1"}, "quota_mb"),
        ({"verb": "quota", "scope": "matching", "quota_mb": "9" * 40}, "quota_mb"),
        ({"verb": "quota", "scope": "matching", "quota_mb": "10241"}, "quota_mb"),  # the plan holds 10,240 MB
    ],
)
def test_what_is_wrong_is_said(as_, alice, boxes, posted, field):
    response = as_(alice).post(URL, posted)
    assert response.status_code == 422
    if "q=nobody" not in posted.get("list", ""):
        assert f'id="id_{field}_error"' in response.content.decode()
    assert not BulkChange.objects.exists()


def test_what_was_not_started_gives_way(as_, alice, served, domain, boxes):
    elsewhere = served.domains.create(name="second.test")
    elsewhere.mailboxes.create(local_part="s", password_hash=HASH)
    client = as_(alice)
    client.post(URL.replace("acme.test", "second.test"), {"verb": "delete", "scope": "matching"})
    client.post(URL, {"verb": "suspend", "scope": "matching"})
    begun = domain.bulk_changes.get()
    begun.start(by=alice)
    for _ in range(3):
        client.post(URL, {"verb": "delete", "scope": "matching"})
    assert [bulk.status for bulk in domain.bulk_changes.all()] == ["proposed", "working"]
    assert BulkItem.objects.count() == 11
    client.post(URL, {"verb": "delete", "scope": "matching", "list": "q=nobody"})
    assert domain.bulk_changes.count() == 2, "what is refused takes nothing away"


def test_too_often(as_, alice, settings, boxes):
    assert {"domains:bulk-add", "domains:import-add"} <= settings.FORM_LIMITS.keys()
    settings.FORM_LIMITS = {"domains:bulk-add": {"person": 2}}
    client = as_(alice)
    posted = {"verb": "delete", "scope": "matching"}
    assert [client.post(URL, posted).status_code for _ in range(3)] == [302, 302, 429]


@pytest.mark.parametrize(
    "shown", ["q=%00", "q=a%00b&state=active", "q=\0", "after=%00", "q=box&" + "x" * 4_000]
)
def test_a_nul_in_what_the_list_shows_is_refused(as_, alice, boxes, shown):
    for scope in ("matching", "page"):
        response = as_(alice).post(URL, {"verb": "delete", "scope": scope, "list": shown})
        assert response.status_code == 422
        assert "did not arrive as it was sent" in response.content.decode()
    assert not BulkChange.objects.exists()


def test_a_long_search_is_taken_whole(as_, alice, domain, boxes):
    """What is cut off would choose more mailboxes than the list showed."""
    shown = urlencode({"q": "щ" * 100, "state": "suspended"})
    assert as_(alice).post(URL, {"verb": "delete", "scope": "matching", "list": shown}).status_code == 422
    shown = urlencode({"q": "", "after": "𝕩" * 30 + "z" * 70, "state": "suspended"})
    assert as_(alice).post(URL, {"verb": "delete", "scope": "matching", "list": shown}).status_code == 422
    assert not BulkChange.objects.exists()


def test_what_was_ticked_stays_ticked(as_, alice, boxes):
    posted = {"verb": "quota", "scope": "ticked", "mailbox": str(boxes[1].pk), "list": "q=box"}
    page = as_(alice).post(URL, posted).content.decode()
    assert page.count("checked") == 2  # the box and the scope
    assert 'value="box"' in page
