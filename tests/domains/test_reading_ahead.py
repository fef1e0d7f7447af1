"""What a thread of its own makes ready: bounded, ended with its reader, and its errors handed on."""

import threading
import time

import pytest

from domains.driver.reading_ahead import AHEAD, read_ahead


def test_reading_ahead_is_bounded_and_ends_when_nobody_takes():
    made = []

    def items():
        for number in range(1000):
            made.append(number)
            yield number

    reader = read_ahead(items)
    assert next(reader) == 0
    time.sleep(0.1)
    assert len(made) <= AHEAD + 2
    before = threading.active_count()
    reader.close()
    assert threading.active_count() == before - 1


def test_reading_ahead_hands_on_what_goes_wrong():
    def items():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_ahead(items))
