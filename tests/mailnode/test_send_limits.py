"""How many recipients a mailbox, a customer and a server may send to, asked as Postfix asks."""

import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mailnode import wire
from tests.mailnode.clients import until
from tests.mailnode.sending import Smtpd
from tests.mailnode.server import Server, customer, domain, gone, identity, mailbox
from tests.mailnode.test_fault_clock import Clock

ANNA, BOB, MALLORY = "anna@acme.test", "bob@acme.test", "mallory@mal.test"
DAY = 86_400


def limited(address: str, **limits: Any) -> wire.Row:
    row = mailbox(address)
    assert row.data
    return wire.row("mailbox", row.key, wire.Mailbox(**(row.data | limits)))


def client_of(name: str, **limits: Any) -> wire.Row:
    return wire.row("customer", identity(name), wire.Customer(username=name, storage_bytes=None, **limits))


@pytest.fixture
def server() -> Iterator[Server]:
    """An agent and a look-up service whose clock can be set; nothing has been sent."""
    made = Server()
    try:
        made.write_settings(panel_url='"https://panel.example.com"')
        made.start("agent", "lookup")
        made.push(
            customer("acme"),
            customer("mal"),
            domain("acme.test"),
            domain("mal.test", "mal"),
            mailbox(ANNA),
            mailbox(BOB),
            mailbox(MALLORY),
        )
        yield made
    finally:
        made.remove()


def kill(server: Server) -> None:
    server.stop("lookup", with_signal=signal.SIGKILL)
    server.start("lookup")


def log(server: Server, line: str) -> None:
    """What Postfix writes."""
    with server.settings.mail_log.open("a") as file:
        file.write(f"Nov 29 02:30:00 mx1 {line}\n")


def sent(server: Server, name: str) -> tuple[int, int]:
    """(hour, day) as the panel is told."""
    found = [one for one in server.usage().sent if one.subject == identity(name)]
    return (found[0].hour, found[0].day) if found else (0, 0)


def test_four_hundred_an_hour(server: Server) -> None:
    anna, bob = Smtpd(server, ANNA), Smtpd(server, BOB)
    assert sum(anna.send(50) for _ in range(8)) == 400
    answer = anna.rcpt()
    assert answer.startswith("450 4.7.1 This mailbox may send to 400 recipients an hour; again from 20")
    assert answer.endswith("UTC; see https://panel.example.com/c/acme/domains/acme.test/mailboxes/anna/")
    assert Smtpd(server, ANNA).rcpt() == answer
    assert bob.rcpt() == "DUNNO"
    assert Smtpd(server, MALLORY).send(400) == 400


def test_each_recipient_counts(server: Server) -> None:
    server.push(limited(ANNA, sends_per_day=5))
    assert Smtpd(server, ANNA).send(7) == 5
    assert "may send to 5 recipients a day" in Smtpd(server, ANNA).rcpt()
    until(lambda: sent(server, ANNA) == (5, 5))
    assert sent(server, "acme") == (5, 5)


def test_a_mailbox_that_was_deleted_and_added_again(server: Server) -> None:
    """It has sent what it had sent, and the panel is told so of the new one."""
    server.push(limited(ANNA, sends_per_day=5))
    assert Smtpd(server, ANNA).send(5) == 5
    before = until(lambda: (page := server.usage()).sent and page)
    server.push(gone("mailbox", ANNA))
    again = limited(ANNA, sends_per_day=5)
    server.push(wire.row("mailbox", identity("anna again"), wire.Mailbox(**(again.data or {}))))
    assert sent(server, ANNA) == (0, 0)
    assert "may send to 5 recipients a day" in Smtpd(server, ANNA).rcpt()
    told = until(lambda: server.usage(before.next).sent)
    assert {(one.subject, one.hour, one.day) for one in told} == {(identity("anna again"), 5, 5)}


def test_who_is_refused_anyway_costs_nothing(server: Server) -> None:
    server.push(limited(ANNA, sends_per_day=1), mailbox(BOB, quota=1))
    anna = Smtpd(server, ANNA)
    connection = sqlite3.connect(server.settings.usage)
    with connection:
        connection.execute("INSERT INTO usage (address, bytes) VALUES (?, 2)", (BOB,))
    connection.close()
    assert anna.rcpt(BOB).startswith("552 5.2.2")
    assert anna.rcpt() == "DUNNO"
    assert anna.rcpt().startswith("450 4.7.1")


def test_strangers_are_not_counted(server: Server) -> None:
    stranger = Smtpd(server, "")
    assert stranger.send(1_000) == 1_000


@pytest.mark.parametrize("how", ["another message", "the connection ends", "the client goes"])
def test_a_message_that_does_not_come_gives_its_recipients_back(server: Server, how: str) -> None:
    server.push(limited(ANNA, sends_per_day=5))
    broken = Smtpd(server, ANNA)
    assert [broken.rcpt() for _ in range(5)] == ["DUNNO"] * 5
    other = Smtpd(server, ANNA)
    assert other.rcpt().startswith("450 4.7.1")
    if how == "another message":
        broken.begin()
        assert broken.rcpt() == "DUNNO"
        assert other.send(5) == 4
        return
    if how == "the connection ends":
        broken.close()
        until(lambda: other.rcpt() == "DUNNO")
        assert other.send(4) == 5
        return
    line = (
        f"postfix-mx1/submission/smtpd[31]: disconnect from localhost[127.0.0.1]:{broken.port} ehlo=2 mail=1"
    )
    log(server, line.replace(broken.port, "9999"))
    assert other.rcpt().startswith("450 4.7.1")
    log(server, line)
    assert other.send(5) == 5  # at once: the log is read before anybody is refused


def test_what_is_not_held_any_more_needs_room_at_the_end(server: Server) -> None:
    """The trap: a connection that is idle for too long is closed in the middle of a message."""
    server.push(limited(ANNA, sends_per_day=5))
    slow = Smtpd(server, ANNA)
    for _ in range(3):
        slow.rcpt()
    slow.close()
    time.sleep(0.2)
    again = Smtpd(server, ANNA)
    again.instance, again.accepted = slow.instance, slow.accepted
    other = Smtpd(server, ANNA)
    assert other.send(2) == 2
    assert again.end() == "DUNNO"
    again.accepted = 1
    assert again.end().startswith("450 4.7.1")
    assert other.send(1) == 0


def test_refused_by_the_filter(server: Server) -> None:
    server.push(limited(ANNA, sends_per_day=5))
    anna = Smtpd(server, ANNA)
    assert anna.send(3, "4dQx7k2zPpz1") == 3
    assert anna.send(2, "4dQx7k2zPpz2") == 2
    assert anna.rcpt().startswith("450 4.7.1")
    refused = "milter-reject: END-OF-MESSAGE from localhost[127.0.0.1]:4711: 5.7.1 Spam; from=<x@y.example>"
    log(server, f"postfix-mx1/cleanup[12]: 4dQx7k2zPpz9: {refused}")
    log(server, f"postfix-mx1/smtpd[12]: lost connection after DATA cleanup[12]: 4dQx7k2zPpz1: {refused}")
    assert anna.rcpt().startswith("450 4.7.1")
    log(server, f"postfix-mx1/cleanup[12]: 4dQx7k2zPpz1: {refused}")
    until(lambda: sent(server, ANNA) == (2, 2))
    log(server, f"postfix-mx1/cleanup[12]: 4dQx7k2zPpz1: {refused}")  # never twice
    anna.begin()
    assert anna.send(5) == 3


def test_the_log_is_followed_when_it_is_renamed(server: Server) -> None:
    server.push(limited(ANNA, sends_per_day=1))
    anna = Smtpd(server, ANNA)
    refused = "postfix-mx1/cleanup[12]: {}: milter-reject: END-OF-MESSAGE from x[127.0.0.1]: 5.7.1 Spam"
    for number in range(3):
        assert anna.send(1, f"4dQx7k2zP{number}") == 1
        if number == 1:
            path = server.settings.mail_log
            path.rename(path.with_suffix(".1"))
            path.touch()
            path.chmod(0o644)
        log(server, refused.format(f"4dQx7k2zP{number}"))
        until(lambda: sent(server, ANNA) == (0, 0))


def test_many_connections_at_once(server: Server) -> None:
    server.push(limited(ANNA, sends_per_day=100), client_of("acme", sends_per_day_in_sum=150))
    passed: list[int] = []

    def client(user: str) -> None:
        smtpd = Smtpd(server, user)
        for number in range(12):
            if number % 4 == 3:  # one that breaks off
                smtpd.rcpt()
                smtpd.begin()
            passed.append(smtpd.send(3) * (1 if user == ANNA else 1_000))

    threads = [threading.Thread(target=client, args=[user]) for user in [ANNA, BOB] * 10]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_anna, by_bob = sum(passed) % 1_000, sum(passed) // 1_000
    assert by_anna <= 100
    assert by_anna + by_bob <= 150
    left = Smtpd(server, BOB).send(150)
    assert by_anna + by_bob + left == 150


def test_killed_in_between(server: Server) -> None:
    """At most the last second is lost, and what was on its way in is counted at its end."""
    server.push(limited(ANNA, sends_per_day=10))
    anna = Smtpd(server, ANNA)
    assert anna.send(6, "4dQx7k2zPpz1") == 6
    until(lambda: sent(server, ANNA) == (6, 6))
    for _ in range(3):
        anna.rcpt()
    kill(server)
    again, other = Smtpd(server, ANNA), Smtpd(server, ANNA)
    again.accepted = 3
    assert other.send(2) == 2
    assert again.end().startswith("450 4.7.1")  # 6 and 2 and 3 are more than 10
    log(
        server,
        "postfix-mx1/cleanup[1]: 4dQx7k2zPpz1: milter-reject: END-OF-MESSAGE from x[127.0.0.1]: 5.7.1 Spam",
    )
    until(lambda: sent(server, ANNA) == (2, 2))
    server.stop("lookup")
    server.start("lookup")
    assert Smtpd(server, ANNA).send(10) == 8


def test_what_the_log_said_meanwhile_is_read(server: Server) -> None:
    server.push(limited(ANNA, sends_per_day=3))
    assert Smtpd(server, ANNA).send(3, "4dQx7k2zPpz1") == 3
    until(lambda: sent(server, ANNA) == (3, 3))
    server.stop("lookup", with_signal=signal.SIGKILL)
    log(
        server,
        "postfix-mx1/cleanup[1]: 4dQx7k2zPpz1: milter-reject: END-OF-MESSAGE from x[127.0.0.1]: 5.7.1 Spam",
    )
    server.start("lookup")
    until(lambda: sent(server, ANNA) == (0, 0))


def test_lower_by_its_owner_and_by_the_plan(server: Server) -> None:
    server.push(
        client_of("acme", sends_per_day=4), limited(ANNA, sends_per_day=9), limited(BOB, sends_per_day=2)
    )
    assert [Smtpd(server, who).send(10) for who in (ANNA, BOB)] == [4, 2]
    server.push(client_of("acme", sends_per_day=0))
    assert Smtpd(server, ANNA).rcpt() == (
        "450 4.7.1 This mailbox may send to 0 recipients a day; see "
        "https://panel.example.com/c/acme/domains/acme.test/mailboxes/anna/"
    )


def test_raised_for_a_time(server: Server) -> None:
    """The hour's limit grows along: a day is 24 hours."""
    soon = int(time.time()) + 6
    server.push(client_of("acme", sends_per_day=2), limited(ANNA, raised_to=24_000, raised_until=soon))
    anna = Smtpd(server, ANNA)
    assert anna.send(900) == 900
    time.sleep(max(0, soon - time.time()) + 0.1)
    assert "may send to 2 recipients a day" in anna.rcpt()


def test_a_raise_lifts_no_limit_of_its_own(server: Server) -> None:
    later = int(time.time()) + 600
    raised = {"raised_to": 24_000, "raised_until": later}
    server.push(limited(ANNA, sends_per_day=0, **raised), limited(BOB, sends_per_day=3, **raised))
    assert "may send to 0 recipients a day" in Smtpd(server, ANNA).rcpt()
    assert Smtpd(server, BOB).send(5) == 3


def test_a_server_has_limits_of_its_own(server: Server) -> None:
    server.stop("lookup")
    with (server.directory / "node.toml").open("a") as file:
        file.write("[limits]\nserver_day = 6\ncustomer_hour = 4\n")
    server.start("lookup")
    assert Smtpd(server, ANNA).send(5) == 4
    assert (
        "All mailboxes of this customer together may send to 4 recipients an hour"
        in Smtpd(server, BOB).rcpt()
    )
    assert Smtpd(server, MALLORY).send(5) == 2
    assert "This mail server may send to 6 recipients a day" in Smtpd(server, MALLORY).rcpt()


def test_under_a_moved_clock(server: Server) -> None:
    """The hour's room comes back after an hour, the day's after a day, also in what the panel is told."""
    clock = Clock(server, server.directory / "clock")
    server.stop("lookup")
    server.start("lookup")
    server.push(limited(ANNA, sends_per_day=401))
    anna = Smtpd(server, ANNA)
    assert anna.send(400) == 400
    clock.set(3_000)
    assert "400 recipients an hour" in anna.rcpt()
    clock.set(3_700)
    assert anna.send(2) == 1
    assert "401 recipients a day" in anna.rcpt()
    until(lambda: sent(server, ANNA) == (1, 401))
    clock.set(DAY - 3_600)
    assert "401 recipients a day" in anna.rcpt()
    until(lambda: sent(server, ANNA) == (0, 401))
    clock.set(DAY + 1_000)
    until(lambda: sent(server, ANNA) == (0, 1))
    anna.begin()
    assert anna.send(400) == 400
    clock.set(2 * DAY + 2_000)
    until(lambda: sent(server, ANNA) == (0, 0))


def test_the_panel_is_told_what_changed(server: Server) -> None:
    first = server.usage()
    assert first.sent == []
    Smtpd(server, ANNA).send(2)
    page = until(lambda: (now := server.usage(first.next)).sent and now)
    assert {(one.subject_kind, one.subject, one.hour, one.day) for one in page.sent} == {
        ("mailbox", identity(ANNA), 2, 2),
        ("customer", identity("acme"), 2, 2),
    }
    assert all(0 < one.hour_rolls_at - time.time() <= 3_660 for one in page.sent if one.hour_rolls_at)
    assert server.usage(page.next) == wire.UsagePage(entries=[], next=page.next)
