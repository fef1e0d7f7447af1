"""The agent dies at any moment: what it acknowledged is there, and what has to follow follows."""

import random
import signal
import threading
import time

import pytest

from mailnode import wire
from mailnode.store import Store
from tests.mailnode.server import Server, customer, dkim_key, domain, gone, identity, mailbox, state

KILLS = 6


def test_effects_are_completed_after_a_crash(server: Server, private_key: str) -> None:
    """A page is committed, and the process dies before anything followed from it."""
    store = Store(server.settings)
    page = wire.Changes(
        wire=1,
        base=wire.Point(revision=0, mark=""),
        revision=5,
        mark="m",
        rows=[domain("acme.test"), dkim_key("acme.test", private_key), mailbox("anna@acme.test")],
    )
    store.apply(page)
    assert store.effective() == 0
    store.close()
    for path in (server.settings.dkim / "stage").iterdir():
        path.chmod(0o644)  # written by the test's root, read by the agent
    server.start("agent")
    status = server.status()
    assert (status.revision, status.effective, status.lag_error) == (5, 5, None)
    assert (server.settings.dkim / "acme.test" / "k1.key").read_text() == private_key


def test_a_key_that_was_staged_for_nothing_goes(server: Server, private_key: str) -> None:
    Store(server.settings).keys.stage(identity("k"), private_key)
    server.start("agent")
    assert list((server.settings.dkim / "stage").iterdir()) == []


@pytest.mark.timeout(120)
def test_kills_in_a_stream_of_pages_lose_and_double_nothing(server: Server, private_key: str) -> None:
    """The panel's side of the protocol against an agent that is killed again and again."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server.start("agent")
    panel = Panel(server, chance, private_key)
    stop = threading.Event()
    killer = threading.Thread(target=_kill_again_and_again, args=(server, chance, stop))
    killer.start()
    try:
        for _ in range(60):
            panel.change_and_send()
    finally:
        stop.set()
        killer.join()
    panel.send_until_acknowledged([])
    status = server.status()
    assert (status.revision, status.effective) == (panel.point.revision, panel.point.revision)
    assert panel.differences() == {}


def _kill_again_and_again(server: Server, chance: random.Random, stop: threading.Event) -> None:
    for _ in range(KILLS):
        if stop.wait(chance.uniform(0.1, 0.5)):
            return
        server.stop("agent", with_signal=signal.SIGKILL)
        server.start("agent")


class Panel:
    """What the panel does: it knows its confirmed point and the one it sent last, and goes on from either."""

    def __init__(self, server: Server, chance: random.Random, private_key: str) -> None:
        self.server, self.chance, self.private_key = server, chance, private_key
        self.point = wire.Point(revision=0, mark="")
        self.wish: dict[tuple[str, str], wire.Row] = {}

    def change_and_send(self) -> None:
        name = f"d{self.chance.randrange(5)}.test"
        address = f"u{self.chance.randrange(9)}@{name}"
        made = [
            customer("acme"),
            domain(name),
            mailbox(address, quota=self.chance.randrange(1_000)),
            dkim_key(name, self.private_key),
            state(address, "mailbox", self.chance.choice(["sign_in", "send", "receive"])),
            gone("mailbox", address),
            gone("state", f"state of {address}"),
            gone("dkim", f"k1.{name}"),
        ]
        rows = self.chance.sample(made, 3)
        rows = list({(row.kind, row.key): row for row in rows}.values())
        self.wish |= {(row.kind, row.key): row for row in rows}
        self.send_until_acknowledged(rows)

    def send_until_acknowledged(self, rows: list[wire.Row]) -> None:
        page = self.server_page(rows)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                code, body = self.server.call("POST", "/v1/changes", wire.encode(page))
            except OSError:
                time.sleep(0.05)
                continue
            if code == 200:
                break
            assert code == 409, body
            where = wire.decode(body, wire.Point)
            assert where == wire.Point(
                revision=page.revision, mark=page.mark
            )  # it was applied, the answer was lost
            break
        else:
            raise AssertionError("never acknowledged")
        self.point = wire.Point(revision=page.revision, mark=page.mark)

    def server_page(self, rows: list[wire.Row]) -> wire.Changes:
        revision = self.point.revision + 1
        return wire.Changes(wire=1, base=self.point, revision=revision, mark=f"m{revision}", rows=rows)

    def differences(self) -> dict[str, tuple[str | None, str | None]]:
        """Rows that differ between wish and node, by the digests of all domains."""
        found: dict[str, str] = {}
        for number in range(5):
            code, body = self.server.call("GET", f"/v1/digest?domain={identity(f'd{number}.test')}")
            assert code == 200, body
            found |= {f"{row.kind}:{row.key}": row.hash for row in wire.decode(body, wire.Digest).rows}
        expected = {}
        for (kind, key), row in self.wish.items():
            data = wire.data_of(row)
            if data is not None and self._is_in_a_digest(data):
                expected[f"{kind}:{key}"] = wire.row_hash(kind, key, data)
        keys = set(found) | set(expected)
        return {
            key: (found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)
        }

    def _is_in_a_digest(self, data: wire.Data) -> bool:
        """A digest is of a domain that is there; so are states of mailboxes that are there."""
        match data:
            case wire.Dkim():
                return ("domain", data.domain) in self.wish
            case wire.State():
                subject = self.wish.get(("mailbox", data.subject))
                return subject is not None and subject.data is not None
            case wire.Customer():
                return any(kind == "domain" for kind, _ in self.wish)
        return True
