import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from domains.models import Mailbox, ServerRow
from tests.domains.conftest import BASE, HASH, settle

URL = f"{BASE}acme.test/mailboxes/"


@pytest.fixture
def many(domain, mx1) -> None:
    """10,000 mailboxes, saved and live."""
    made = Mailbox.objects.bulk_create(
        [
            Mailbox(domain=domain, local_part=f"user{number:05}", password_hash=HASH)
            for number in range(10_000)
        ]
    )
    ServerRow.objects.bulk_create(
        [ServerRow(server=mx1, kind="mailbox", key=mailbox.pk, revision=1) for mailbox in made]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE domains_mailbox, domains_serverrow")
    settle(mx1)


def test_a_page_among_10_000(as_, alice, many):
    client = as_(alice)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = client.get(URL)
    assert response.status_code == 200
    assert len(queries) <= 8, [query["sql"][:100] for query in queries]
    page = response.content.decode()
    assert len(set(re.findall(r"user\d{5}@acme\.test", page))) == 50
    assert len(page) < 150_000
    following = client.get(URL, {"after": "user00049"}).content.decode()
    assert "user00050@acme.test" in following
    assert "user00049@acme.test" not in following


def test_walk_ends(as_, alice, domain):
    for number in range(51):
        domain.mailboxes.create(local_part=f"m{number:02}", password_hash=HASH)
    client = as_(alice)
    first = client.get(URL).content.decode()
    assert "?after=m49" in first
    assert "?after=" not in client.get(URL, {"after": "m49"}).content.decode()


def test_empty_says_what_to_do(as_, alice, domain):
    assert "Add the first mailbox" in as_(alice).get(URL).content.decode()


def test_stranger_gets_404(as_, mallory, other, domain):
    assert as_(mallory).get(URL).status_code == 404


def test_reader_sees(as_, bob, anna):
    assert "anna@acme.test" in as_(bob).get(URL).content.decode()


def test_hostile_page(as_, alice, anna):
    for after in ("\x00", "'; --", "x" * 5000, "%"):
        assert as_(alice).get(URL, {"after": after}).status_code in (200, 400)
