"""The keeper: few verbs, checked arguments, one caller."""

import asyncio
import contextlib
import json
import os
import pwd
import sqlite3
import ssl
import subprocess
import time
from pathlib import Path

import pytest

import mailnode.agent
from mailnode import certificates, keeper_verbs
from mailnode.agent import Agent
from mailnode.commands import DUE
from mailnode.keeper_client import Keeper, KeeperError
from mailnode.keeper_verbs import Refusal
from tests.mailnode.server import Server, domain, gone, identity, mailbox

HOME = identity("anna@acme.test")


def ask(server: Server, verb: str, **arguments: object) -> dict[str, object]:
    return asyncio.run(Keeper(server.settings.keeper_socket).call(verb, **arguments))


def make_home(server: Server, home: str = HOME) -> Path:
    path = server.settings.mail / home[:2] / home
    (path / "Maildir/cur").mkdir(parents=True)
    (path / "Maildir/cur/1").write_text("a message")
    return path


def age(server: Server, days: int, table: str = "gone_homes") -> None:
    """Let the homes in node.db be gone for so long, or the domains."""
    connection = sqlite3.connect(server.settings.database)
    query = f"UPDATE {table} SET gone_at = ? WHERE gone_at IS NOT NULL"  # noqa: S608 one of two names
    connection.execute(query, (int(time.time()) - days * 86_400,))
    connection.commit()
    connection.close()


def watch(server: Server, days: int) -> None:
    """Let the agent have run for so many days more."""
    with contextlib.closing(sqlite3.connect(server.settings.database)) as node:
        node.execute("UPDATE meta SET watched = watched + ?", (days * 86_400,))
        node.commit()


def test_status_says_what_runs(server: Server) -> None:
    server.start("keeper", "lookup")
    answer = ask(server, "status")
    assert dict(answer["services"]) == {
        "postfix": False,
        "dovecot": False,
        "redis": False,
        "rspamd": False,
        "lookup": True,
    }
    assert answer["queue"] == 0


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("shell", {"command": "id"}),
        ("purge", {}),
        ("purge", {"home": "../../etc"}),
        ("purge", {"home": HOME + "\n"}),
        ("purge", {"home": ["x"]}),
        ("purge", {"home": HOME, "days": 0}),
        ("retry", {"recipients": ["-f"]}),
        ("retry", {"recipients": ["a@b.test\n"]}),
        ("retry", {"recipients": "a@b.test"}),
        ("certificate", {"chain": "x", "key": "y"}),
        ("settings", {}),
    ],
)
def test_what_is_no_verb_or_argument_is_refused(
    server: Server, verb: str, arguments: dict[str, object]
) -> None:
    server.start("keeper")
    with pytest.raises(KeeperError):
        ask(server, verb, **arguments)
    ask(server, "status")  # it lives


def test_nonsense_ends_the_connection_only(server: Server) -> None:
    server.start("keeper")

    async def talk(line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(server.settings.keeper_socket)
        writer.write(line)
        writer.write_eof()
        return await reader.read()

    for line in (b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"x" * 2_000_000):
        try:
            asyncio.run(talk(line))
        except ConnectionError:
            continue
    ask(server, "status")


def test_only_the_agents_user_is_answered(server: Server) -> None:
    server.start("keeper")
    os.chmod(server.settings.keeper_socket, 0o666)  # noqa: S103 even if the socket's mode were wrong
    talk = f"""
import os, pwd, socket, sys
entry = pwd.getpwnam(sys.argv[1]); os.setgroups([]); os.setgid(entry.pw_gid); os.setuid(entry.pw_uid)
client = socket.socket(socket.AF_UNIX); client.connect({str(server.settings.keeper_socket)!r})
client.sendall(b'{{"verb": "status"}}\\n'); print(len(client.recv(9999)))
"""
    for user, answered in (("nobody", False), ("postfix", False), (server.settings.users.agent, True)):
        done = subprocess.run(["python3", "-c", talk, user], capture_output=True, text=True, cwd="/")
        assert (done.stdout.strip() not in ("", "0")) is answered, (user, done.stderr)


def test_a_home_is_purged_when_its_days_are_over(agent: Server) -> None:
    agent.start("keeper")
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    home, other = make_home(agent), make_home(agent, identity("bob@acme.test"))
    with pytest.raises(KeeperError, match="not gone"):
        ask(agent, "purge", home=HOME)
    agent.push(gone("mailbox", "anna@acme.test"))
    with pytest.raises(KeeperError, match="30 days"):
        ask(agent, "purge", home=HOME)
    age(agent, 31)
    assert home.exists()
    ask(agent, "purge", home=HOME)
    assert not home.exists()
    assert other.exists()
    ask(agent, "purge", home=HOME)


def test_a_home_is_purged_when_the_days_of_its_domain_are_over(agent: Server) -> None:
    """The panel says that its mailboxes are gone only then; their days do not begin anew."""
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    home = make_home(agent)
    agent.push(gone("domain", "acme.test"))
    age(agent, 29, "domain_names")
    agent.push(gone("mailbox", "anna@acme.test"))
    with pytest.raises(Refusal, match="30 days"):
        keeper_verbs.purge(agent.settings, HOME)
    age(agent, 31, "domain_names")
    keeper_verbs.purge(agent.settings, HOME)
    assert not home.exists()


def test_a_domain_that_came_back_lends_no_days(agent: Server) -> None:
    """Nor does it when it goes again: its days begin anew."""
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    home = make_home(agent)
    agent.push(gone("domain", "acme.test"))
    age(agent, 31, "domain_names")
    agent.push(domain("acme.test"))
    agent.push(gone("mailbox", "anna@acme.test"))
    with pytest.raises(Refusal, match="30 days"):
        keeper_verbs.purge(agent.settings, HOME)
    agent.push(gone("domain", "acme.test"))
    with pytest.raises(Refusal, match="30 days"):
        keeper_verbs.purge(agent.settings, HOME)
    assert home.exists()


@pytest.mark.parametrize(("messages", "calls"), [(3, 3), (keeper_verbs.SINGLY + 1, 1)])
def test_much_that_waits_is_tried_by_one_call(
    server: Server, monkeypatch: pytest.MonkeyPatch, messages: int, calls: int
) -> None:
    listed = [
        {"queue_id": f"{n:X}", "queue_name": "deferred", "recipients": [{"address": "anna@acme.test"}]}
        for n in range(messages)
    ]
    called: list[list[str]] = []

    def run(command: list[str]) -> str:
        called.append(command)
        return "\n".join(json.dumps(message) for message in listed)

    monkeypatch.setattr(keeper_verbs, "_run", run)
    assert keeper_verbs.retry(server.settings, ["acme.test"]) == {"messages": messages}
    assert len(called) == 1 + calls


def test_the_agents_own_look_counts_from_the_mailbox_alone(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    agent.push(gone("domain", "acme.test"))
    agent.push(gone("mailbox", "anna@acme.test"))
    age(agent, 400, "domain_names")
    with contextlib.closing(sqlite3.connect(agent.settings.database)) as node:
        assert node.execute("SELECT domain FROM gone_homes").fetchall() == [(identity("acme.test"),)]
        assert node.execute(DUE, (int(time.time()) - 86_400, 0)).fetchall() == []


def test_a_node_of_an_earlier_version_gets_what_it_lacks(server: Server) -> None:
    with contextlib.closing(sqlite3.connect(server.settings.database)) as node:
        node.execute("ALTER TABLE domain_names DROP COLUMN gone_at")
        for table, column in (("gone_homes", "domain"), ("gone_homes", "watched"), ("meta", "watched")):
            node.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        node.execute("INSERT INTO gone_homes (id, gone_at) VALUES (?, 0)", (HOME,))
        node.commit()
    make_home(server)
    server.command("init")
    server.command("init")
    assert keeper_verbs.purge(server.settings, HOME) == {}


def test_a_home_that_is_not_there_any_more_is_purged(agent: Server) -> None:
    """The node has done it by itself meanwhile, or its files were lost; the panel need not ask for ever."""
    assert keeper_verbs.purge(agent.settings, HOME) == {}


def test_a_home_that_the_node_does_not_know_stays(agent: Server) -> None:
    home = make_home(agent)
    with pytest.raises(Refusal, match="not gone"):
        keeper_verbs.purge(agent.settings, HOME)
    assert home.exists()


def test_a_link_is_not_followed(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    agent.push(gone("mailbox", "anna@acme.test"))
    age(agent, 31)
    elsewhere = agent.directory / "elsewhere"
    elsewhere.mkdir()
    (agent.settings.mail / HOME[:2]).mkdir()
    (agent.settings.mail / HOME[:2] / HOME).symlink_to(elsewhere)
    with pytest.raises(Refusal, match="symbolic link"):
        keeper_verbs.purge(agent.settings, HOME)
    assert elsewhere.exists()


async def sweep_for(server: Server, seconds: float) -> None:
    """Let the agent look for homes whose days are over."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(
            Agent(server.settings, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))._sweep_homes(), seconds
        )


def test_the_agent_has_over_homes_purged_when_the_panel_had_its_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start("keeper", "agent")
    server.push(domain("acme.test"), mailbox("anna@acme.test"))
    home = make_home(server)
    server.push(gone("mailbox", "anna@acme.test"))
    server.stop("agent")
    age(server, 40)
    asyncio.run(sweep_for(server, 0.5))
    assert home.exists()  # node.db may be an old one, of before the mailbox was restored
    monkeypatch.setattr(mailnode.agent, "SWEEP_EVERY", 0.1)
    age(server, 31)
    asyncio.run(sweep_for(server, 0.5))
    assert home.exists()  # the panel may have restored it, and not told yet
    age(server, 38)
    watch(server, 36)
    asyncio.run(sweep_for(server, 0.5))
    assert home.exists()  # the clock says so; but only 36 days have passed
    watch(server, 1)
    asyncio.run(sweep_for(server, 0.5))
    assert not home.exists()


def test_a_disk_that_was_full_ends_no_look_for_good(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []

    def watch(_: object, seconds: float) -> None:
        counted.append(seconds)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(mailnode.agent, "SWEEP_EVERY", 0.05)
    monkeypatch.setattr(mailnode.agent.Commands, "watch", watch)
    asyncio.run(sweep_for(server, 1.0))
    assert len(counted) > 1


def test_a_mailbox_that_came_back_keeps_its_home(agent: Server) -> None:
    agent.push(domain("acme.test"), mailbox("anna@acme.test"))
    home = make_home(agent)
    agent.push(gone("mailbox", "anna@acme.test"))
    age(agent, 31)
    agent.push(mailbox("anna@acme.test"))
    with pytest.raises(Refusal, match="not gone"):
        keeper_verbs.purge(agent.settings, HOME)
    assert home.exists()


def test_another_certificate_must_fit_its_key(server: Server) -> None:
    chain = (server.settings.tls / "cert.pem").read_text()
    key = (server.settings.tls / "key.pem").read_text()
    assert keeper_verbs.certificate(server.settings, chain, key) == {"reloaded": []}
    (server.settings.tls / "cert.pem").unlink()
    certificates.ensure_mail(server.settings)
    with pytest.raises(Refusal, match="not of this key"):
        keeper_verbs.certificate(server.settings, (server.settings.tls / "cert.pem").read_text(), key)
    mode = (server.settings.tls / "key.pem").stat()
    assert (mode.st_mode & 0o777, pwd.getpwuid(mode.st_uid).pw_name) == (0o600, "root")
