"""GET /v1/digest: what the node really holds of a domain."""

import sqlite3

from mailnode import wire
from tests.mailnode.server import Server, customer, dkim_key, domain, identity, mailbox, state


def digest(server: Server, name: str, parameters: str = "") -> wire.Digest:
    code, body = server.call("GET", f"/v1/digest?domain={identity(name)}{parameters}")
    assert code == 200, body
    return wire.decode(body, wire.Digest)


def test_it_equals_what_was_sent(agent: Server, private_key: str) -> None:
    rows = [
        customer("acme", 2**30),
        domain("acme.test"),
        mailbox("anna@acme.test", 5),
        dkim_key("acme.test", private_key),
        state("acme", "customer", "send"),
        state("acme.test", "domain", "receive", until=9),
        state("anna@acme.test", "mailbox", "sign_in", "send"),
    ]
    agent.push(*rows, domain("mal.test", "mal"), mailbox("mallory@mal.test"))
    hashes = {
        (row.kind, row.key, wire.row_hash(row.kind, row.key, data))
        for row in rows
        if (data := wire.data_of(row))
    }
    answer = digest(agent, "acme.test")
    assert {(row.kind, row.key, row.hash) for row in answer.rows} == hashes
    assert (answer.count, answer.sha256, answer.next) == (7, wire.digest_hash(hashes), None)
    assert answer.revision == agent.status().revision


def test_it_comes_in_pages(agent: Server) -> None:
    agent.push(domain("acme.test"), *(mailbox(f"u{number}@acme.test") for number in range(5)))
    whole = digest(agent, "acme.test")
    first = digest(agent, "acme.test", "&limit=4")
    assert first.next is not None
    second = digest(agent, "acme.test", f"&limit=4&after={first.next}")
    assert first.rows + second.rows == whole.rows
    assert second.next is None
    assert first.sha256 == second.sha256 == whole.sha256


def test_a_file_that_was_changed_by_hand_shows(agent: Server, private_key: str) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"), dkim_key("acme.test", private_key))
    before = {(row.kind, row.hash) for row in digest(agent, "acme.test").rows}
    (agent.settings.dkim / "acme.test" / "k1.key").write_text("something else")
    connection = sqlite3.connect(agent.settings.secrets)
    connection.execute("UPDATE secrets SET hash = 'other'")
    connection.commit()
    after = {(row.kind, row.hash) for row in digest(agent, "acme.test").rows}
    assert {kind for kind, _ in before - after} == {"dkim", "mailbox"}


def test_a_domain_that_is_not_here_has_no_rows(agent: Server) -> None:
    assert digest(agent, "nowhere.test").count == 0


def digests(server: Server, parameters: str = "") -> wire.Digests:
    code, body = server.call("GET", f"/v1/digests?{parameters}")
    assert code == 200, body
    return wire.decode(body, wire.Digests)


def row_page(server: Server, parameters: str = "") -> wire.RowPage:
    code, body = server.call("GET", f"/v1/rows?{parameters}")
    assert code == 200, body
    return wire.decode(body, wire.RowPage)


def test_all_domains_in_the_order_of_their_ids(agent: Server, private_key: str) -> None:
    """Also those of which only a mailbox or a key is there."""
    agent.push(
        customer("acme"), domain("acme.test"), mailbox("anna@acme.test"), dkim_key("acme.test", private_key),
        state("anna@acme.test", "mailbox", "send"), state("acme", "customer", "send"),
        domain("empty.test"), mailbox("lost@nowhere.test"), dkim_key("keys.test", private_key),
    )  # fmt: skip
    names = {identity(name): name for name in ("acme.test", "empty.test", "nowhere.test", "keys.test")}
    whole = digests(agent)
    assert [each.domain for each in whole.domains] == sorted(names)
    for each in whole.domains:
        one = digest(agent, names[each.domain])
        assert (each.count, each.sha256) == (one.count, one.sha256)
    assert whole.next is None
    assert whole.rows == {"customer": 1, "domain": 2, "mailbox": 2, "dkim": 2, "state": 2}


def test_digests_come_in_pages(agent: Server) -> None:
    agent.push(*(row for n in range(7) for row in (domain(f"d{n}.test"), mailbox(f"anna@d{n}.test"))))
    found, after = [], ""
    while after is not None:
        page = digests(agent, f"limit=3&after={after}")
        assert bool(page.rows) == (page.next is None)
        found += page.domains
        after = page.next
    assert found == digests(agent).domains
    assert len(found) == 7


def test_every_row_in_the_order_of_kind_and_key(agent: Server, private_key: str) -> None:
    rows = [
        customer("acme", 2**30), domain("acme.test"), dkim_key("acme.test", private_key),
        mailbox("anna@acme.test", 5), mailbox("ben@acme.test"), state("acme", "customer", "send", until=9),
    ]  # fmt: skip
    agent.push(*rows)
    expected = sorted((wire.data_of(row) is not None, row.kind, row.key) for row in rows)
    found, after = [], ""
    while after is not None:
        page = row_page(agent, f"limit=2&after={after}")
        found += page.rows
        after = page.next
    assert [(True, row.kind, row.key) for row in found] == expected
    assert {row.key: wire.data_of(row) for row in found} == {row.key: wire.data_of(row) for row in rows}
    assert [row.kind for row in row_page(agent, "after=mailbox:").rows] == ["mailbox", "mailbox", "state"]


def test_a_cursor_that_is_none_is_refused(agent: Server) -> None:
    for path in ("digests?after=%00", "digests?limit=0", "rows?after=a%20b", "rows?limit=1001"):
        assert agent.call("GET", f"/v1/{path}")[0] == 400
