"""POST /v1/changes: pages are applied whole, in order, and become effective."""

import json
import pwd
import sqlite3
import time
from pathlib import Path

from mailnode import wire
from tests.mailnode.server import (
    FAKE_HASH,
    Server,
    customer,
    dkim_key,
    domain,
    gone,
    identity,
    mailbox,
    new_private_key,
    state,
)
from tests.node_files import holding


def post(server: Server, page: wire.Changes) -> tuple[int, bytes]:
    return server.call("POST", "/v1/changes", wire.encode(page))


def table(server: Server, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(server.settings.database)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_page_is_applied_and_effective(agent: Server, private_key: str) -> None:
    rows = [
        customer("acme"),
        domain("acme.test"),
        mailbox("anna@acme.test"),
        dkim_key("acme.test", private_key),
    ]
    applied = agent.push(*rows, state("acme", "customer", "send"))
    assert (applied.revision, applied.effective) == (1, 1)
    assert agent.status().rows == {"customer": 1, "domain": 1, "mailbox": 1, "dkim": 1, "state": 1}
    secrets = sqlite3.connect(agent.settings.secrets).execute("SELECT mailbox, hash FROM secrets").fetchall()
    assert secrets == [(identity("anna@acme.test"), FAKE_HASH)]
    assert (agent.settings.dkim / "acme.test" / "k1.key").read_text() == private_key
    assert (agent.settings.dkim / "acme.test/k1.key").read_text() == private_key


def test_rows_may_come_before_their_parents(agent: Server, private_key: str) -> None:
    agent.push(mailbox("anna@acme.test"), dkim_key("acme.test", private_key))
    agent.push(domain("acme.test"))
    assert (agent.settings.dkim / "acme.test" / "k1.key").read_text() == private_key


def test_another_base_is_answered_with_the_nodes_own(agent: Server) -> None:
    agent.push(customer("acme"))
    status = agent.status()
    for base in (
        wire.Point(revision=0, mark=""),
        wire.Point(revision=1, mark="other"),
        wire.Point(revision=9, mark=""),
    ):
        code, body = post(agent, agent.page(customer("mal"), base=base))
        assert code == 409
        assert wire.decode(body, wire.Point) == wire.Point(revision=1, mark=status.mark)
    assert agent.status().rows["customer"] == 1


def test_a_repeated_page_changes_nothing(agent: Server) -> None:
    page = agent.page(customer("acme"))
    assert post(agent, page)[0] == 200
    code, body = post(agent, page)
    assert code == 409
    assert wire.decode(body, wire.Point) == wire.Point(revision=page.revision, mark=page.mark)


def test_an_unknown_kind_refuses_the_whole_page(agent: Server) -> None:
    page = json.loads(wire.encode(agent.page(customer("acme"))))
    page["rows"].append({"kind": "forwarder", "key": identity("x"), "data": {}})
    code, body = agent.call("POST", "/v1/changes", json.dumps(page).encode())
    refusal = wire.decode(body, wire.Refusal)
    assert (code, refusal.kind, refusal.key) == (422, "forwarder", identity("x"))
    assert agent.status().revision == 0
    assert agent.status().rows["customer"] == 0


def test_a_row_that_stands_twice_refuses_the_page(agent: Server) -> None:
    assert post(agent, agent.page(customer("acme"), customer("acme")))[0] == 422


def test_another_wire_version_is_refused(agent: Server) -> None:
    page = json.loads(wire.encode(agent.page())) | {"wire": wire.WIRES[1] + 1}
    assert agent.call("POST", "/v1/changes", json.dumps(page).encode())[0] == 422


def test_names_never_change(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    renamed = wire.Domain(customer=identity("acme"), name="other.test")
    assert post(agent, agent.page(wire.row("domain", identity("acme.test"), renamed)))[0] == 422
    assert post(agent, agent.page(mailbox("bob@acme.test", key="anna@acme.test")))[0] == 422


def test_the_later_row_of_a_name_wins(agent: Server) -> None:
    """A domain changes hands and the old row's end comes in a later page."""
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    other = wire.Domain(customer=identity("mal"), name="acme.test")
    agent.push(wire.row("domain", identity("new acme.test"), other))
    agent.push(gone("domain", "acme.test"), gone("mailbox", "anna@acme.test"))
    assert table(agent, "SELECT id FROM domains") == [(identity("new acme.test"),)]


def test_a_page_that_is_refused_changes_no_password(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"), mailbox("bob@acme.test"))
    before = holding(agent.directory)
    other = mailbox("anna@acme.test", secret=FAKE_HASH[:-1] + "x")
    moved = mailbox("carl@acme.test", key="bob@acme.test")
    assert post(agent, agent.page(other, moved))[0] == 422
    assert holding(agent.directory) == before
    with sqlite3.connect(agent.settings.secrets) as secrets:
        assert secrets.execute("SELECT count(*) FROM secrets").fetchone() == (2,)


def test_a_former_password_is_not_kept(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    later = FAKE_HASH[:-1] + "x"
    agent.push(mailbox("anna@acme.test", secret=later))
    with sqlite3.connect(agent.settings.secrets) as secrets:
        assert secrets.execute("SELECT hash FROM secrets").fetchall() == [(later,)]


def test_what_is_gone_may_go_twice(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"), state("anna@acme.test", "mailbox", "sign_in"))
    for _ in range(2):
        agent.push(
            gone("mailbox", "anna@acme.test"),
            gone("domain", "acme.test"),
            gone("state", "state of anna@acme.test"),
        )
    assert set(agent.status().rows.values()) == {0}
    assert sqlite3.connect(agent.settings.secrets).execute("SELECT count(*) FROM secrets").fetchone() == (0,)


def test_a_key_made_again_under_its_selector_is_noticed(agent: Server, private_key: str) -> None:
    """Rspamd keeps a key until the file's time in whole seconds is later than when it was read."""
    path = agent.settings.dkim / "acme.test" / "k1.key"
    agent.push(domain("acme.test"), dkim_key("acme.test", private_key))
    stamps = [int(path.stat().st_mtime)]
    agent.push(gone("dkim", "k1.acme.test"))
    assert not path.exists()
    other = new_private_key()
    agent.push(dkim_key("acme.test", other, key="made again"))
    stamps.append(int(path.stat().st_mtime))
    agent.push(dkim_key("acme.test", private_key))
    stamps.append(int(path.stat().st_mtime))
    assert path.read_text() == private_key
    assert stamps == sorted(set(stamps))
    assert list((agent.settings.dkim / "stage").iterdir()) == []


def test_only_the_selected_key_signs(agent: Server, private_key: str) -> None:
    data = wire.Dkim(domain=identity("acme.test"), selector="k2", private_key=new_private_key(), signs=False)
    second = wire.row("dkim", identity("k2.acme.test"), data)
    agent.push(domain("acme.test"), dkim_key("acme.test", private_key), second)
    assert (agent.settings.dkim / "acme.test/k1.key").exists()
    assert (agent.settings.dkim / "acme.test/k2.kept").exists()
    assert not (agent.settings.dkim / "acme.test/k2.key").exists()


def test_only_the_key_opens(agent: Server) -> None:
    hashed = agent.settings.agent_directory.joinpath("key.sha256").read_text().strip()
    for key in ("", "wrong", "\xff", hashed):
        code, body = agent.call("GET", "/v1/status", key=key)
        assert code == 401
        assert wire.decode(body, wire.Refusal).error
    assert agent.call("POST", "/v1/changes", b"{}", key="wrong")[0] == 401


def test_every_error_is_a_refusal(agent: Server) -> None:
    calls = {
        ("POST", "/v1/changes", b"{"): 400,
        ("POST", "/v1/changes", b" " * (wire.MAX_BODY + 1)): 413,
        ("GET", "/v1/nothing", None): 404,
        ("GET", "/v1/changes", None): 405,
        ("GET", "/v1/digest", None): 400,
        ("GET", "/v1/digest?domain=" + "0" * 32 + "%0a", None): 400,
        ("GET", "/v1/usage?limit=1001", None): 400,
        ("GET", "/v1/usage?limit=-1", None): 400,
        ("GET", "/v1/usage?after=%27", None): 400,
        ("GET", "/v1/usage?after=x." + "9" * 60, None): 200,
        ("POST", "/v1/commands/reboot", b"{}"): 404,
        ("POST", "/v1/commands/purge", b"{}"): 400,
        ("GET", "/v1/events", None): 501,
    }
    for (method, path, body), expected in calls.items():
        code, answer = agent.call(method, path, body)
        assert (method, path, code) == (method, path, expected)
        if code != 200:
            assert wire.decode(answer, wire.Refusal).error


def test_the_agent_has_no_root(agent: Server) -> None:
    lines = Path(f"/proc/{agent.running['agent'].pid}/status").read_text().splitlines()
    users = next(line.split()[1:] for line in lines if line.startswith("Uid:"))
    assert set(users) == {str(pwd.getpwnam(agent.settings.users.agent).pw_uid)}


def test_whatever_fails_is_told_and_tried_again(agent: Server, private_key: str) -> None:
    agent.push(dkim_key("acme.test", private_key))
    (staged,) = (agent.settings.dkim / "stage").iterdir()
    staged.write_bytes(b"\xff")
    code, body = post(agent, agent.page(domain("acme.test")))
    assert (code, wire.decode(body, wire.Applied).effective) == (200, 1)
    assert "damaged" in (agent.status().lag_error or "")
    time.sleep(1.5)  # in which it is tried again, in vain
    staged.write_text(private_key)
    deadline = time.monotonic() + 30
    while agent.status().effective < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (agent.settings.dkim / "acme.test" / "k1.key").read_text() == private_key
