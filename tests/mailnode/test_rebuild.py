"""POST /v1/rebuild: a node is filled anew while the old rows serve, and holds the new ones at once."""

import asyncio
import contextlib
import random
import shutil
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from mailnode import schema, wire
from mailnode.effects import Effects
from mailnode.rebuild import Rebuilding
from mailnode.sessions import Sessions
from mailnode.store import Store
from tests.faults import Dice, kills, report
from tests.mailnode.panel import DOMAINS, MAILBOXES
from tests.mailnode.server import (
    Server,
    customer,
    dkim_key,
    domain,
    gone,
    identity,
    mailbox,
    state,
)
from tests.node_files import holding

OTHER_HASH = "{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$c2FsdA$b3RoZXI"


def pages(rows: list[wire.Row], size: int = 2, revision: int = 7) -> list[wire.Rebuild]:
    """A rebuild of these rows in pages of `size`."""
    parts = [rows[start : start + size] for start in range(0, len(rows), size)] or [[]]
    facts = {"wire": 2, "rebuild": uuid.uuid4().hex, "revision": revision, "mark": f"m{revision}"}
    return [
        wire.Rebuild(**facts, seq=seq, rows=part, last=seq == len(parts) - 1)
        for seq, part in enumerate(parts)
    ]


def send(server: Server, page: wire.Rebuild) -> wire.Applied | wire.RebuildState:
    code, body = server.call("POST", "/v1/rebuild", wire.encode(page))
    assert code in (200, 409), body
    return wire.decode(body, wire.Applied if code == 200 else wire.RebuildState)


def hashes(rows: list[wire.Row]) -> dict[tuple[str, str], str]:
    return {(row.kind, row.key): wire.row_hash(row.kind, row.key, wire.data_of(row)) for row in rows}


@pytest.fixture
def rows(private_key: str) -> list[wire.Row]:
    return [
        customer("acme"), domain("acme.test"), dkim_key("acme.test", private_key),
        mailbox("anna@acme.test"), mailbox("ben@acme.test"), state("ben@acme.test", "mailbox", "send"),
    ]  # fmt: skip


def test_a_fresh_node_is_effective_only_when_it_holds_everything(agent: Server, rows: list[wire.Row]) -> None:
    *first, last = pages(rows)
    for page in first:
        assert send(agent, page) == wire.Applied(revision=0, effective=0)
        assert agent.status().rebuild == wire.RebuildState(rebuild=page.rebuild, seq=page.seq + 1)
        assert not any(agent.status().rows.values())
    assert send(agent, last) == wire.Applied(revision=7, effective=7)
    assert holding(agent.directory) == hashes(rows)
    assert agent.status().rebuild is None
    assert (agent.settings.dkim / "acme.test/k1.key").exists()
    assert not list((agent.settings.dkim / "stage").iterdir())
    agent.push(mailbox("carl@acme.test"))
    assert holding(agent.directory) == hashes([*rows, mailbox("carl@acme.test")])


def test_old_rows_and_passwords_serve_until_the_last_page(agent: Server, rows: list[wire.Row]) -> None:
    agent.push(*rows)
    before = holding(agent.directory)
    *first, last = pages(
        [customer("acme"), domain("acme.test"), mailbox("anna@acme.test", secret=OTHER_HASH)]
    )
    for page in first:
        send(agent, page)
        assert holding(agent.directory) == before
    send(agent, last)
    expected = [customer("acme"), domain("acme.test"), mailbox("anna@acme.test", secret=OTHER_HASH)]
    assert holding(agent.directory) == hashes(expected)
    assert not (agent.settings.dkim / "acme.test").exists()


def test_a_page_that_comes_again_changes_nothing(agent: Server, rows: list[wire.Row]) -> None:
    for page in pages(rows):
        assert send(agent, page) == send(agent, page)
    assert holding(agent.directory) == hashes(rows)


def test_a_page_that_is_not_waited_for_is_told_which_one_is(agent: Server, rows: list[wire.Row]) -> None:
    first, second, third = pages(rows)
    assert send(agent, second) == wire.RebuildState(rebuild=None, seq=0)
    send(agent, first)
    assert send(agent, third) == wire.RebuildState(rebuild=first.rebuild, seq=1)
    send(agent, second)
    assert send(agent, first) == wire.RebuildState(rebuild=first.rebuild, seq=2)


def test_another_rebuild_begins_from_nothing(agent: Server, rows: list[wire.Row]) -> None:
    old, *_ = pages(rows)
    send(agent, old)
    for page in pages(rows[:3], revision=8):
        send(agent, page)
    assert holding(agent.directory) == hashes(rows[:3])


def test_changes_meanwhile_end_a_rebuild(agent: Server, rows: list[wire.Row]) -> None:
    *first, last = pages(rows)
    for page in first:
        send(agent, page)
    agent.push(customer("mal"))
    assert send(agent, last) == wire.RebuildState(rebuild=None, seq=0)
    assert holding(agent.directory) == hashes([customer("mal")])


@pytest.mark.parametrize(
    "wrong",
    [
        gone("mailbox", "gone@acme.test"),
        wire.Row(kind="forwarder", key=identity("x"), data={}),
        wire.Row(kind="customer", key=identity("x"), data={"username": "../x", "storage_bytes": None}),
    ],
)
def test_a_wrong_row_refuses_its_page(agent: Server, rows: list[wire.Row], wrong: wire.Row) -> None:
    page = pages([*rows, wrong], size=10)[0]
    code, body = agent.call("POST", "/v1/rebuild", wire.encode(page))
    refusal = wire.decode(body, wire.Refusal)
    assert (code, refusal.kind, refusal.key) == (422, wrong.kind, wrong.key)
    assert agent.status().revision == 0
    for page in pages(rows):
        send(agent, page)
    assert holding(agent.directory) == hashes(rows)


def test_another_name_under_an_id_is_put_right(agent: Server, rows: list[wire.Row]) -> None:
    """No page of changes may say so; where somebody has changed the node's files, a rebuild is what is left."""
    agent.push(*rows)
    _execute(agent.settings.database, "UPDATE domains SET name = 'o.test'")
    _execute(agent.settings.database, "UPDATE domain_names SET name = 'o.test'")
    _execute(agent.settings.database, "UPDATE mailboxes SET local_part = 'z' || local_part")
    for page in pages(rows):
        send(agent, page)
    assert holding(agent.directory) == hashes(rows)
    assert (agent.settings.dkim / "acme.test/k1.key").exists()


def test_it_never_leads_back(agent: Server, rows: list[wire.Row]) -> None:
    agent.push(*rows)
    agent.push(mailbox("carl@acme.test"))
    page = pages([customer("acme")], revision=1)[0]
    assert agent.call("POST", "/v1/rebuild", wire.encode(page))[0] == 422
    assert holding(agent.directory) == hashes([*rows, mailbox("carl@acme.test")])


def test_it_mends_what_lies_beside_the_rows(agent: Server, rows: list[wire.Row]) -> None:
    agent.push(*rows)
    (agent.settings.dkim / "acme.test" / "k1.key").write_text("not a key")
    strange = agent.settings.dkim / "strange.test"
    strange.mkdir()
    (strange / "k1.key").write_text("nobody's")
    shutil.chown(strange, agent.settings.users.agent)
    with sqlite3.connect(agent.settings.secrets) as secrets:
        secrets.execute("UPDATE secrets SET hash = 'x' WHERE mailbox = ?", (identity("anna@acme.test"),))
        secrets.execute("INSERT INTO secrets VALUES (?, 'x', 'x')", (identity("nobody@acme.test"),))
        secrets.execute("INSERT INTO secrets VALUES (?, 'x', 'x')", (identity("anna@acme.test"),))
    for page in pages(rows):
        send(agent, page)
    assert holding(agent.directory) == hashes(rows)
    assert not strange.exists()
    with sqlite3.connect(agent.settings.secrets) as secrets:
        assert secrets.execute("SELECT count(*) FROM secrets").fetchone() == (2,)


def test_what_was_staged_and_is_missing_begins_again(agent: Server, rows: list[wire.Row]) -> None:
    """As after a power cut."""
    for lose in (
        lambda: [path.write_bytes(b"") for path in (agent.settings.dkim / "stage").iterdir()],
        lambda: [path.write_bytes(b'{"k": "\xff"}') for path in (agent.settings.dkim / "stage").iterdir()],
        lambda: _execute(agent.settings.secrets, "DELETE FROM secrets"),
    ):
        *first, last = pages(rows)
        for page in first:
            send(agent, page)
        lose()
        assert send(agent, last) == wire.RebuildState(rebuild=None, seq=0)
        assert holding(agent.directory) == {}
        assert not list((agent.settings.dkim / "stage").iterdir())


def _execute(path: object, statement: str) -> None:
    with sqlite3.connect(str(path)) as connection:
        connection.execute(statement)


class Node:
    """A mail server's files and the code that changes them, without an agent."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.store = Store(server.settings)
        self.rebuilding = Rebuilding(self.store)
        self.effects = Effects(self.store, Sessions(server.settings))

    def change(self, *rows: wire.Row) -> None:
        self.apply(*rows)
        self.settle()

    def apply(self, *rows: wire.Row) -> None:
        """What follows is still pending then."""
        base = self.store.point()
        mark = uuid.uuid4().hex
        self.store.apply(
            wire.Changes(wire=2, base=base, revision=base.revision + 1, mark=mark, rows=list(rows))
        )

    def rebuild(self, rows: list[wire.Row]) -> None:
        for page in pages(rows, size=7, revision=self.store.point().revision + 1):
            self.rebuilding.take(page)
        self.settle()

    def settle(self) -> None:
        asyncio.run(self.effects.bring_about(time.monotonic() + 60))
        assert not self.effects.lagging()

    def use(self, chance: random.Random) -> None:
        """As if mail had come in."""
        names = "SELECT m.local_part || '@' || d.name FROM mailboxes m JOIN domains d ON d.id = m.domain"
        for (address,) in self.store.node.execute(f"{names} ORDER BY 1").fetchall():
            if chance.random() < 0.5:
                query = "INSERT OR REPLACE INTO usage (address, bytes, messages) VALUES (?, ?, 1)"
                self.store.usage.execute(query, (address, chance.randrange(1, 1000)))

    def facts(self) -> dict[str, object]:
        """Everything that has to be the same whichever way the rows came."""
        queries = {
            "homes": "SELECT id, bytes, messages FROM gone_homes ORDER BY id",
            "names": "SELECT id, name, gone_at IS NULL FROM domain_names ORDER BY id",
        }
        found: dict[str, object] = {
            name: self.store.node.execute(q).fetchall() for name, q in queries.items()
        }
        found["usage"] = self.store.usage.execute("SELECT address, bytes FROM usage ORDER BY 1").fetchall()
        found["domain usage"] = self.store.usage.execute("SELECT * FROM domain_usage ORDER BY 1").fetchall()
        found["secrets"] = self.store.secrets.execute("SELECT * FROM secrets ORDER BY 1").fetchall()
        found["keys"] = sorted(path.name for path in self.server.settings.dkim.rglob("*"))
        return found | {"rows": holding(self.server.directory)}

    def close(self) -> None:
        self.rebuilding.close()
        self.store.close()


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    made = [Node(Server()), Node(Server())]
    yield made
    for node in made:
        node.close()
        node.server.remove()


def some_rows(chance: random.Random, private_keys: list[str]) -> list[wire.Row]:
    """Whole families of rows: what a panel could wish."""
    rows = [customer("acme", chance.randrange(10**9))]
    for number in range(DOMAINS):
        if chance.random() < 0.7:
            name = f"d{number}.test"
            rows += [domain(name), dkim_key(name, chance.choice(private_keys))]
            rows += [_mailbox(chance, f"u{n}@{name}") for n in range(MAILBOXES // 4) if chance.random() < 0.6]
    for row in [row for row in rows if row.kind == "mailbox" and chance.random() < 0.2]:
        stop = chance.choice(["sign_in", "send", "receive"])
        fields = {"subject_kind": "mailbox", "subject": row.key, "stops": [stop], "reason": "", "until": None}
        rows.append(wire.row("state", identity(f"state of {row.key}"), wire.State(**fields)))
    chance.shuffle(rows)
    return rows


def _mailbox(chance: random.Random, address: str) -> wire.Row:
    """Now and then under another id: the address was deleted and made again."""
    return mailbox(
        address,
        secret=f"{{ARGON2ID}}$argon2id$v=19$m=8,t=1,p=1$c2FsdA${chance.randrange(2):09}",
        key=f"{address} {chance.choice([1, 1, 1, 2])}",
    )


@pytest.mark.soak
def test_a_rebuild_ends_where_changes_would_have(
    nodes: list[Node], rng: Dice, private_keys: list[str]
) -> None:
    """Rows, homes, usage, hashes, keys: whichever way they came."""
    turns = kills(6, 200)
    by_rebuild, by_changes = nodes
    wished: list[wire.Row] = []
    for _ in range(turns):
        seed = rng.randrange(2**32)
        for node in nodes:
            node.use(random.Random(seed))
        new = some_rows(rng, private_keys)
        keys = {(row.kind, row.key) for row in new}
        ended = [wire.row(row.kind, row.key, None) for row in wished if (row.kind, row.key) not in keys]
        by_rebuild.rebuild(new)
        by_changes.change(*ended, *new)
        assert by_rebuild.facts() == by_changes.facts()
        assert by_rebuild.facts()["rows"] == hashes(new)
        wished = new
    report("rebuild against changes", rng, turns=turns)


@pytest.mark.soak
def test_killed_anywhere_it_goes_on_or_begins_again(
    agent: Server, rng: Dice, private_keys: list[str]
) -> None:
    """The old rows are in force or the new ones, and never anything between."""
    times, killed = kills(4, 200), 0
    for turn in range(times):
        old, new = holding(agent.directory), some_rows(rng, private_keys)
        killer = threading.Timer(rng.uniform(0.0, 0.25), agent.running["agent"].kill)
        killer.start()
        todo = pages(new, size=5, revision=100 + turn)
        try:
            for page in todo:
                send(agent, page)
        except OSError:
            killed += 1
        killer.join()
        agent.stop("agent", with_signal=signal.SIGKILL)
        agent.start("agent")
        now = holding(agent.directory)
        assert now in (old, hashes(new))
        last = todo[-1]
        state = send(agent, last)
        if isinstance(state, wire.RebuildState):
            todo = todo[state.seq :] if state.rebuild == last.rebuild else pages(new, 5, 100 + turn)
            for page in todo:
                assert isinstance(send(agent, page), wire.Applied)
        assert holding(agent.directory) == hashes(new)
        assert agent.status().effective == 100 + turn
    report("agent killed in a rebuild", rng, times=times, killed=killed)


def test_usage_is_counted_meanwhile(nodes: list[Node], rows: list[wire.Row]) -> None:
    """The swap reads usage.db, and takes no lock that would keep Dovecot from writing it."""
    node = nodes[0]
    *first, last = pages(rows)
    for page in first:
        node.rebuilding.take(page)
    with contextlib.closing(sqlite3.connect(node.server.settings.usage, isolation_level=None)) as dovecot:
        dovecot.execute("BEGIN IMMEDIATE")
        dovecot.execute("INSERT INTO usage (address, bytes) VALUES ('anna@acme.test', 1)")
        began = time.monotonic()
        node.rebuilding.take(last)
        assert time.monotonic() - began < 5
        dovecot.execute("COMMIT")
    assert node.store.point().revision == last.revision


OF_EARLIER_SECRETS = (
    "CREATE TABLE former (mailbox TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID",
    "INSERT INTO former SELECT mailbox, hash FROM secrets",
    "DROP TABLE secrets",
    "ALTER TABLE former RENAME TO secrets",
    "CREATE TABLE staged (mailbox TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID",
)


def test_files_of_an_earlier_version_get_what_they_lack(agent: Server, rows: list[wire.Row]) -> None:
    agent.push(*rows)
    agent.stop("agent")
    for table in ("rebuild", "staged_mailboxes"):
        _execute(agent.settings.database, f"DROP TABLE {table}")
    for statement in OF_EARLIER_SECRETS:
        _execute(agent.settings.secrets, statement)
    shutil.rmtree(agent.settings.tls)
    for _ in range(2):
        agent.command("init")
        assert holding(agent.directory) == hashes(rows)
    agent.start("agent")
    new = [*rows, mailbox("carl@acme.test")]
    for page in pages(new):
        assert isinstance(send(agent, page), wire.Applied)
    assert holding(agent.directory) == hashes(new)


def test_a_password_that_an_earlier_version_had_in_force_before_its_row_stays_so(
    agent: Server, rows: list[wire.Row]
) -> None:
    """It was killed between the two files, and the page comes again only once the agent runs."""
    anna = identity("anna@acme.test")
    agent.push(*rows)
    agent.stop("agent")
    for statement in (
        *OF_EARLIER_SECRETS,
        f"UPDATE secrets SET hash = '{OTHER_HASH}' WHERE mailbox = '{anna}'",  # noqa: S608 constants
    ):
        _execute(agent.settings.secrets, statement)
    agent.command("init")
    expected = [mailbox("anna@acme.test", secret=OTHER_HASH) if row.key == anna else row for row in rows]
    assert holding(agent.directory) == hashes(expected)
    agent.start("agent")
    agent.push(mailbox("anna@acme.test", secret=OTHER_HASH))
    assert holding(agent.directory) == hashes(expected)
    with sqlite3.connect(agent.settings.secrets) as secrets:
        assert secrets.execute("SELECT count(*) FROM secrets").fetchone() == (2,)


def test_what_is_pending_takes_no_hash_that_a_rebuild_has_staged(
    nodes: list[Node], rows: list[wire.Row]
) -> None:
    node = nodes[0]
    node.change(*rows)
    node.apply(mailbox("anna@acme.test", secret=OTHER_HASH))
    *first, last = pages(
        [*rows[:-1], mailbox("bob@acme.test", secret=OTHER_HASH), mailbox("carl@acme.test")], revision=9
    )
    for each in first:
        node.rebuilding.take(each)
    node.settle()
    node.rebuilding.take(last)
    assert node.store.point().revision == 9


def test_no_hash_goes_while_a_power_cut_may_bring_back_the_row_that_names_it(
    nodes: list[Node], rows: list[wire.Row]
) -> None:
    """As after a write of node.db that failed: what it held may be there again, until the log is begun anew."""
    node = nodes[0]
    node.change(*rows)
    node.apply(mailbox("anna@acme.test", secret=OTHER_HASH))
    hashes_now = "SELECT count(*) FROM secrets"
    with contextlib.closing(sqlite3.connect(node.server.settings.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        node.store.node.execute("PRAGMA busy_timeout = 10")
        schema._doubtful.add(node.store.node.path)
        with pytest.raises(schema.HeldUp):
            node.settle()
        assert node.store.secrets.execute(hashes_now).fetchone() == (3,)
    node.settle()
    assert node.store.secrets.execute(hashes_now).fetchone() == (2,)


def test_what_follows_is_brought_about_also_where_the_revision_stays(
    agent: Server, rows: list[wire.Row], private_key: str
) -> None:
    """Staff have a server rebuilt of which nothing has changed: more than one page of its keys is to be looked through."""
    rows = [*rows, domain("b.test"), dkim_key("b.test", private_key)]
    agent.push(*rows)
    for name in ("acme.test", "b.test"):
        (agent.settings.dkim / name / "k1.key").write_text("not a key")
    for page in pages(rows, revision=1):
        answer = send(agent, page)
    assert answer == wire.Applied(revision=1, effective=1)
    assert holding(agent.directory) == hashes(rows)


def test_a_key_that_is_waited_for_may_come_with_a_rebuild(
    agent: Server, rows: list[wire.Row], private_keys: list[str]
) -> None:
    """What follows from an earlier page is still pending when the rebuild brings a key that no page has staged."""
    agent.push(*rows)
    _execute(
        agent.settings.database,
        "INSERT INTO effects (revision, kind, subject, detail) VALUES (1, 'dkim', 'acme.test', '')",
    )
    rows = [*rows, dkim_key("acme.test", private_keys[1], selector="k2")]
    for page in pages(rows):
        answer = send(agent, page)
    assert answer == wire.Applied(revision=7, effective=7)
    assert holding(agent.directory) == hashes(rows)
