import pytest

from accounts.models import AuditEntry
from domains.models import ServerRow
from tests.domains.conftest import BASE

URL = f"{BASE}acme.test/mailboxes/anna/suspend/"
LIFT = f"{BASE}acme.test/mailboxes/anna/unsuspend/"


def test_works(as_, alice, anna):
    client = as_(alice)
    assert client.post(URL, {"stops": ["send"], "reason": "Hacked <b>?"}).status_code == 302
    suspension = anna.suspension
    assert (suspension.stops, suspension.reason, suspension.by) == (["send"], "Hacked <b>?", alice)
    row = ServerRow.objects.get(kind="state", key=suspension.pk)
    assert not row.gone
    page = client.get(anna.get_absolute_url()).content.decode()
    assert 'data-status="suspended"' in page
    assert "Hacked &lt;b&gt;?" in page
    assert client.post(LIFT).status_code == 302
    assert anna.suspension is None
    row.refresh_from_db()
    assert row.gone
    assert 'data-status="active"' in client.get(anna.get_absolute_url()).content.decode()
    assert list(AuditEntry.objects.order_by("at").values_list("action", flat=True))[-2:] == [
        "mailbox.suspend", "mailbox.unsuspend",
    ]  # fmt: skip


def test_stops_everything_when_nothing_is_chosen(as_, alice, anna):
    as_(alice).post(URL)
    assert anna.suspension.stops == ["receive", "send", "sign_in"]


def test_other_stops_replace_it(anna):
    anna.suspend(stops=["send"], by=None)
    anna.suspend(stops=["receive"], by=None)
    assert anna.suspension.stops == ["receive"]
    assert [bool(suspension.lifted_at) for suspension in anna.suspensions.order_by("at")] == [True, False]
    assert ServerRow.objects.filter(kind="state", gone=False).count() == 1


def test_mailbox_row_is_left_alone(anna):
    before = ServerRow.objects.get(kind="mailbox").revision
    anna.suspend(by=None)
    anna.unsuspend(by=None)
    assert ServerRow.objects.get(kind="mailbox").revision == before


@pytest.mark.parametrize("url", [URL, LIFT])
def test_stranger_gets_404(as_, mallory, other, anna, url):
    assert as_(mallory).post(url).status_code == 404


@pytest.mark.parametrize("url", [URL, LIFT])
def test_reader_gets_403_and_get_is_405(as_, alice, bob, anna, url):
    assert as_(bob).post(url).status_code == 403
    assert as_(alice).get(url).status_code == 405


def test_twice_is_harmless(as_, alice, anna, mx1):
    client = as_(alice)
    client.post(URL, {"stops": ["send", "send"]})
    mx1.refresh_from_db()
    before = mx1.revision
    assert client.post(URL, {"stops": ["send"]}).status_code == 302
    client.post(LIFT)
    assert client.post(LIFT).status_code == 302
    mx1.refresh_from_db()
    assert mx1.revision == before + 1
    assert anna.suspensions.count() == 1


@pytest.mark.parametrize("form", [{"stops": ["everything"]}, {"reason": "a\nb"}, {"reason": "x" * 501}])
def test_refused_values_change_nothing(as_, alice, anna, form):
    response = as_(alice).post(URL, form)
    assert response.status_code == 422
    assert "_error" in response.content.decode()
    assert anna.suspension is None


def test_what_staff_stopped_only_staff_let_go_on(as_, alice, sam, anna):
    anna.suspend(by=sam, reason="Spam was sent.", by_staff=True)
    client = as_(alice)
    delete = f"{BASE}acme.test/mailboxes/anna/delete/"
    for url, fields in ((LIFT, {}), (URL, {"stops": ["send"]}), (delete, {})):
        answer = client.post(url, fields)
        assert answer.status_code == 422, url
        assert b"Our staff stopped this mailbox: Spam was sent." in answer.content
    anna.refresh_from_db()
    assert anna.deleted_at is None
    assert anna.suspension.stops == ["receive", "send", "sign_in"]
    assert b"Lift the suspension" not in client.get(anna.get_absolute_url()).content
    assert anna.unsuspend(by=sam, by_staff=True)


def test_staff_stop_what_its_customer_stopped_in_the_same_words(as_, alice, sam, anna):
    as_(alice).post(URL, {"reason": "Spam"})
    chosen = {"action": "suspend", "_selected_action": [str(anna.pk)], "reason": "Spam"}
    as_(sam).post("/admin/domains/mailbox/", chosen)
    assert anna.suspension.by_staff
    assert as_(alice).post(LIFT).status_code == 422
    assert anna.suspension.by == sam


def test_deleted_already_is_no_matter_of_staff(sam, anna):
    anna.delete(by=None)
    anna.suspend(by=sam, reason="Spam.", by_staff=True)
    assert anna.delete(by=None) is False
