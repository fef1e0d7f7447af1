"""The panel's half of a rebuild: what is sent, in which order, and what the answers of a server change."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from domains.driver import rebuilding
from domains.driver.agent import Agent, AgentError
from domains.driver.alone import SYNC, alone
from domains.driver.outcomes import want_rebuild
from domains.driver.rebuilding import rebuild
from domains.driver.stamping import stamp
from domains.driver.sync import sync
from domains.driver.walking import walk
from domains.models import Incident, Kind, MailServer, ServerMark, ServerRow, ServerSync
from domains.tasks import rebuild_server
from foundation.unit_of_work import unit_of_work
from mailnode import wire
from tests.domains.conftest import HASH, make_server

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


class Staging:
    """What the agent of mx1 does with the pages of a rebuild; `trouble` may act before each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.point = wire.Point(revision=0, mark="")
        self.pages: list[wire.Rebuild] = []
        self.rows: dict[tuple[str, str], wire.Row] = {}
        self.trouble: Callable[[wire.Rebuild], object] = lambda page: None
        monkeypatch.setattr(Agent, "rebuild", lambda _, page: self.take(page))
        monkeypatch.setattr("domains.driver.watching.pull_status", self.status)

    def status(self, server: MailServer, **_: object) -> SimpleNamespace:
        ServerSync.objects.filter(server=server).update(wire=2)
        return SimpleNamespace(revision=self.point.revision, mark=self.point.mark)

    def take(self, page: wire.Rebuild) -> wire.Applied | wire.RebuildState:
        answer = self.trouble(page)
        if isinstance(answer, wire.RebuildState):
            return answer
        if page.seq == 0:
            self.pages = []
        if page.seq == len(self.pages):
            self.pages.append(page)
        assert page.seq == len(self.pages) - 1
        if page.last:
            self.point = wire.Point(revision=page.revision, mark=page.mark)
            self.rows = {(row.kind, row.key): row for page in self.pages for row in page.rows}
        return wire.Applied(revision=self.point.revision, effective=self.point.revision)


@pytest.fixture
def node(mx1: MailServer, monkeypatch: pytest.MonkeyPatch) -> Staging:
    monkeypatch.setattr(wire, "MAX_ROWS", 3)
    monkeypatch.setattr(rebuilding, "RESEND_PAUSE", 0.01)
    want_rebuild(mx1, "Because")
    return Staging(monkeypatch)


def state(server: MailServer) -> ServerSync:
    return ServerSync.objects.get(server=server)


def fill(domain, mailboxes: int = 8) -> None:
    with unit_of_work():
        for number in range(mailboxes):
            domain.add_mailbox(f"m{number}", password_hash=HASH, by=None)


def test_everything_in_the_order_of_kind_and_key_in_whole_pages(node, domain, mx1):
    fill(domain)
    domain.mailboxes.first().delete(by=None)
    rebuild(mx1.pk)
    assert [len(page.rows) for page in node.pages] == [3, 3, 1]
    assert [(page.seq, page.last) for page in node.pages] == [(0, False), (1, False), (2, True)]
    assert len({(page.rebuild, page.revision, page.mark) for page in node.pages}) == 1
    keys = list(node.rows)
    wanted = ServerRow.objects.filter(gone=False).order_by("kind", "key").values_list("kind", "key")
    assert keys == [(kind, key.hex) for kind, key in wanted]
    found = state(mx1)
    assert found.rebuild_wanted_at is None
    assert found.rebuilt_at
    assert found.effective == found.confirmed_revision == MailServer.objects.get().revision
    assert (found.rebuild_rows, found.rebuild_total) == (7, 7)
    assert not MailServer.objects.behind().exists()


def test_an_empty_server_is_one_empty_page(node, mx1):
    rebuild(mx1.pk)
    assert [(page.rows, page.last) for page in node.pages] == [([], True)]


def test_one_that_fits_exactly_is_no_more_pages(node, domain, mx1):
    fill(domain, 6)
    rebuild(mx1.pk)
    assert [len(page.rows) for page in node.pages] == [3, 3]


def test_nothing_is_sent_where_nothing_is_owed(node, domain, mx1):
    ServerSync.objects.update(rebuild_wanted_at=None)
    rebuild(mx1.pk)
    rebuild_server(10**9)
    assert not node.pages


def test_changes_that_go_on_follow_as_pages(node, domain, mx1):
    fill(domain)
    node.trouble = lambda page: _in_thread(
        lambda: domain.add_mailbox(f"late{page.seq}", password_hash=HASH, by=None)
    )
    rebuild(mx1.pk)
    assert not [row for row in node.rows.values() if "late" in str(row.data)]
    assert state(mx1).confirmed_revision == node.point.revision < MailServer.objects.get().revision
    assert list(MailServer.objects.behind()) == [mx1]


def test_the_pair_is_known_before_the_first_page(node, domain, mx1):
    given = []
    node.trouble = lambda page: given.append(ServerMark.objects.filter(mark=page.mark).exists())
    fill(domain)
    rebuild(mx1.pk)
    assert given == [True] * 3


def test_the_pending_pair_of_a_page_is_not_the_rebuilds(node, domain, mx1):
    ServerSync.objects.update(pending_revision=MailServer.objects.get().revision, pending_mark="of-a-page")
    rebuild(mx1.pk)
    assert node.point.mark != "of-a-page"


def test_a_lost_answer_is_asked_for_again(node, domain, mx1):
    fill(domain)
    lost = set()

    def lose(page: wire.Rebuild) -> None:
        if page.seq not in lost:
            lost.add(page.seq)
            raise AgentError("the line went dead", retry=True)

    node.trouble = lose
    rebuild(mx1.pk)
    assert lost == {0, 1, 2}
    assert state(mx1).failed_at is None
    assert len(node.rows) == 8


def test_patience_ends(node, domain, mx1, monkeypatch):
    monkeypatch.setattr(rebuilding, "PATIENCE", 0.05)

    def away(page: wire.Rebuild) -> None:
        raise AgentError("mx1 is away", retry=True)

    node.trouble = away
    rebuild(mx1.pk)
    found = state(mx1)
    assert found.failure == "mx1 is away"
    assert found.rebuild_wanted_at
    assert not MailServer.objects.rebuild_owed().due().exists()


def test_a_server_that_forgot_the_beginning_gets_it_again(node, domain, mx1):
    fill(domain)
    node.trouble = lambda page: wire.RebuildState(rebuild=None, seq=0) if page.seq == 1 else None
    rebuild(mx1.pk)
    assert "begins again" in state(mx1).failure
    first = node.pages[0].rebuild
    ServerSync.objects.update(retry_at=None)
    node.trouble = lambda page: None
    rebuild(mx1.pk)
    assert node.pages[0].rebuild != first
    assert len(node.rows) == 8
    assert state(mx1).failed_at is None


def test_another_history_is_never_replaced(node, domain, mx1):
    node.point = wire.Point(revision=9, mark="of-another-panel")
    rebuild(mx1.pk)
    assert state(mx1).halted_mark == "of-another-panel"
    assert not node.pages
    assert Incident.objects.get().kind == "halted"
    assert not MailServer.objects.rebuild_owed().exists()


def test_the_lock_is_held_throughout(node, domain, mx1):
    fill(domain)
    held = []

    def look(page: wire.Rebuild) -> None:
        with alone(SYNC, mx1.pk) as mine:
            held.append(not mine)
        sync(mx1.pk)  # leaves

    node.trouble = lambda page: _in_thread(lambda: look(page))
    rebuild(mx1.pk)
    assert held == [True] * 3


def test_two_at_once_and_the_third_waits(node, domain, mx1):
    others = [make_server(f"mx{number}.mxpanel.test") for number in (2, 3)]
    pages = []

    def others_too(page: wire.Rebuild) -> None:
        pages.append(page)
        if len(pages) <= 2:
            want_rebuild(others[len(pages) - 1], "Because")
            _in_thread(lambda: rebuild(others[len(pages) - 1].pk))

    node.trouble = others_too
    rebuild(mx1.pk)
    assert len(pages) == 2
    assert list(MailServer.objects.rebuild_owed()) == [others[1]]
    rebuild(others[1].pk)
    assert not MailServer.objects.rebuild_owed().exists()


def test_a_wish_of_meanwhile_is_still_owed(node, domain, mx1):
    node.trouble = lambda page: ServerSync.objects.update(rebuild_wanted_at=timezone.now())
    rebuild(mx1.pk)
    assert state(mx1).rebuild_wanted_at


def test_progress_is_noted(node, domain, mx1, monkeypatch):
    monkeypatch.setattr(rebuilding, "PROGRESS_EVERY", 0)
    fill(domain)
    seen = []
    node.trouble = lambda page: seen.append((state(mx1).rebuild_rows, state(mx1).rebuild_total))
    rebuild(mx1.pk)
    assert seen == [(0, 0), (3, 8), (6, 8)]


def test_a_rebuild_that_was_cut_off_begins_again(node, domain, mx1):
    fill(domain)

    class Killed(BaseException):
        pass

    def die(page: wire.Rebuild) -> None:
        if page.seq == 1:
            raise Killed

    node.trouble = die
    with pytest.raises(Killed):
        rebuild(mx1.pk)
    node.trouble = lambda page: None
    assert list(MailServer.objects.rebuild_owed().due()) == [mx1]
    rebuild(mx1.pk)
    assert len(node.rows) == 8


def test_queries_do_not_grow_with_rows(node, domain, mx1, monkeypatch):
    monkeypatch.setattr(wire, "MAX_ROWS", 1000)
    counts = []
    for number in (1, 40):
        with unit_of_work():
            stamp(domain.customer, Kind.CUSTOMER, domain.customer_id)
            stamp(domain.customer, Kind.DOMAIN, domain.pk)
            for one in range(number):
                domain.add_mailbox(f"m{number}-{one}", password_hash=HASH, by=None).suspend(by=None)
        with CaptureQueriesContext(connection) as captured:
            assert len(next(walk(mx1.pk)).rows) == ServerRow.objects.count()
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_row_that_the_wire_does_not_carry_is_named(node, anna, mx1):
    type(anna).objects.update(password_hash="{PLAIN}clear-text")
    rebuild(mx1.pk)
    assert Incident.objects.get(kind="refused").rows[0][:2] == ["mailbox", anna.pk.hex]


def _in_thread(work: Callable[[], object]) -> None:
    def run() -> None:
        work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
