"""A changed password, a suspension and a deletion end what is open; what was deleted comes back, or never does."""

import imaplib
import smtplib
import time
from collections.abc import Callable
from secrets import token_hex

import pytest

from tests.e2e.hosting import Tenant
from tests.e2e.mail import Account, arrived, folder, imap, imap_session, letter, send, stranger, submission
from tests.e2e.waiting import eventually


@pytest.fixture
def account(acme: Tenant, new_name: Callable[[str], str]) -> Account:
    return acme.add_mailbox("acme.test", new_name("open"))


def has_ended(session: imaplib.IMAP4) -> bool:
    """Whether the server has closed this session."""
    try:
        session.noop()
    except (imaplib.IMAP4.abort, imaplib.IMAP4.error, OSError):
        return True
    return False


def can_sign_in(account: Account) -> bool:
    """Soon: a session that begins within seconds of the end of others may be ended with them."""
    try:
        with imap(account) as session:
            return session.select()[0] == "OK"
    except imaplib.IMAP4.error:
        return False


def subjects(account: Account) -> set[str]:
    """Of what lies in the inbox, as soon as a session lasts for so long."""
    found: set[str] = set()

    def look() -> bool:
        nonlocal found
        try:
            with imap(account) as session:
                found = set(folder(session))
        except imaplib.IMAP4.error:
            return False
        return True

    eventually(look, 20)
    return found


def cannot_sign_in(account: Account) -> bool:
    try:
        imap_session(account).logout()
    except imaplib.IMAP4.error:
        return True
    return False


def test_a_changed_password_ends_open_sessions(acme: Tenant, account: Account, anna: Account) -> None:
    session, fresh = imap_session(account), account.with_password(f"fresh-{token_hex(8)}")
    assert not has_ended(session)
    acme.change(account, "password", password=fresh.password)
    eventually(lambda: has_ended(session), 20)
    assert cannot_sign_in(account)
    eventually(lambda: can_sign_in(fresh), 20)
    assert send(fresh, anna.address)


def test_a_changed_password_ends_sending_on_an_open_session(
    acme: Tenant, account: Account, anna: Account
) -> None:
    with submission(account) as client:
        client.send_message(letter(account.address, anna.address), account.address, [anna.address])
        acme.change(account, "password", password=f"fresh-{token_hex(8)}")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.send_message(letter(account.address, anna.address), account.address, [anna.address])
        assert refused.value.recipients[anna.address][0] == 450


def test_a_suspension_ends_open_sessions_until_it_is_lifted(acme: Tenant, account: Account) -> None:
    session = imap_session(account)
    acme.change(account, "suspend", reason="Left the company")
    eventually(lambda: has_ended(session), 20)
    assert cannot_sign_in(account)
    acme.change(account, "unsuspend")
    eventually(lambda: can_sign_in(account), 20)


def test_stopped_sending_alone_leaves_sessions_open(acme: Tenant, account: Account) -> None:
    with imap(account) as session:
        acme.change(account, "suspend", stops="send")
        time.sleep(1)
        assert not has_ended(session)


def test_a_deletion_ends_sessions_and_turns_mail_away_until_it_is_undone(
    acme: Tenant, account: Account, anna: Account
) -> None:
    subject = send(anna, account.address)
    arrived(account, subject)
    session = imap_session(account)
    acme.person.sends(f"{acme.mailbox_page(account)}delete/")
    eventually(lambda: has_ended(session), 20)
    assert cannot_sign_in(account)
    with stranger(account.server) as client:
        client.mail("someone@elsewhere.test")
        assert client.rcpt(account.address)[0] == 550
    acme.change(account, "restore")
    arrived(account, subject)
    assert arrived(account, send(anna, account.address))


def test_an_address_made_again_starts_empty_and_the_old_mail_stays_apart(
    acme: Tenant, account: Account, anna: Account
) -> None:
    subject = send(anna, account.address)
    arrived(account, subject)
    acme.person.sends(f"{acme.mailbox_page(account)}delete/")
    username, _, domain = account.address.partition("@")
    again = acme.add_mailbox(domain, username)
    assert subjects(again) == set()
    newer = send(anna, again.address)
    arrived(again, newer)
    assert subjects(again) == {newer}
    assert cannot_sign_in(account)
    acme.person.sends(f"{acme.mailbox_page(again)}delete/")
    eventually(lambda: cannot_sign_in(again), 20)
