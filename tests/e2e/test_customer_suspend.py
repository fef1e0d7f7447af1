"""Staff suspend a customer: one row stops every mailbox, and lifting it leaves each as it was before."""

import html
import imaplib
import re
from collections.abc import Callable

import pytest

from tests.e2e.hosting import Tenant, become_customer
from tests.e2e.mail import Account, imap, imap_session, stranger, submission
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.e2e.test_sessions_end import cannot_sign_in, has_ended
from tests.e2e.waiting import eventually

ADMIN = "/admin/accounts/customersuspension/"
REASON = "Mail of this account is being looked into"


@pytest.fixture(scope="module")
def tenant(stack: Stack, staff: Person) -> Tenant:
    return become_customer(stack, staff)


def suspend(staff: Person, tenant: Tenant) -> None:
    """By the staff site's form, as it stands there."""
    customer = tenant.stack.rows("SELECT id FROM accounts_customer WHERE username = %s", tenant.username)[0][
        0
    ]
    staff.get(f"{ADMIN}add/")
    staff.sends(f"{ADMIN}add/", customer=customer, stops="sign_in,send,receive", reason=REASON)


def lift(staff: Person, tenant: Tenant) -> None:
    query = """SELECT s.id FROM accounts_customersuspension s JOIN accounts_customer c ON c.id = s.customer_id
        WHERE c.username = %s AND s.lifted_at IS NULL"""
    standing = tenant.stack.rows(query, tenant.username)[0][0]
    staff.get(ADMIN)
    staff.sends(ADMIN, action="lift", _selected_action=standing, reason="Talked to them")


def test_a_suspended_customer_is_stopped_whole_and_then_as_before(
    stack: Stack, staff: Person, tenant: Tenant, new_name: Callable[[str], str]
) -> None:
    domain = new_name("halt") + ".test"
    tenant.add_domain(domain)
    one, two = (tenant.add_mailbox(domain, name) for name in ("one", "two"))
    tenant.change(two, "suspend", stops="send", reason="Too many letters")
    session = imap_session(one)
    suspend(staff, tenant)
    eventually(lambda: has_ended(session), 20)
    for account in (one, two):
        assert cannot_sign_in(account)
        assert rcpt(account)[0] == 450
    refused = tenant.person.post(
        tenant.page(domain, "mailboxes", "add"), username="three", password="abcd-7391-efgh"
    )
    assert refused.status_code == 403
    assert REASON in html.unescape(refused.text)
    assert tenant.person.get(tenant.page(domain)).status_code == 200
    lift(staff, tenant)
    eventually(lambda: signs_in(one), 20)
    assert rcpt(one)[0] == 250
    with submission(one) as client:
        client.mail(one.address)
        assert client.rcpt(two.address)[0] == 250
    with submission(two) as client:
        client.mail(two.address)
        assert client.rcpt(one.address)[0] == 450


def test_it_is_one_row_whatever_the_customer_holds(stack: Stack, staff: Person, tenant: Tenant) -> None:
    query = "SELECT count(*) FROM domains_serverrow WHERE kind = 'state'"
    before = stack.rows(query)[0][0]
    suspend(staff, tenant)
    assert stack.rows(query)[0][0] == before + 1
    page = staff.get(f"{ADMIN}?q={tenant.username}").text
    assert re.search(rf">{re.escape(REASON)}<", page)
    lift(staff, tenant)


def rcpt(account: Account) -> tuple[int, bytes]:
    with stranger(account.server) as client:
        client.mail("someone@elsewhere.test")
        return client.rcpt(account.address)


def signs_in(account: Account) -> bool:
    try:
        with imap(account):
            return True
    except imaplib.IMAP4.error:
        return False
