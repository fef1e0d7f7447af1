"""Commands of the panel: done once each, whatever happens to the answer."""

import time

from mailnode import wire
from mailnode.keeper_client import Keeper
from mailnode.sessions import Sessions
from mailnode.store import Store

COMMANDS = ("kick", "purge")
REMEMBER = 30 * 86_400  # seconds that the id of a command is kept

ADDRESS = """SELECT m.local_part || '@' || d.name FROM mailboxes m JOIN domains d ON d.id = m.domain
WHERE m.id = ?"""
# Both by the clock and by how long the agent has run since: a clock that is set wrong makes nothing old.
DUE = """SELECT id FROM gone_homes WHERE gone_at <= ? AND watched <= (SELECT watched FROM meta) - ?
AND id NOT IN (SELECT id FROM mailboxes) ORDER BY gone_at LIMIT 1000"""


class Commands:
    """Carries commands out; under the same lock as `Store.apply`."""

    def __init__(self, store: Store, sessions: Sessions, keeper: Keeper) -> None:
        self.store = store
        self.sessions = sessions
        self.keeper = keeper

    async def run(self, name: str, command: wire.Command) -> bool:
        """Do it, unless this id has been done; returns whether it had. Raises WireError, SessionsError,
        KeeperError."""
        node = self.store.node
        if node.execute("SELECT 1 FROM commands WHERE id = ?", (command.id,)).fetchone():
            return True
        if name == "kick":
            await self._kick(command)
        else:
            if command.home is None:
                raise wire.WireError("purge needs the id of a home")
            await self.purge(command.home)
        with self.store.transaction():
            now = int(time.time())
            node.execute("INSERT INTO commands VALUES (?, ?, ?)", (command.id, name, now))
            node.execute("DELETE FROM commands WHERE done_at < ?", (now - REMEMBER,))
        return False

    async def purge(self, home: str) -> None:
        """Have the keeper remove the mail of a gone mailbox; it refuses one that is there or not gone long
        enough."""
        await self.keeper.call("purge", home=home)
        with self.store.transaction() as node:
            node.execute("DELETE FROM gone_homes WHERE id = ?", (home,))

    def due_homes(self, days: int, now: int) -> list[str]:
        """The homes whose days are over, oldest first: days in which the agent ran, so it is later where it was
        away. `now` in seconds since the epoch."""
        seconds = days * 86_400
        return [row[0] for row in self.store.node.execute(DUE, (now - seconds, seconds)).fetchall()]

    def watch(self, seconds: float) -> None:
        """Count that the agent has run for so long."""
        with self.store.transaction() as node:
            node.execute("UPDATE meta SET watched = watched + ?", (int(seconds),))

    async def _kick(self, command: wire.Command) -> None:
        if command.mailbox is None:
            raise wire.WireError("kick needs the id of a mailbox")
        found = self.store.node.execute(ADDRESS, (command.mailbox,)).fetchone()
        if found:
            await self.sessions.kick(found[0])
