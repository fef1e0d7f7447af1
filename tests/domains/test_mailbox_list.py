import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from domains.mailbox_search import SORTS
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
    assert len(queries) <= 8, "\n".join(query["sql"][:160] + query["sql"][-200:] for query in queries)
    page = response.content.decode()
    assert len(set(re.findall(r"user\d{5}@acme\.test", page))) == 50
    assert len(page) < 150_000
    following = client.get(URL, {"after": "user00049"}).content.decode()
    assert "user00050@acme.test" in following
    assert "user00049@acme.test" not in following


@pytest.fixture
def some(domain) -> list[str]:
    """120 mailboxes; their addresses. Half hold nothing, and two of three have never signed in."""
    now = timezone.now()
    made = [
        Mailbox(
            domain=domain,
            local_part=f"m{number:03}",
            password_hash=HASH,
            used_bytes=number // 2 * 7 if number % 2 else 0,
            last_sign_in_at=now - timedelta(seconds=number) if number % 3 == 0 else None,
        )
        for number in range(120)
    ]
    Mailbox.objects.bulk_create(made)
    return [mailbox.local_part for mailbox in made]


def shown(page: str) -> list[str]:
    return re.findall(r">\s*([a-z0-9.-]+)@acme\.test</a>", page)


def link(page: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="(\?[^"]*)"', page)
    return unescape(found[1]) if found else ""


@pytest.mark.parametrize("sort", SORTS)
def test_pages_go_both_ways_in_every_order(as_, alice, some, sort):
    client = as_(alice)
    pages = [client.get(URL, {"sort": sort}).content.decode()]
    while following := link(pages[-1], "next"):
        pages.append(client.get(URL + following).content.decode())
    walked = [name for page in pages for name in shown(page)]
    assert [len(shown(page)) for page in pages] == [50, 50, 20]
    assert sorted(walked) == some
    back = [pages[-1]]
    while previous := link(back[-1], "prev"):
        back.append(client.get(URL + previous).content.decode())
    assert [shown(page) for page in reversed(back)] == [shown(page) for page in pages]
    rising = {
        "name": lambda mailbox: mailbox.local_part,
        "used": lambda mailbox: (mailbox.used_bytes, mailbox.local_part),
        "sign_in": lambda mailbox: (str(mailbox.last_sign_in_at or ""), mailbox.local_part),
    }[sort.removeprefix("-")]
    expected = sorted(Mailbox.objects.all(), key=rising, reverse=sort.startswith("-"))
    assert walked == [mailbox.local_part for mailbox in expected]


def test_search_finds_in_address_and_name(as_, alice, domain):
    for local_part, name in (("anna", "Ms Bell"), ("joanna", ""), ("ben", "Anna's 100%_son"), ("zoe", "")):
        domain.mailboxes.create(local_part=local_part, name=name, password_hash=HASH)
    client = as_(alice)

    def found(text: str) -> list[str]:
        return shown(client.get(URL, {"q": text}).content.decode())

    assert found("ANNA") == ["anna", "ben", "joanna"]
    assert found("anna@acme.test") == found("anna@ac") == ["anna", "ben", "joanna"]
    assert found("bell") == ["anna"]
    assert found("0%_s") == ["ben"]
    assert found("an") == ["anna", "ben"]  # two characters: at the beginning
    assert found("___") == found("nobody") == []
    assert "No mailbox matches." in client.get(URL, {"q": "nobody"}).content.decode()


def test_states(as_, alice, bob, domain):
    for local_part, used, quota in (("big", 96 << 20, 100), ("huge", 96 << 40, 0), ("small", 1, 100)):
        domain.mailboxes.create(
            local_part=local_part, used_bytes=used, quota_mb=quota, password_hash=HASH,
            last_sign_in_at=None if local_part == "small" else timezone.now(),
        )  # fmt: skip
    domain.mailboxes.get(local_part="huge").suspend(by=None)
    past = timezone.now() - timedelta(hours=1)
    domain.mailboxes.get(local_part="small").suspend(until=past, by=None)
    client = as_(bob)

    def found(state: str) -> list[str]:
        return shown(client.get(URL, {"state": state}).content.decode())

    assert found("active") == ["big", "small"]
    assert found("suspended") == ["huge"]
    assert found("full") == ["big"]
    assert found("unused") == ["small"]
    assert found("no such state") == ["big", "huge", "small"]


def test_choices_are_kept_from_page_to_page(as_, alice, some):
    client = as_(alice)
    page = client.get(URL, {"q": "m", "state": "unused", "sort": "-used"}).content.decode()
    assert link(page, "next").startswith("?q=m&state=unused&sort=-used&after=")
    assert 'value="m"' in page
    assert '<option value="unused" selected>' in page
    assert '<option value="-used" selected>' in page
    assert "80 mailboxes" in page
    following = client.get(URL + link(page, "next")).content.decode()
    assert len(shown(following)) == 30


def test_a_page_before_the_first_is_the_first(as_, alice, some):
    page = as_(alice).get(URL, {"before": "m020"}).content.decode()
    assert shown(page) == some[:50]
    assert not link(page, "prev")


@pytest.mark.parametrize("asked", [{"sort": "-used"}, {"sort": "sign_in"}, {"q": "m1"}, {"state": "active"}])
def test_queries_do_not_grow(as_, alice, some, asked):
    client = as_(alice)
    page = client.get(URL, asked).content.decode()
    for url in (URL + link(page, "next"), f"{URL}?{urlencode(asked)}"):
        client.get(url)
        with CaptureQueriesContext(connection) as queries:
            client.get(url)
        assert len(queries) <= 8, "\n".join(query["sql"][:160] + query["sql"][-200:] for query in queries)


def test_empty_says_what_to_do(as_, alice, domain):
    assert "Add the first mailbox" in as_(alice).get(URL).content.decode()


def test_stranger_gets_404(as_, mallory, other, domain):
    assert as_(mallory).get(URL).status_code == 404


def test_reader_sees(as_, bob, anna):
    assert "anna@acme.test" in as_(bob).get(URL).content.decode()


@pytest.mark.parametrize("name", ["after", "before", "q", "state", "sort"])
def test_hostile_page(as_, alice, anna, name):
    client = as_(alice)
    for value in (
        "\x00",
        "'; --",
        "x" * 5000,
        "%",
        "-1~a",
        "9" * 18 + "~a",
        "9" * 99 + "~a",
        "²~a",
        "<script>",
    ):
        for sort in SORTS:
            answer = client.get(URL, {"sort": sort, name: value})
            assert answer.status_code in (200, 400)
            assert "<script>" not in answer.content.decode()


def test_deleted_ones_have_a_list_of_their_own(as_, alice, anna, domain):
    client = as_(alice)
    assert "?state=deleted" in client.get(URL).content.decode()
    assert "No mailbox matches." in client.get(URL, {"state": "deleted"}).content.decode()
    anna.delete(by=None)
    page = client.get(URL, {"state": "deleted", "q": "ann"}).content.decode()
    assert shown(page) == ["anna"]
    assert f"{URL}anna/restore/" in page
    assert "No mailbox matches." in client.get(URL, {"state": "deleted", "q": "ben"}).content.decode()
