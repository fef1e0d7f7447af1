"""Windows that roll."""

import random

from mailnode.windows import DAY, HOUR, PART_OF_DAY, PART_OF_HOUR, Counts, Window

T0 = 1_800_000_000


def test_never_more_than_counted_in_any_hour() -> None:
    """Against a list of moments, at random: the window never counts less than the true hour, nor more than an hour and
    a part of it."""
    dice = random.Random(7)
    window, moments, now = Window(HOUR, PART_OF_HOUR), [], float(T0)
    for _ in range(3_000):
        now += dice.expovariate(1 / 20)
        window.roll(now)
        if dice.random() < 0.7:
            window.add(1, now)
            moments.append(now)
        true = sum(moment > now - HOUR for moment in moments)
        most = sum(moment > now - HOUR - PART_OF_HOUR - 1 for moment in moments)
        assert true <= window.total <= most
        assert window.total == sum(recipients for _, recipients in window.parts)
        assert len(window.parts) <= HOUR // PART_OF_HOUR + 1


def test_when_there_is_room_again() -> None:
    window = Window(HOUR, PART_OF_HOUR)
    for minute in range(3):
        window.add(10, T0 + 60 * minute)
    assert window.frees_at(31) == T0 + 60 + HOUR  # one fewer than 31 already, and said of the oldest part
    assert window.frees_at(30) == T0 + 60 + HOUR
    assert window.frees_at(20) == T0 + 120 + HOUR
    assert window.frees_at(0) is None
    for limit in (30, 20, 10):
        copy = Window(HOUR, PART_OF_HOUR, [list(part) for part in window.parts])
        at = copy.frees_at(limit)
        assert at is not None
        copy.roll(at - 1)
        assert copy.total >= limit
        copy.roll(at)
        assert copy.total < limit


def test_what_is_taken_back_is_of_its_own_part() -> None:
    window = Window(DAY, PART_OF_DAY)
    part = window.add(5, T0)
    window.add(2, T0 + PART_OF_DAY)
    window.take_back(5, part)
    assert window.total == 2
    window.take_back(5, part)
    assert window.total == 2
    window.roll(T0 + 2 * DAY)
    window.take_back(2, part + 1)
    assert (window.total, list(window.parts)) == (0, [])


def test_a_clock_that_goes_back() -> None:
    """By a little: nothing is lost. By much: what lies in the future is none of the last hour."""
    window = Window(HOUR, PART_OF_HOUR)
    window.add(3, T0)
    window.roll(T0 - 30)
    window.add(1, T0 - 30)
    assert window.total == 4
    window.roll(T0 - HOUR)
    assert window.total == 0


def test_nothing_is_nothing() -> None:
    counts = Counts()
    assert counts.rolls_at is None
    assert not counts.roll(T0)
