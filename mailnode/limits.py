"""How many recipients a mailbox, a customer and the server may send to: counted here, in memory.

A recipient is held when Postfix asks about it, and counted when the whole message has come (END-OF-MESSAGE). What is
held is given back when the same SMTP process asks about another message, closes its connection to us, or logs that
the client has gone. If it is given back too early (the connection was idle for too long, this service was killed),
the end of the message finds that and asks for room once more; so never more than a limit passes."""

import time
from collections import OrderedDict
from heapq import heappop, heappush
from typing import NamedTuple

from mailnode.windows import DAY, HOUR, Counts

HOURS = 24
MESSAGES_KEPT = 900.0  # seconds for which a filter may still refuse what has come (Postfix' milter timeouts)
HOLD_AT_MOST = 3_600.0  # a message that takes longer asks for room once more at its end


Subject = tuple[str, str]  # a kind ("mailbox", "customer", "server") and an address, an id, ""


class Limit(NamedTuple):
    """How many recipients `subject` may send to; None: as many as it likes."""

    subject: Subject
    hour: int | None
    day: int | None


class Reached(NamedTuple):
    """The limit that was reached: so many recipients in so many seconds, and when (seconds since the epoch) another
    one may pass (None: never)."""

    limit: Limit
    recipients: int
    seconds: int
    frees_at: int | None


class Hold:
    """Recipients of one message on its way in."""

    def __init__(self, instance: str, client: tuple[str, str], limits: list[Limit]) -> None:
        self.instance, self.client, self.limits = instance, client, limits
        self.recipients = 0
        self.since = time.monotonic()


class Message(NamedTuple):
    """A message that was counted: for whom (subjects), how many, in which parts of the hour and the day, and when
    (seconds since the epoch)."""

    subjects: tuple[Subject, ...]
    recipients: int
    hour: tuple[int, ...]
    day: tuple[int, ...]
    at: int


def hour_of(day: int, least: int) -> int:
    """The limit of an hour that goes with one of a day: `least`, or more where the day's was raised."""
    return min(day, max(least, -(-day // HOURS)))


class Tally:
    """All counts of the server. `changed` holds the subjects that changed since somebody emptied it; `new_messages`
    and `gone_messages` likewise the ids of messages."""

    def __init__(self) -> None:
        self.counts: dict[Subject, Counts] = {}
        self.messages: OrderedDict[str, Message] = OrderedDict()
        self.holds: dict[tuple[str, str], Hold] = {}
        self.changed: set[Subject] = set()
        self.new_messages: set[str] = set()
        self.gone_messages: set[str] = set()
        self._due: list[tuple[int, Subject]] = []  # a heap; what does not stand in `_awaited` is out of date
        self._awaited: dict[Subject, int] = {}

    def hold(self, hold: Hold, recipients: int = 1) -> Reached | None:
        """Hold some more recipients for a message, or say which limit is in the way."""
        now = time.time()
        for limit in hold.limits:
            counts = self._of(limit)
            if counts.roll(now):
                self.changed.add(limit.subject)
            if reached := _against(counts, limit, recipients):
                return reached
        for limit in hold.limits:
            self.counts[limit.subject].held += recipients
        hold.recipients += recipients
        self.holds[hold.client] = hold
        return None

    def release(self, hold: Hold) -> None:
        """Give back what is held for a message."""
        if hold.recipients:
            for limit in hold.limits:
                self.counts[limit.subject].held -= hold.recipients
        hold.recipients = 0
        if self.holds.get(hold.client) is hold:
            del self.holds[hold.client]

    def release_client(self, client: tuple[str, str]) -> None:
        """The client (address, port) has gone."""
        if hold := self.holds.get(client):
            self.release(hold)

    def count(self, hold: Hold, recipients: int, message: str) -> Reached | None:
        """The message `message` (its queue id) has come, for so many recipients: count them. What is not held any
        more needs room as a new recipient does."""
        if not recipients:
            return None
        lacking = recipients - hold.recipients
        if lacking > 0 and (reached := self.hold(hold, lacking)):
            self.release(hold)
            return reached
        self.release(hold)
        now = time.time()
        hours, days = [], []
        for limit in hold.limits:
            counts = self.counts[limit.subject]
            hours.append(counts.hour.add(recipients, now))
            days.append(counts.day.add(recipients, now))
            self._touch(limit.subject)
        if message:
            subjects = tuple(limit.subject for limit in hold.limits)
            self.messages[message] = Message(subjects, recipients, tuple(hours), tuple(days), int(now))
            self.new_messages.add(message)
        return None

    def take_back(self, message: str) -> bool:
        """A message that was counted has been refused after all; false for one that is not known (any more)."""
        if not (found := self.messages.pop(message, None)):
            return False
        self._forget(message)
        for subject, hour, day in zip(found.subjects, found.hour, found.day, strict=True):
            if counts := self.counts.get(subject):
                counts.hour.take_back(found.recipients, hour)
                counts.day.take_back(found.recipients, day)
                self._touch(subject)
        return True

    def roll(self) -> None:
        """Let fall out what is over, and forget what nobody asks for any more."""
        now = time.time()
        while self._due and self._due[0][0] <= now:
            at, subject = heappop(self._due)
            if self._awaited.get(subject) == at:
                del self._awaited[subject]
                self._look_at(subject, now)
        while self.messages and next(iter(self.messages.values())).at < now - MESSAGES_KEPT:
            self._forget(self.messages.popitem(last=False)[0])
        for hold in [one for one in self.holds.values() if one.since < time.monotonic() - HOLD_AT_MOST]:
            self.release(hold)

    def load(self, subject: Subject, counts: Counts) -> None:
        """Take over what was stored."""
        self.counts[subject] = counts
        self._await(subject)

    def _look_at(self, subject: Subject, now: float) -> None:
        counts = self.counts[subject]
        if counts.roll(now):
            self.changed.add(subject)
        if counts.rolls_at is None and not counts.held:
            del self.counts[subject]
            self.changed.add(subject)
        else:
            self._await(subject)

    def _of(self, limit: Limit) -> Counts:
        if limit.subject not in self.counts:
            self.load(limit.subject, Counts())
        return self.counts[limit.subject]

    def _touch(self, subject: Subject) -> None:
        self.changed.add(subject)
        self._await(subject)

    def _await(self, subject: Subject) -> None:
        """Look at it when its next part falls out."""
        at = self.counts[subject].rolls_at or int(time.time()) + HOUR
        if at < self._awaited.get(subject, at + 1):
            self._awaited[subject] = at
            heappush(self._due, (at, subject))

    def _forget(self, message: str) -> None:
        self.new_messages.discard(message)
        self.gone_messages.add(message)


def _against(counts: Counts, limit: Limit, recipients: int) -> Reached | None:
    for window, most, seconds in ((counts.day, limit.day, DAY), (counts.hour, limit.hour, HOUR)):
        if most is not None and window.total + counts.held + recipients > most:
            return Reached(limit, most, seconds, window.frees_at(most - recipients - counts.held + 1))
    return None
