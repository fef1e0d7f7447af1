"""Nobody reads mail, and no password lies about: marked words are found in the mail store and nowhere else."""

import contextlib
import imaplib
import os
import poplib
import smtplib
from email.message import EmailMessage
from pathlib import Path
from secrets import token_hex

import pytest
import redis

from tests.e2e.hosting import Tenant, become_customer
from tests.e2e.mail import (
    Account,
    arrived,
    imap_session,
    letter,
    pop3,
    send,
    send_as_stranger,
    submission,
    unsigned_submission,
)
from tests.e2e.managesieve import ManageSieve, SieveError
from tests.e2e.markers import Search
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually

CONTENT = (
    "subject",
    "body",
    "link_host",
    "link_path",
    "attachment",
    "attached",
    "sender_name",
    "header",
    "filter",
)
SECRETS = ("person", "person_wrong", "mailbox", "mailbox_wrong", "mailbox_old", "search")


@pytest.fixture(scope="module")
def markers() -> dict[str, str]:
    """Words that stand nowhere else in the world."""
    return {name: f"mark{name.replace('_', '')}{token_hex(6)}" for name in (*CONTENT, *SECRETS)}


@pytest.fixture(scope="module")
def search(markers: dict[str, str]) -> Search:
    return Search(markers)


@pytest.fixture(scope="module")
def used(
    stack: Stack, staff: Person, markers: dict[str, str], globex: Tenant, anna: Account, carl: Account
) -> Account:
    """A mailbox that has had marked mail in every way, and marked sign-ins, right and wrong; its queue is empty."""
    tenant = become_customer(stack, staff, password=f"pw-{markers['person']}")
    domain = f"private-{token_hex(4)}.test"
    tenant.add_domain(domain)
    account = tenant.add_mailbox(domain, "box", f"pw-{markers['mailbox_old']}")
    tenant.change(account, "password", password=f"pw-{markers['mailbox']}")
    account = account.with_password(f"pw-{markers['mailbox']}")
    exchange(account, anna, carl, markers)
    sign_in_everywhere(account, markers)
    sign_in_to_the_panel(tenant, markers)
    break_things(tenant, markers)
    for server in stack.servers:
        eventually(lambda server=server: not queued(server.directory), 30, every=0.5)
    return account


def marked(sender: str, recipient: str, markers: dict[str, str]) -> EmailMessage:
    """A message with a marked word in each of its parts."""
    message = letter(f'"{markers["sender_name"]}" <{sender}>', recipient, f"About {markers['subject']}")
    message["X-Remark"] = markers["header"]
    link = f"https://{markers['link_host']}.elsewhere.test/{markers['link_path']}?q=1"
    message.set_content(f"Good day,\n{markers['body']} is at {link}\n")
    message.add_alternative(f'<p>{markers["body"]} is <a href="{link}">here</a></p>', subtype="html")
    name = f"{markers['attachment']}.txt"
    message.add_attachment(f"{markers['attached']}\n".encode(), "application", "octet-stream", filename=name)
    return message


def exchange(account: Account, anna: Account, carl: Account, markers: dict[str, str]) -> None:
    """From a stranger, from and to the other server, as spam, refused, filtered and answered."""
    sieve = ManageSieve(account)
    sieve.activate(
        f'require ["vacation", "fileinto", "mailbox"];\n# {markers["filter"]}\n'
        f'if header :contains "subject" "{markers["filter"]}" {{ discard; }}\n'
        f'vacation :addresses ["{account.address}"] "{markers["body"]}";\n'
    )
    sieve.close()
    strange = marked("friend@elsewhere.test", account.address, markers)
    arrived(account, send_as_stranger(account.server, account.address, strange))
    for sender, recipient in ((carl, account), (account, carl), (account, anna)):
        message = marked(sender.address, recipient.address, markers)
        arrived(recipient, send(sender, recipient.address, message))
    refused = marked(anna.address, anna.address, markers)
    refused.attach(EmailMessage())
    with submission(account) as client, contextlib.suppress(smtplib.SMTPException):
        client.send_message(refused, account.address, [anna.address])
    spam = marked("friend@elsewhere.test", account.address, markers)
    spam.replace_header("Subject", f"Spam {markers['subject']}")
    spam.get_body(("plain",)).set_content(  # type: ignore[union-attr]
        f"YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n{markers['body']}\n"
    )
    send_as_stranger(account.server, account.address, spam)
    eventually(lambda: searches(account, markers["search"]), 20)


def searches(account: Account, word: str) -> bool:
    """False where the session was ended with those of before the change of password."""
    try:
        session = imap_session(account)
        session.select("INBOX")
        session.search(None, "BODY", word)
        session.logout()
    except imaplib.IMAP4.abort:
        return False
    return True


def sign_in_everywhere(account: Account, markers: dict[str, str]) -> None:
    """With the right and with a wrong password, by every protocol."""
    wrong = account.with_password(f"pw-{markers['mailbox_wrong']}")
    imap_session(account).logout()
    pop3(account).quit()
    with submission(account, "submissions") as client:
        client.noop()
    with pytest.raises(imaplib.IMAP4.error):
        imap_session(wrong)
    with pytest.raises(poplib.error_proto):
        pop3(wrong)
    with pytest.raises(SieveError):
        ManageSieve(wrong)
    with unsigned_submission(wrong.stack, wrong.server) as client, pytest.raises(smtplib.SMTPException):
        client.login(wrong.address, wrong.password)


def sign_in_to_the_panel(tenant: Tenant, markers: dict[str, str]) -> None:
    """Right and wrong; and a wrong password where a user name belongs, as happens to people."""
    address = tenant.stack.rows(
        "SELECT u.email FROM accounts_user u JOIN accounts_membership m ON m.user_id = u.id "
        "JOIN accounts_customer c ON c.id = m.customer_id WHERE c.username = %s",
        tenant.username,
    )[0][0]
    person = Person(tenant.stack)
    person.get("/accounts/login/")
    wrong = f"pw-{markers['person_wrong']}"
    assert person.post("/accounts/login/", login=address, password=wrong).status_code != 302
    assert person.post("/accounts/login/", login=wrong, password=wrong).status_code != 302
    Person(tenant.stack).sign_in(address, f"pw-{markers['person']}")
    path = tenant.page("nowhere.test", "mailboxes", "x", "password")
    assert tenant.person.post(path, password=f"pw-{markers['person_wrong']}").status_code == 404
    assert tenant.person.get(f"/c/{tenant.username}/?password={wrong}").status_code == 200


def break_things(tenant: Tenant, markers: dict[str, str]) -> None:
    """What is sent while the database is away ends in an error report; it must not tell what was sent."""
    stack, person = tenant.stack, Person(tenant.stack)
    person.get("/accounts/login/")
    wrong = f"pw-{markers['person_wrong']}"
    login = {"login": f"{wrong}@people.test", "password": wrong}
    path, mailbox = tenant.page("acme.test", "mailboxes", "add"), {"password": wrong, "quota_mb": 1}
    with stack.held_down("postgres"):
        eventually(lambda: person.post("/accounts/login/", **login).status_code >= 500, 20)
        eventually(lambda: tenant.person.post(path, username="x", **mailbox).status_code >= 500, 20)
    eventually(lambda: stack.rows_or_none("SELECT 1"), 30)


def queued(directory: Path) -> list[Path]:
    """Messages that still wait in a mail server's queue."""
    spool = directory / "postfix" / "spool"
    queues = ("incoming", "active", "deferred", "maildrop", "hold")
    return [path for queue in queues for path in (spool / queue).rglob("*") if path.is_file()]


def test_the_mail_store_holds_all_of_it(used: Account, search: Search) -> None:
    """So that the next tests prove something: the search does find what is there."""
    found = search.in_files(used.server.directory / "mail", [])
    assert {name for names in found.values() for name in names} >= set(CONTENT) - {"search"}


def test_the_database_holds_none_of_it(stack: Stack, used: Account, search: Search) -> None:
    assert search.in_database(stack) == set()


def test_redis_holds_none_of_it(stack: Stack, used: Account, search: Search) -> None:
    assert search.in_redis(redis.Redis.from_url(stack.facts["redis"])) == set()
    for server in stack.servers:
        own = redis.Redis(unix_socket_path=str(server.directory / "redis" / "redis.sock"))
        assert search.in_redis(own) == set()


def test_no_file_of_the_stack_holds_any_of_it(stack: Stack, used: Account, search: Search) -> None:
    """Logs, node files, key files, PostgreSQL's own files, the panel's outbox: everything but the mail stores."""
    assert search.in_files(stack.var, [server.directory / "mail" for server in stack.servers]) == {}


def test_no_process_was_told_any_of_it(stack: Stack, used: Account, search: Search) -> None:
    """Neither as an argument, which every user of a machine can read, nor in its environment."""
    told = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # the machine's own, or one that has just ended
            if process.name != str(os.getpid()):
                told |= search.in_file(process / "cmdline") | search.in_file(process / "environ")
    assert told == set()


def test_tmp_and_the_systems_logs_hold_none_of_it(used: Account, search: Search) -> None:
    names = {name for top in ("/var/log", "/var/mail", "/var/tmp") for name in search.in_files(Path(top), [])}
    assert names == set()
