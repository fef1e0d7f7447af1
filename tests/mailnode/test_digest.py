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
