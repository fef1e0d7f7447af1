"""Customers on the living stack: made, given domains and mailboxes, and changed, by the forms that people use."""

import re
from dataclasses import dataclass
from secrets import token_hex

from tests.e2e.dns_owner import publish
from tests.e2e.mail import Account
from tests.e2e.person import Person
from tests.e2e.stack import Server, Stack
from tests.e2e.waiting import eventually

DETAILS = {
    "period": "yearly",
    "name": "Nora North",
    "street": "3 Quay Street",
    "city": "Bergen",
    "postcode": "5003",
    "country": "NO",
    "phone": "+47 55 00 00 00",
    "terms": "on",
}


@dataclass(frozen=True)
class Tenant:
    """A customer and the person who owns it."""

    stack: Stack
    person: Person
    username: str

    @property
    def server(self) -> Server:
        return self.stack.server_of(self.username)

    def page(self, domain: str, *rest: str) -> str:
        """The path of a domain's page, or of one below it."""
        return "/".join(["/c", self.username, "domains", domain, *rest, ""])

    def add_domain(self, name: str) -> None:
        """Prove the domain by its TXT record and add it, with MX, SPF, DKIM and DMARC published as shown."""
        label = shown(self.person.get(f"/c/{self.username}/domains/add/").text, "record-name")
        value = shown(self.person.get(f"/c/{self.username}/domains/add/").text, "record-value")
        publish(self.stack, f"{label}.{name}", "TXT", value)
        assert self.person.sends(f"/c/{self.username}/domains/add/", domain=name) == self.page(name)
        for rdtype, record, text in records_of(self.person.get(self.page(name)).text):
            publish(self.stack, record, rdtype, text)

    def add_mailbox(self, domain: str, username: str, password: str = "", quota_mb: int = 100) -> Account:
        """A mailbox that is live on its server."""
        password = password or f"mailbox-{token_hex(8)}"
        fields = {"username": username, "password": password, "quota_mb": quota_mb, "name": "Some Body"}
        path = self.person.sends(self.page(domain, "mailboxes", "add"), **fields)
        assert path == self.page(domain, "mailboxes", username)
        self.wait_live(path)
        return Account(self.stack, f"{username}@{domain}", password, self.server)

    def change(self, account: Account, verb: str, **fields: object) -> None:
        """Use one of a mailbox's forms (`password`, `suspend`, …) and wait until its server has made it true."""
        path = self.mailbox_page(account)
        self.person.sends(f"{path}{verb}/", **fields)
        self.wait_live(path)

    def mailbox_page(self, account: Account) -> str:
        username, _, domain = account.address.partition("@")
        return self.page(domain, "mailboxes", username)

    def wait_live(self, path: str, seconds: float = 20) -> None:
        """Until the mailbox's page says that its server has made true what was wished last."""
        eventually(lambda: is_live(self.person.get(path).text), seconds, every=0.05)


def become_customer(
    stack: Stack, staff: Person, plan: str = "10gb", password: str = "", address: str = ""
) -> Tenant:
    """A new person who signed up, ordered, was looked at where needed, paid, and is served."""
    person, order = order_unpaid(stack, staff, plan, password, address)
    pay(staff, review_of(order))
    eventually(lambda: status_of(person.get(order).text) == "active", 20)
    username = username_of(person, order)
    eventually(lambda: stack.server_of(username), 20)
    return Tenant(stack, person, username)


def order_unpaid(
    stack: Stack, staff: Person, plan: str = "10gb", password: str = "", address: str = ""
) -> tuple[Person, str]:
    """A new person, and the path of the order that they can pay now."""
    mark = token_hex(4)
    person = Person(stack)
    person.sign_up(address or f"owner-{mark}@people.test", password or f"person-{token_hex(8)}")
    order = person.sends("/order/", plan=plan, username=f"t{mark}", **DETAILS)
    eventually(lambda: status_of(person.get(order).text) in ("review", "unpaid"), 30)
    if status_of(person.get(order).text) == "review":
        staff.sends(review_of(order), decision="approve", text="Known to us.")
    return person, order


def review_of(order: str) -> str:
    """Where staff look at the order of this path."""
    return f"/admin/review/{order.rstrip('/').rpartition('/')[2]}/"


def username_of(person: Person, order: str) -> str:
    """The username of the order's customer."""
    found = re.search(r'href="/c/([^/"]+)/"', person.get(order).text)
    assert found, "the order leads to no customer"
    return found[1]


def pay(staff: Person, review: str) -> None:
    """Record that exactly what is due came in."""
    due = re.search(r'data-amount="([^"]+)"', staff.get(review).text)
    assert due, "the review page shows no sum"
    fields = {"method": "bank_transfer", "reference": "e2e", "amount": due[1], "currency": "USD"}
    staff.sends(f"{review}payment/", **fields)


def status_of(page: str) -> str:
    """The page's `data-status`."""
    found = re.findall(r'data-status="([^"]*)"', page)
    assert len(found) == 1, f"data-status stands {len(found)} times on the page"
    return str(found[0])


def is_live(page: str) -> bool:
    found = re.search(r'data-live="(true|false)"', page)
    assert found, "the page does not say whether the mailbox is live"
    return found[1] == "true"


def shown(page: str, attribute: str) -> str:
    """The text of the element with `data-<attribute>`."""
    found = re.search(rf"data-{attribute}[^>]*>([^<]+)<", page)
    assert found, f"no data-{attribute} on the page"
    return found[1].strip()


def records_of(page: str) -> list[tuple[str, str, str]]:
    """(type, name, value) of every record that the domain's page asks for."""
    records = []
    for article in re.findall(r"<article[^>]*data-record=.*?</article>", page, re.S):
        rdtype = re.search(r"<dt>Type</dt>\s*<dd>\s*(\w+)", article)
        priority = re.search(r"<dt>Priority</dt>\s*<dd>\s*(\d+)", article)
        value = shown(article, "record-value")
        assert rdtype, "a record without a type"
        value = f"{priority[1]} {value.rstrip('.')}." if priority else value
        records.append((rdtype[1], shown(article, "record-name"), value))
    return records
