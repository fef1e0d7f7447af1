"""What the mail servers answer, code by code, to those who send."""

import base64
import contextlib
import smtplib
import sqlite3
from collections.abc import Callable
from secrets import token_hex

import pytest

from tests.e2e.hosting import Tenant, become_customer
from tests.e2e.mail import (
    Account,
    arrived,
    folder,
    imap,
    letter,
    send,
    send_as_stranger,
    stranger,
    submission,
    unsigned_submission,
)
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually

NOWHERE = "someone@does-not-resolve.invalid"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
TO_JUNK = "YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
MB = 2**20

Reply = tuple[int, bytes]


def says(reply: Reply, code: int, enhanced: str) -> bool:
    """Whether an SMTP reply has this code and this enhanced status code; AssertionError where not."""
    assert (reply[0], reply[1].split()[0]) == (code, enhanced.encode()), reply
    return True


def to(client: smtplib.SMTP, sender: str, recipient: str, *options: str) -> Reply:
    """The answer to the recipient, after a sender that is taken."""
    client.rset()
    assert client.mail(sender, list(options))[0] == 250
    return client.rcpt(recipient)


def data(client: smtplib.SMTP, sender: str, recipient: str, message: bytes) -> Reply:
    """The answer to the whole message, after an envelope that is taken."""
    assert to(client, sender, recipient)[0] == 250
    return client.data(message)


def test_an_unknown_recipient_is_550_5_1_1(anna: Account) -> None:
    with stranger(anna.server) as client:
        assert says(to(client, NOWHERE, "nobody-here@acme.test"), 550, "5.1.1")
    with submission(anna) as client:
        assert says(to(client, anna.address, "nobody-here@acme.test"), 550, "5.1.1")


def test_a_deleted_recipient_is_550_5_1_1(acme: Tenant, new_name: Callable[[str], str]) -> None:
    gone = acme.add_mailbox("acme.test", new_name("gone"))
    with stranger(gone.server) as client:
        assert to(client, NOWHERE, gone.address)[0] == 250
        acme.person.sends(f"{acme.mailbox_page(gone)}delete/")
        eventually(lambda: to(client, NOWHERE, gone.address)[0] == 550, 20)
        assert says(to(client, NOWHERE, gone.address), 550, "5.1.1")


def test_stopped_receiving_is_450_4_2_1(acme: Tenant, anna: Account, ben: Account) -> None:
    acme.change(ben, "suspend", stops="receive", reason="Away for a while")
    with stranger(ben.server) as client:
        assert says(to(client, NOWHERE, ben.address), 450, "4.2.1")
    with submission(anna) as client:
        assert says(to(client, anna.address, ben.address), 450, "4.2.1")
    acme.change(ben, "unsuspend")
    with stranger(ben.server) as client:
        assert to(client, NOWHERE, ben.address)[0] == 250


def test_stopped_sending_is_450_4_7_1_also_on_an_open_session(
    acme: Tenant, anna: Account, ben: Account, carl: Account
) -> None:
    with submission(ben) as client:
        assert data(client, ben.address, anna.address, letter(ben.address, anna.address).as_bytes())[0] == 250
        acme.change(ben, "suspend", stops="send")
        for recipient in (anna.address, carl.address):
            assert says(to(client, ben.address, recipient), 450, "4.7.1")
    with submission(ben) as client:
        assert says(to(client, ben.address, anna.address), 450, "4.7.1")
    acme.change(ben, "unsuspend")
    assert send(ben, anna.address)


def test_a_mailbox_that_is_stopped_whole_cannot_sign_in(acme: Tenant, ben: Account) -> None:
    acme.change(ben, "suspend")
    with unsigned_submission(ben.stack, ben.server) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(ben.address, ben.password)
        assert says((refused.value.smtp_code, bytes(refused.value.smtp_error)), 535, "5.7.8")
    acme.change(ben, "unsuspend")
    with submission(ben) as client:
        assert client.noop()[0] == 250


def test_relaying_is_554_5_7_1(stack: Stack, carl: Account) -> None:
    for server in stack.servers:
        with stranger(server) as client:
            assert says(to(client, NOWHERE, "victim@elsewhere.test"), 554, "5.7.1")
            assert says(to(client, carl.address, "victim@elsewhere.test"), 554, "5.7.1")
        for service in ("submission", "submissions", "submission_alt"):
            with unsigned_submission(stack, server, service) as client:
                assert says(to(client, NOWHERE, "victim@elsewhere.test"), 554, "5.7.1")


@pytest.mark.parametrize(
    "trick",
    [
        "victim%elsewhere.test@acme.test",
        "@acme.test:victim@elsewhere.test",
        '"victim@elsewhere.test"@acme.test',
        "elsewhere.test!victim@acme.test",
        "victim@[203.0.113.9]",
        "victim@elsewhere.test@acme.test",
    ],
)
def test_no_trick_makes_an_open_relay(anna: Account, trick: str) -> None:
    with stranger(anna.server) as client:
        assert client.mail(NOWHERE)[0] == 250
        assert client.docmd(f"RCPT TO:<{trick}>")[0] >= 500


def test_an_envelope_sender_that_is_not_owned_is_553_5_7_1(
    anna: Account, ben: Account, carl: Account
) -> None:
    with submission(anna) as client:
        for sender in (ben.address, carl.address, "boss@elsewhere.test"):
            assert says(to(client, sender, ben.address), 553, "5.7.1")
        tagged = anna.address.replace("@", "+tag@")
        assert to(client, tagged, ben.address)[0] == 250


def test_a_from_header_that_is_not_owned_is_554_5_7_1(anna: Account, ben: Account, carl: Account) -> None:
    with submission(anna) as client:
        for sender in (ben.address, carl.address, "Boss <boss@elsewhere.test>"):
            message = letter(sender, ben.address).as_bytes()
            assert says(data(client, anna.address, ben.address, message), 554, "5.7.1")
        two = letter(f"{anna.address}, {carl.address}", ben.address).as_bytes()
        assert says(data(client, anna.address, ben.address, two), 554, "5.7.1")
        nul = b"From: %s\0 <%s>\nSubject: x\n\n" % (anna.address.encode(), carl.address.encode())
        assert says(data(client, anna.address, ben.address, nul), 554, "5.7.1")
        doubled = b"From: " + carl.address.encode() + b"\n" + letter(anna.address, ben.address).as_bytes()
        assert says(data(client, anna.address, ben.address, doubled), 554, "5.7.1")
        assert data(client, anna.address, ben.address, letter(anna.address, ben.address).as_bytes())[0] == 250


@pytest.mark.parametrize("service", ["submission", "submissions", "submission_alt"])
def test_a_bad_sign_in_is_535_5_7_8(anna: Account, service: str) -> None:
    for address, password in ((anna.address, "not-the-password"), ("nobody-here@acme.test", anna.password)):
        with unsigned_submission(anna.stack, anna.server, service) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                client.login(address, password)
            assert says((refused.value.smtp_code, bytes(refused.value.smtp_error)), 535, "5.7.8")


def test_a_full_mailbox_is_552_5_2_2(acme: Tenant, anna: Account, new_name: Callable[[str], str]) -> None:
    small = acme.add_mailbox("acme.test", new_name("small"), quota_mb=1)
    big = letter(anna.address, small.address, text="x" * 70 + "\n")
    big.set_content(("x" * 70 + "\n") * (MB // 71))
    with stranger(small.server) as client:
        assert says(to(client, NOWHERE, small.address, f"SIZE={2 * MB}"), 552, "5.2.2")
        assert says(data(client, NOWHERE, small.address, big.as_bytes() * 2), 552, "5.2.2")
        nearly = letter("friend@elsewhere.test", small.address)
        nearly.set_content(("x" * 70 + "\n") * (MB // 71 - 3000))
        send_as_stranger(small.server, small.address, nearly)
        arrived(small, str(nearly["Subject"]))
        assert says(to(client, NOWHERE, small.address, f"SIZE={MB // 2}"), 552, "5.2.2")
        assert to(client, NOWHERE, small.address, "SIZE=1000")[0] == 250
    with submission(anna) as client:
        assert says(to(client, anna.address, small.address, f"SIZE={2 * MB}"), 552, "5.2.2")


def test_a_full_plan_is_452_4_2_2(
    stack: Stack, staff: Person, anna: Account, new_name: Callable[[str], str]
) -> None:
    """A customer whose plan holds one megabyte: a plan of staff's own making, ordered and paid like any other."""
    plan = new_name("tiny")
    stack.rows(
        "INSERT INTO billing_plan SELECT (jsonb_populate_record(p, jsonb_build_object('id', "
        "(SELECT max(id) + 1 FROM billing_plan), 'slug', %s::text, 'name', %s::text, 'storage_mb', 1))).* "
        "FROM billing_plan p WHERE slug = '10gb'",
        plan,
        plan,
    )
    tenant = become_customer(stack, staff, plan)
    stack.rows("UPDATE billing_plan SET is_open = false WHERE slug = %s", plan)
    domain = new_name("full") + ".test"
    tenant.add_domain(domain)
    one, two = (tenant.add_mailbox(domain, name, quota_mb=0) for name in ("one", "two"))
    message = letter("friend@elsewhere.test", one.address)
    message.set_content(("x" * 70 + "\n") * (MB // 60))
    arrived(one, send_as_stranger(one.server, one.address, message))

    def is_full(recipient: str) -> bool:
        """Dovecot notes what a mailbox holds at the end of each delivery; another one has it noted anew."""
        with stranger(one.server) as client:
            answer = to(client, NOWHERE, recipient)
            if answer[0] == 250:
                client.data(letter("friend@elsewhere.test", recipient).as_bytes())
        with contextlib.closing(sqlite3.connect(one.server.directory / "usage" / "usage.db")) as usage:
            noted = usage.execute("SELECT * FROM usage WHERE address LIKE ?", (f"%@{domain}",)).fetchall()
        assert answer[0] == 452, f"{answer} although the server noted {noted}"
        return says(answer, 452, "4.2.2")

    eventually(lambda: is_full(one.address), 30, every=1)
    eventually(lambda: is_full(two.address), 30, every=1)
    with submission(two) as client:
        assert to(client, two.address, anna.address)[0] == 250


def test_an_absent_policy_service_is_451_4_3_0_and_comes_back(stack: Stack, carl: Account) -> None:
    with stack.held_down(f"{carl.server.short}-lookup"), stranger(carl.server) as client:
        assert says(to(client, NOWHERE, carl.address), 451, "4.3.0")
    with stranger(carl.server) as client:
        eventually(lambda: to(client, NOWHERE, carl.address)[0] == 250, 20, every=0.5)


def test_gtube_is_refused_from_everybody(anna: Account, ben: Account) -> None:
    message = letter("friend@elsewhere.test", ben.address, text=f"{GTUBE}\n")
    with stranger(ben.server) as client:
        assert says(data(client, NOWHERE, ben.address, message.as_bytes()), 554, "5.7.1")
    with submission(anna) as client:
        message = letter(anna.address, ben.address, text=f"{GTUBE}\n")
        assert says(data(client, anna.address, ben.address, message.as_bytes()), 554, "5.7.1")


def test_the_milder_test_pattern_goes_to_junk(ben: Account) -> None:
    subject = f"Spam {token_hex(6)}"
    message = letter("friend@elsewhere.test", ben.address, subject, text=f"{TO_JUNK}\n")
    send_as_stranger(ben.server, ben.address, message)
    assert b"X-Spam: Yes" in arrived(ben, subject, name="Junk")


def test_vrfy_and_expn_are_off(anna: Account) -> None:
    with stranger(anna.server) as client:
        assert client.docmd("VRFY", anna.address)[0] == 502
        assert client.docmd("EXPN", anna.address)[0] in (500, 502)


def test_a_bare_newline_smuggles_nothing_in(ben: Account) -> None:
    """What ends in a bare LF or CR ends no message: what follows it is no command (CVE-2023-51764)."""
    smuggled = letter("friend@elsewhere.test", ben.address, f"Smuggled {token_hex(6)}")
    inner = f"MAIL FROM:<{NOWHERE}>\nRCPT TO:<{ben.address}>\nDATA\n{smuggled.as_string()}".encode()
    outer = letter("friend@elsewhere.test", ben.address).as_bytes().replace(b"\n", b"\r\n")
    for ending in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r"):
        with stranger(ben.server) as client:
            assert to(client, NOWHERE, ben.address)[0] == 250
            assert client.docmd("DATA")[0] == 354
            client.send(outer + ending + inner.replace(b"\n", b"\r\n") + b"\r\n.\r\n")
            replies = answers_until_silence(client)
            assert len(replies) == 1, f"after {ending!r}: {replies}"
    with imap(ben) as client:
        assert str(smuggled["Subject"]) not in folder(client)


def answers_until_silence(client: smtplib.SMTP) -> list[Reply]:
    """Every reply that comes within a moment of the last."""
    replies = [client.getreply()]
    assert client.sock
    client.sock.settimeout(1.0)
    try:
        while replies[-1][0] != 221:
            replies.append(client.getreply())
    except (OSError, smtplib.SMTPServerDisconnected):
        pass
    return replies


def test_auth_is_taken_as_plain_and_login_only(anna: Account) -> None:
    with unsigned_submission(anna.stack, anna.server) as client:
        assert set(client.esmtp_features["auth"].split()) == {"PLAIN", "LOGIN"}
        plain = base64.b64encode(f"\0{anna.address}\0{anna.password}".encode()).decode()
        assert client.docmd("AUTH", f"PLAIN {plain}")[0] == 235
