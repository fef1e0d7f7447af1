"""A change that PostgreSQL takes back, for a deadlock or a serialization failure: a plain 503, and nothing half done."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from accounts.models import AuditEntry, User
from domains.models import Mailbox, MailServer, ServerRow
from tests.domains.conftest import BASE
from tests.e2e.waiting import eventually

FORM = {"quota_mb": "2048", "name": "Anna Ash"}
PAGE = f"{BASE}acme.test/mailboxes/anna/"

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def test_a_deadlock_leaves_nothing_half_done(
    as_: Callable[[User], Client], alice: User, anna: Mailbox, mx1: MailServer
) -> None:
    """A page holds the mailbox and waits for the server's counter; we hold the counter and want the mailbox."""
    with at_the_same_time(as_(alice)) as page, transaction.atomic():
        MailServer.objects.select_for_update().get(pk=mx1.pk)
        page.starts()
        Mailbox.objects.select_for_update().get(pk=anna.pk)
        page.ends()
    assert_taken_back(page.status, anna)
    assert as_(alice).post(f"{PAGE}change/", FORM).status_code == 302


def test_a_serialization_failure_leaves_nothing_half_done(
    as_: Callable[[User], Client], alice: User, anna: Mailbox
) -> None:
    """An operator has chosen REPEATABLE READ, and somebody else changes the mailbox first."""
    with at_the_same_time(as_(alice), "SET default_transaction_isolation TO 'repeatable read'") as page:
        with transaction.atomic():
            Mailbox.objects.filter(pk=anna.pk).update(used_bytes=1)
            page.starts()
        page.ends()
    assert_taken_back(page.status, anna)
    assert as_(alice).post(f"{PAGE}change/", FORM).status_code == 302


def assert_taken_back(status: int, anna: Mailbox) -> None:
    assert status == 503
    anna.refresh_from_db()
    assert (anna.quota_mb, anna.name) == (1024, "Anna")
    assert not AuditEntry.objects.filter(action="mailbox.change").exists()
    assert ServerRow.objects.get(key=anna.pk).revision == MailServer.objects.get().revision


class Page:
    """Somebody who changes anna by her page, in a thread and a database session of their own."""

    def __init__(self, client: Client, setting: str) -> None:
        self.client, self.setting, self.status = client, setting, 0
        client.raise_request_exception = False
        self.thread = threading.Thread(target=self._change)

    def starts(self) -> None:
        """Until it waits for a lock."""
        self.thread.start()
        eventually(waiting)

    def ends(self) -> None:
        self.thread.join(20)

    def _change(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(self.setting)
            self.status = self.client.post(f"{PAGE}change/", FORM).status_code
        finally:
            connections.close_all()


@contextmanager
def at_the_same_time(client: Client, setting: str = "SELECT 1") -> Iterator[Page]:
    page = Page(client, setting)
    yield page
    page.ends()


def waiting() -> bool:
    """Whether a session waits for what we hold."""
    with connection.cursor() as cursor:
        cursor.execute("""SELECT count(*) FROM pg_locks
            WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))""")
        return bool(cursor.fetchone()[0])
