"""Two customers on the living stack: what is one's is not there for the other, whatever the other asks for.

Every name and number of acme is put into every URL and field that takes one, by the owner of another customer.
The answer is 404, the same as for what does not exist, and nothing of acme's changes.
"""

import re
import smtplib
from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest

from tests.e2e.hosting import Tenant
from tests.e2e.mail import Account, send
from tests.e2e.person import Person
from tests.e2e.stack import Stack

MAILBOX_VERBS = ("change", "password", "suspend", "unsuspend", "delete", "restore")
FIELDS = {
    "username": "x",
    "password": "long-enough-7391",
    "quota_mb": "1",
    "name": "x",
    "confirm": "acme.test",
}
NOT_THERE = (404, 405)  # a page of one method answers the other with 405, whatever it is asked about

# What belongs to a customer, by table; what mail servers report of it is left out, for it moves by itself.
OWN = {
    "accounts_customer": "SELECT c.* FROM accounts_customer c WHERE username = %s",
    "members": "SELECT m.* FROM accounts_membership m JOIN accounts_customer c ON c.id = customer_id WHERE c.username = %s",
    "domains": "SELECT d.* FROM domains_domain d JOIN accounts_customer c ON c.id = customer_id WHERE c.username = %s",
    "mailboxes": """SELECT m.id, local_part, m.name, quota_mb, password_hash, m.deleted_at FROM domains_mailbox m
        JOIN domains_domain d ON d.id = domain_id JOIN accounts_customer c ON c.id = customer_id WHERE c.username = %s""",
    "suspensions": """SELECT s.* FROM domains_mailboxsuspension s JOIN domains_mailbox m ON m.id = mailbox_id
        JOIN domains_domain d ON d.id = domain_id JOIN accounts_customer c ON c.id = customer_id WHERE c.username = %s""",
    "orders": "SELECT o.* FROM billing_order o JOIN accounts_customer c ON c.id = customer_id WHERE c.username = %s",
    "payments": """SELECT p.* FROM billing_payment p JOIN billing_order o ON o.id = order_id
        JOIN accounts_customer c ON c.id = customer_id WHERE c.username = %s""",
    "audit": """SELECT count(*) FROM accounts_auditentry a JOIN accounts_customer c ON c.id = customer_id
        WHERE c.username = %s""",
}


@pytest.fixture
def untouched(stack: Stack, acme: Tenant) -> Iterator[None]:
    """Everything of acme is afterwards as it was before."""
    before = belongings(stack, "acme")
    yield
    assert belongings(stack, "acme") == before


def belongings(stack: Stack, customer: str) -> dict[str, list[str]]:
    return {name: sorted(map(repr, stack.rows(query, customer))) for name, query in OWN.items()}


def order_of(stack: Stack, customer: str) -> str:
    query = "SELECT number FROM billing_order o JOIN accounts_customer c ON c.id = customer_id WHERE c.username = %s"
    return str(stack.rows(query, customer)[0][0])


def pages(customer: str, domain: str, mailbox: str) -> list[str]:
    """Every page that names a customer, a domain and a mailbox."""
    top = f"/c/{customer}/domains/"
    below = ["", "check/", "delete/", "restore/", "mailboxes/", "mailboxes/add/"]
    below += [f"mailboxes/{mailbox}/", *(f"mailboxes/{mailbox}/{verb}/" for verb in MAILBOX_VERBS)]
    return [f"{top}{domain}/{page}" for page in below]


def anonymised(page: str, *names: str) -> str:
    """A page without the names that were asked for, to be compared with another."""
    for name in names:
        page = page.replace(name, "NAME")
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", page)


@pytest.mark.usefixtures("untouched")
def test_another_customers_pages_are_not_there(stack: Stack, globex: Tenant, anna: Account) -> None:
    mailbox = anna.address.partition("@")[0]
    number = order_of(stack, "acme")
    customers_own = ["", "domains/", "domains/add/", "members/", "orders/"]
    asked = [f"/c/acme/{page}" for page in customers_own] + pages("acme", "acme.test", mailbox)
    asked += [f"/order/{number}/", f"/order/{number}/answer/", f"/order/{number}/cancel/"]
    for path in asked:
        got, posted = globex.person.get(path), globex.person.post(path, **FIELDS, domain="x.test", text="x")
        assert (got.status_code, posted.status_code) == (404, 404), path
        assert "acme" not in anonymised(got.text, path).lower().replace("name", ""), path


@pytest.mark.usefixtures("untouched")
def test_another_customers_names_mean_nothing_below_ones_own(globex: Tenant, anna: Account) -> None:
    mailbox = anna.address.partition("@")[0]
    asked = pages("globex", "acme.test", mailbox)
    asked += [page for page in pages("globex", "globex.test", mailbox) if mailbox in page]
    asked += [page for page in pages("globex", "globex.test", anna.address) if mailbox in page]
    for path in asked:
        assert globex.person.get(path).status_code in NOT_THERE, path
        assert globex.person.post(path, **FIELDS).status_code in NOT_THERE, path


def test_foreign_and_unknown_give_one_page(globex: Tenant, anna: Account) -> None:
    """So that nobody learns by asking what exists here."""
    mailbox = anna.address.partition("@")[0]
    for foreign, unknown in (
        ("/c/acme/", "/c/nosuch/"),
        ("/c/acme/domains/acme.test/", "/c/acme/domains/nosuch.test/"),
        ("/c/acme/domains/acme.test/", "/c/nosuch/domains/nosuch.test/"),
        (f"/c/globex/domains/acme.test/mailboxes/{mailbox}/", "/c/globex/domains/nosuch.test/mailboxes/x/"),
        (f"/order/{order_of(globex.stack, 'acme')}/", "/order/NOSUCH-1/"),
    ):
        pages_got = [anonymised(globex.person.get(path).text, path) for path in (foreign, unknown)]
        assert pages_got[0] == pages_got[1], (foreign, unknown)


@pytest.mark.usefixtures("untouched")
def test_a_domain_of_another_customer_cannot_be_added(globex: Tenant) -> None:
    """Not even its being here is told before the one who asks has proved it."""
    for name in ("acme.test", "ACME.test.", "acme.TEST"):
        reply = globex.person.post("/c/globex/domains/add/", domain=name)
        assert reply.status_code == 422
        assert 'data-result="missing"' in reply.text


@pytest.mark.usefixtures("untouched")
def test_taken_names_are_refused_without_telling_whose(globex: Tenant, anna: Account) -> None:
    reply = globex.person.post("/order/", username="acme", plan="10gb")
    assert reply.status_code == 422
    assert 'id="id_username_error"' in reply.text
    assert "Acme Ltd" not in reply.text


@pytest.mark.usefixtures("untouched")
def test_added_fields_reach_nobody_else(stack: Stack, globex: Tenant, new_name: Callable[[str], str]) -> None:
    """Ids of acme in fields that a form does not have are as if they were not there."""
    ids = stack.rows(
        "SELECT c.id, d.id FROM accounts_customer c JOIN domains_domain d ON d.customer_id = c.id "
        "WHERE c.username = 'acme' AND d.name = 'acme.test'"
    )[0]
    name = new_name("extra")
    extra = {"customer": ids[0], "customer_id": ids[0], "domain": ids[1], "domain_id": ids[1], "id": ids[1]}
    fields = {"username": name, "password": f"mailbox-{token_hex(8)}", "quota_mb": 10, "name": ""}
    globex.person.sends("/c/globex/domains/globex.test/mailboxes/add/", **fields, **extra)
    query = """SELECT c.username FROM domains_mailbox m JOIN domains_domain d ON d.id = m.domain_id
        JOIN accounts_customer c ON c.id = d.customer_id WHERE m.local_part = %s"""
    assert stack.rows(query, name) == [("globex",)]


@pytest.mark.usefixtures("untouched")
def test_a_reader_sees_and_changes_nothing(stack: Stack, anna: Account) -> None:
    facts, reader = stack.sign_in("reader"), Person(stack)
    reader.sign_in(facts["email"], facts["password"])
    mailbox = anna.address.partition("@")[0]
    number = order_of(stack, "acme")
    for path in ["/c/acme/", "/c/acme/domains/acme.test/", f"/c/acme/domains/acme.test/mailboxes/{mailbox}/"]:
        assert reader.get(path).status_code == 200, path
    changing = ["/c/acme/domains/add/", *(f"/order/{number}/{verb}/" for verb in ("answer", "cancel"))]
    changing += [
        p for p in pages("acme", "acme.test", mailbox) if p.rstrip("/").rpartition("/")[2] != mailbox
    ]
    for path in changing:
        if path.endswith(("/acme.test/", "/mailboxes/")):
            continue
        assert reader.post(path, **FIELDS, domain="x.test", text="x").status_code == 403, path


@pytest.mark.usefixtures("untouched")
def test_a_visitor_is_led_to_the_sign_in(stack: Stack, anna: Account) -> None:
    visitor = Person(stack)
    for path in [*pages("acme", "acme.test", anna.address.partition("@")[0]), "/c/acme/", "/c/nosuch/"]:
        for reply in (visitor.get(path), visitor.post(path, **FIELDS)):
            assert reply.status_code == 302, path
            assert "/accounts/login/" in reply.headers["Location"], path


def test_staff_pages_are_not_for_customers(stack: Stack, globex: Tenant) -> None:
    number = order_of(stack, "globex")
    payments = stack.rows("SELECT count(*) FROM billing_payment")
    for path in ("/admin/", "/admin/review/", f"/admin/review/{number}/", f"/admin/review/{number}/payment/"):
        assert globex.person.get(path).status_code in (302, 403, 405), path
        posted = globex.person.post(path, decision="approve", method="other", amount="59.00", currency="USD")
        assert posted.status_code in (302, 403), path
    assert stack.rows("SELECT count(*) FROM billing_payment") == payments


def test_mail_of_one_customer_is_not_the_others_to_send(anna: Account, carl: Account) -> None:
    """The boundary on the mail servers: one's own password opens one's own mailbox on one's own server."""
    other = Account(anna.stack, carl.address, anna.password, carl.server)
    with pytest.raises(smtplib.SMTPAuthenticationError, match=r"5\.7\.8"):
        send(other, anna.address)
    elsewhere = Account(anna.stack, anna.address, anna.password, carl.server)
    with pytest.raises(smtplib.SMTPAuthenticationError, match=r"5\.7\.8"):
        send(elsewhere, carl.address)
