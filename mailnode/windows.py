"""Counting in windows that roll: how many recipients in the last hour and in the last day.

A window is cut into parts; what is counted belongs to the part of its moment and falls out of the window a whole
window after that part has ended. So never more than the limit passes in any hour or day, and a place comes back at
most one part later than it could."""

from collections import deque

HOUR, DAY = 3_600, 86_400
PART_OF_HOUR, PART_OF_DAY = 60, 900
Parts = list[list[int]]  # [the part's number since the epoch, recipients], oldest first


class Window:
    """The last `seconds`, in parts of `part` seconds."""

    def __init__(self, seconds: int, part: int, parts: Parts | None = None) -> None:
        self.seconds, self.part = seconds, part
        self.parts = deque(parts or [])
        self.total = sum(recipients for _, recipients in self.parts)

    def roll(self, now: float) -> bool:
        """Let fall out what is over; whether anything was. What lies in the future comes from a clock that was
        wrong, and is forgotten (a step back by less than a part is none)."""
        newest = int(now) // self.part + 1
        before = self.total
        while self.parts and self._ends(self.parts[0][0]) <= now:
            self.total -= self.parts.popleft()[1]
        while self.parts and self.parts[-1][0] > newest:
            self.total -= self.parts.pop()[1]
        return self.total != before

    def add(self, recipients: int, now: float) -> int:
        """Count them; returns the number of their part."""
        number = int(now) // self.part
        if self.parts and self.parts[-1][0] >= number:
            number = self.parts[-1][0]
            self.parts[-1][1] += recipients
        else:
            self.parts.append([number, recipients])
        self.total += recipients
        return number

    def take_back(self, recipients: int, number: int) -> None:
        """Undo `add`, unless its part is over."""
        for part in self.parts:
            if part[0] == number:
                back = min(recipients, part[1])
                part[1] -= back
                self.total -= back
                return

    def frees_at(self, limit: int) -> int | None:
        """When (seconds since the epoch) fewer than `limit` are left; None when nothing counted is in the way."""
        left = self.total
        for number, recipients in self.parts:
            left -= recipients
            if recipients and left < limit:
                return self._ends(number)
        return None

    @property
    def rolls_at(self) -> int | None:
        """When the oldest part falls out."""
        return self._ends(self.parts[0][0]) if self.parts else None

    def _ends(self, number: int) -> int:
        return (number + 1) * self.part + self.seconds


class Counts:
    """What a mailbox, a customer or the server sent, and what it `holds`: recipients of messages that are on their
    way in and not yet counted."""

    def __init__(self, hour: Parts | None = None, day: Parts | None = None) -> None:
        self.hour = Window(HOUR, PART_OF_HOUR, hour)
        self.day = Window(DAY, PART_OF_DAY, day)
        self.held = 0

    def roll(self, now: float) -> bool:
        """Let fall out what is over; whether anything was."""
        hour, day = self.hour.roll(now), self.day.roll(now)
        return hour or day

    @property
    def rolls_at(self) -> int | None:
        """When the next part falls out."""
        return min((at for at in (self.hour.rolls_at, self.day.rolls_at) if at is not None), default=None)
