"""Usage and last sign-in by a cursor; a count belongs to a mailbox, not to its address."""

import sqlite3

from mailnode import wire
from tests.mailnode.server import Server, domain, gone, identity, mailbox

ANNA, BOB = "anna@acme.test", "bob@acme.test"


def dovecot_counts(
    server: Server, address: str, size: int, messages: int, sign_in: int | None = None
) -> None:
    """What Dovecot's dict process writes (test_usage_counted.py has the real one)."""
    connection = sqlite3.connect(server.settings.usage)
    upsert = "INSERT INTO usage ({0}, address) VALUES (?, ?) ON CONFLICT (address) DO UPDATE SET {0} = excluded.{0}"
    for column, value in (("bytes", size), ("messages", messages), ("last_sign_in", sign_in)):
        if value is not None:
            connection.execute(upsert.format(column), (value, address))
    connection.commit()
    connection.close()


def entry(address: str, size: int, messages: int, sign_in: int | None = None, key: str = "") -> wire.Usage:
    return wire.Usage(mailbox=identity(key or address), bytes=size, messages=messages, last_sign_in=sign_in)


def test_what_changed_after_the_cursor(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox(ANNA), mailbox(BOB))
    assert agent.usage().entries == []
    dovecot_counts(agent, ANNA, 100, 1)
    dovecot_counts(agent, BOB, 50, 2, 1_700_000_000)
    first = agent.usage()
    assert first.entries == [entry(ANNA, 100, 1), entry(BOB, 50, 2, 1_700_000_000)]
    assert agent.usage(first.next) == wire.UsagePage(entries=[], next=first.next)
    dovecot_counts(agent, ANNA, 300, 3)
    dovecot_counts(agent, BOB, 50, 2)  # nothing new
    assert agent.usage(first.next).entries == [entry(ANNA, 300, 3)]


def test_pages_are_bounded_and_complete(agent: Server) -> None:
    addresses = [f"u{number}@acme.test" for number in range(7)]
    agent.push(domain("acme.test"), *(mailbox(address) for address in addresses))
    for address in addresses:
        dovecot_counts(agent, address, 1, 1)
    seen, after = [], ""
    while True:
        code, body = agent.call("GET", f"/v1/usage?after={after}&limit=3")
        assert code == 200
        page = wire.decode(body, wire.UsagePage)
        if not page.entries:
            break
        seen += [item.mailbox for item in page.entries]
        after = page.next
    assert seen == [identity(address) for address in addresses]


def test_a_cursor_of_another_file_starts_again(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox(ANNA))
    dovecot_counts(agent, ANNA, 100, 1)
    assert agent.usage("0123456789abcdef.999").entries == [entry(ANNA, 100, 1)]


def test_an_address_that_is_made_again_starts_at_nothing(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox(ANNA))
    dovecot_counts(agent, ANNA, 100, 1, 1_700_000_000)
    agent.push(gone("mailbox", ANNA))
    agent.push(mailbox(ANNA, key="another anna"))
    assert agent.usage().entries == []
    dovecot_counts(agent, ANNA, 7, 1)
    assert agent.usage().entries == [entry(ANNA, 7, 1, key="another anna")]


def test_both_in_one_page(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox(ANNA))
    dovecot_counts(agent, ANNA, 100, 1)
    agent.push(gone("mailbox", ANNA), mailbox(ANNA, key="another anna"))
    assert agent.usage().entries == []


def test_a_mailbox_that_comes_back_has_what_it_had(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox(ANNA))
    dovecot_counts(agent, ANNA, 100, 1, 1_700_000_000)
    agent.push(gone("mailbox", ANNA))
    agent.push(mailbox(ANNA))
    assert agent.usage().entries == [entry(ANNA, 100, 1, 1_700_000_000)]


def test_a_domain_that_goes_first_takes_its_counts_along(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox(ANNA))
    dovecot_counts(agent, ANNA, 100, 1)
    agent.push(gone("domain", "acme.test"))
    agent.push(gone("mailbox", ANNA))
    connection = sqlite3.connect(agent.settings.usage)
    assert connection.execute("SELECT count(*) FROM usage").fetchone() == (0,)
    assert connection.execute("SELECT name, bytes FROM domain_usage").fetchall() == [("acme.test", 0)]
