"""What mail programs do all day: send, fetch, filter; between mailboxes, customers, servers and strangers."""

from collections.abc import Callable
from secrets import token_hex

import pytest

from tests.e2e.hosting import Tenant
from tests.e2e.mail import (
    Account,
    arrived,
    fetched_by_pop3,
    folder,
    imap,
    letter,
    send,
    send_as_stranger,
    stranger,
)
from tests.e2e.managesieve import ManageSieve, SieveError
from tests.e2e.waiting import eventually


@pytest.mark.parametrize("service", ["submission", "submissions", "submission_alt"])
def test_every_submission_port_takes_mail(anna: Account, ben: Account, service: str) -> None:
    raw = arrived(ben, send(anna, ben.address, service=service))
    assert f"Return-Path: <{anna.address}>".encode() in raw


def test_every_way_of_fetching_mail(anna: Account, ben: Account) -> None:
    subject = send(anna, ben.address)
    arrived(ben, subject)
    with imap(ben, implicit_tls=False) as client:
        assert subject in folder(client)
    for implicit_tls in (True, False):
        assert subject in fetched_by_pop3(ben, implicit_tls=implicit_tls)


def test_a_tagged_address_reaches_its_mailbox(anna: Account, ben: Account) -> None:
    subject = send(anna, ben.address.replace("@", "+shop@"))
    assert arrived(ben, subject)


def test_between_two_servers_by_mx_and_back(anna: Account, carl: Account) -> None:
    there = arrived(carl, send(anna, carl.address))
    assert anna.server.name.encode() in there, "it did not come by way of the sender's server"
    assert carl.server.name.encode() in there
    assert arrived(anna, send(carl, anna.address))


def test_one_letter_to_mailboxes_on_both_servers(anna: Account, ben: Account, carl: Account) -> None:
    message = letter(anna.address, f"{ben.address}, {carl.address}")
    send(anna, ben.address, message)
    send(anna, carl.address, message)
    assert arrived(ben, str(message["Subject"]))
    assert arrived(carl, str(message["Subject"]))


def test_a_strangers_letter_arrives_on_port_25(anna: Account, carl: Account) -> None:
    for account in (anna, carl):
        raw = arrived(account, send_as_stranger(account.server, account.address))
        assert b"X-Spam: Yes" not in raw


def test_the_case_of_an_address_means_nothing(anna: Account, ben: Account) -> None:
    shouting = Account(anna.stack, anna.address.upper(), anna.password, anna.server)
    assert arrived(ben, send(shouting, ben.address.upper()))
    with imap(shouting) as client:
        assert client.select()[0] == "OK"


def test_what_cannot_be_delivered_comes_back(anna: Account, carl: Account) -> None:
    """The other server refuses it; the notice names the address and is taken from the null sender."""
    nobody = f"nobody-{token_hex(4)}@globex.test"
    send(anna, nobody)
    notice = arrived(anna, "Undelivered Mail Returned to Sender")
    assert nobody.encode() in notice
    assert b"5.1.1" in notice
    assert b"Return-Path: <>" in notice
    with stranger(carl.server) as client:
        assert client.mail("")[0] == 250
        assert client.rcpt(carl.address)[0] == 250


def test_flags_and_folders_stay(anna: Account, ben: Account) -> None:
    subject = send(anna, ben.address)
    arrived(ben, subject)
    name = f"Kept-{token_hex(4)}"
    with imap(ben) as client:
        assert client.create(name)[0] == "OK"
        client.select("INBOX")
        number = client.search(None, f'SUBJECT "{subject}"')[1][0].split()[0].decode()
        assert client.store(number, "+FLAGS", r"(\Flagged \Seen)")[0] == "OK"
        assert client.copy(number, name)[0] == "OK"
    with imap(ben) as client:
        client.select(name, readonly=True)
        assert client.search(None, "FLAGGED")[1][0].split() == [b"1"]


def test_a_filter_is_uploaded_and_works(acme: Tenant, anna: Account, new_name: Callable[[str], str]) -> None:
    account = acme.add_mailbox("acme.test", new_name("filter"))
    script = 'require ["fileinto", "mailbox"];\nif header :contains "subject" "bill" { fileinto :create "Bills"; }\n'
    sieve = ManageSieve(account)
    with pytest.raises(SieveError):
        sieve.activate("this is no script;")
    sieve.activate(script)
    assert '"main" ACTIVE' in sieve.command("LISTSCRIPTS")
    sieve.close()
    bill = letter(anna.address, account.address, f"Your bill {token_hex(4)}")
    send(anna, account.address, bill)
    assert arrived(account, str(bill["Subject"]), name="Bills")
    assert arrived(account, send(anna, account.address))


def test_a_vacation_reply_and_a_redirect_leave(
    acme: Tenant, anna: Account, ben: Account, carl: Account, new_name: Callable[[str], str]
) -> None:
    """Both leave for the other server; the redirect keeps a copy."""
    account = acme.add_mailbox("acme.test", new_name("away"))
    away = f"Away {token_hex(4)}"
    sieve = ManageSieve(account)
    sieve.activate(
        f'require ["vacation", "copy"];\nredirect :copy "{ben.address}";\n'
        f'vacation :subject "{away}" :addresses ["{account.address}"] "Back on Monday.";\n'
    )
    sieve.close()
    message = letter(carl.address, account.address)
    send(carl, account.address, message)
    assert arrived(account, str(message["Subject"]))
    assert arrived(ben, str(message["Subject"]))
    assert b"Back on Monday." in arrived(carl, away)


def test_a_redirect_to_the_other_server_arrives(
    acme: Tenant, anna: Account, carl: Account, new_name: Callable[[str], str]
) -> None:
    account = acme.add_mailbox("acme.test", new_name("onward"))
    sieve = ManageSieve(account)
    sieve.activate(f'redirect "{carl.address}";\n')
    sieve.close()
    assert arrived(carl, send_as_stranger(account.server, account.address))
    assert arrived(carl, send(anna, account.address))


def test_usage_and_last_sign_in_reach_the_panel_within_a_minute(
    acme: Tenant, anna: Account, new_name: Callable[[str], str]
) -> None:
    account = acme.add_mailbox("acme.test", new_name("usage"))
    page = acme.mailbox_page(account)
    assert "never" in acme.person.get(page).text
    message = letter(anna.address, account.address)
    message.set_content("A line of text to fill the mailbox with.\n" * 3000)
    arrived(account, send(anna, account.address, message))
    query = """SELECT used_bytes, last_sign_in_at FROM domains_mailbox m JOIN domains_domain d ON d.id = m.domain_id
        WHERE d.name = 'acme.test' AND m.local_part = %s AND m.deleted_at IS NULL"""

    def reported() -> bool:
        used, last = acme.stack.rows(query, account.address.partition("@")[0])[0]
        return used > 100_000 and last is not None

    eventually(reported, 60, every=0.5)
    assert "never" not in acme.person.get(page).text
