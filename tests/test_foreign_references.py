"""Things of another customer, named in every URL and field that names a thing: they are not there, and nothing that a
member sees depends on them.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone

from accounts.keys import add_key
from accounts.models import Customer, Role, User
from billing.models import Order, Plan
from domains.dns.resolver import Resolver
from domains.models import Domain
from foundation.unit_of_work import unit_of_work
from tests.access_table import TABLE
from tests.test_census import (
    SAMPLES,
    card_of,
    census_things,
    copy_of_data,
    given_to,
    named_urls,
    of_a_webhook,
    order_of,
    renewal_of,
    told,
)

__all__ = ["census_things"]

NOT_THERE = (404, 405)  # a page of one method answers the other with 405, whatever it is asked about
OF_MEMBERS = sorted(
    name for name, rule in TABLE.items() if rule.get("GET", rule.get("POST", {}))["stranger"] == "404"
)
OF_STAFF = sorted(  # what staff see of one customer
    name for name, keys in named_urls().items()
    if "customer" in keys and name not in OF_MEMBERS and "GET" in TABLE.get(name, {})
)  # fmt: skip
HASH = "{ARGON2ID}$argon2id$none"
CHANGING = re.compile(
    r'name="(?:csrfmiddlewaretoken|submission)" value="[^"]+"|nonce="[^"]+"'
    r"|(?:\d+|an?)\s(?:seconds?|minutes?|s)\sago|\bnow\b"
)


@pytest.fixture
def foreign(mallory: User) -> dict[str, Any]:
    """What the URLs can name, of another customer."""
    return another_customer(mallory)


def another_customer(owner: User) -> dict[str, Any]:
    customer = Customer.objects.create(username="foreign", name="Foreign Inc")
    customer.memberships.create(user=owner, role=Role.OWNER)
    customer.activate(by=None)
    heir = customer.memberships.create(user=User.objects.create_user("heir@example.test"), role=Role.ADMIN)
    customer.offer_ownership(heir, by=owner)
    domain = customer.domains.create(name="foreign.test")
    domain.dkim_keys.create(private_key="not used", public_key="not used")
    domain.mailboxes.create(local_part="olga", password_hash=HASH)
    bulk = domain.bulk_changes.create(verb="suspend", started_at=timezone.now())
    upload = domain.mailbox_imports.create(new=1, changed=0, unchanged=0, refused=0, comparing=0)
    gone = customer.domains.create(name="gone-foreign.test")
    gone.delete(by=None)
    domain.mailboxes.create(local_part="gone-olga", password_hash=HASH).delete(by=None)
    order = order_of(customer, owner)
    Order.objects.filter(pk=order.pk).update(domain="wanted.test")
    in_1999 = patch.object(timezone, "localdate", return_value=date(1999, 12, 31))  # where acme has none
    with in_1999, unit_of_work():
        invoice = renewal_of(customer, owner)
    return {
        "api_key": add_key(customer, "Theirs", ["domains:read"], [], None, by=owner)[0].pk,
        "bulk": bulk.pk,
        "import_id": upload.pk,
        "member": heir.pk,
        **of_a_webhook(told(customer, owner)),
        "invitation": customer.invite_member("frank@example.test", Role.READER, by=owner).pk,
        "export": copy_of_data(owner).secret,
        "card": card_of(customer, owner).pk,
        **given_to(customer, owner),
        "customer": customer.username,
        "domain": domain.name,
        "username": "olga",
        "number": order.number,
        "invoice": invoice.number,
        "plan": _closed_plan().slug,
        "period": "weekly",
        "year": "1999",
    }


def _closed_plan() -> Plan:
    """One that was made for them, and that nobody else can have."""
    return Plan.objects.create(
        slug="theirs", name="Theirs", currency="USD", yearly_minor=100, storage_mb=10_240, is_open=False
    )


@pytest.mark.parametrize("name", OF_MEMBERS)
def test_another_customers_things_are_not_there(
    name: str,
    as_: Callable[[User], Client],
    alice: User,
    census_things: dict[str, Any],
    foreign: dict[str, Any],
) -> None:
    """Each alone in one's own URL, and all of them together."""
    own, client = {**SAMPLES, **census_things}, as_(alice)
    keys = named_urls()[name]
    assert keys <= foreign.keys(), (
        f"Make these of another customer in `another_customer`: {keys - foreign.keys()}"
    )
    swaps = [{key: foreign[key]} for key in keys] + [{key: foreign[key] for key in keys}]
    if "username" in keys:
        swaps.append({"username": f"{own['username']}@{foreign['domain']}"})
    for swap in swaps:
        path = reverse(name, kwargs={**{key: own[key] for key in keys}, **swap})
        for answer in (client.get(path), client.post(path, {"confirm": "foreign.test"})):
            assert answer.status_code in NOT_THERE, (
                f"{answer.wsgi_request.method} {path}: {answer.status_code}"
            )


@pytest.mark.parametrize(
    "name", [*(name for name in OF_MEMBERS if "GET" in TABLE[name]), *OF_STAFF, "accounts:home"]
)
def test_nothing_on_a_page_depends_on_other_customers(
    name: str,
    as_: Callable[[User], Client],
    alice: User,
    sam: User,
    census_things: dict[str, Any],
    mallory: User,
) -> None:
    """Not even a number: the page is the same before and after another customer has things."""
    [path] = paths([name], census_things)
    client = as_(sam if name in OF_STAFF else alice)

    def page() -> str:
        answer = client.get(path, {"all": ""} if name == "accounts:home" else {})
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return CHANGING.sub("", body.decode(errors="replace"))

    Order.objects.update(domain="foreign.test")  # which acme would like to have, too
    before = page()
    another_customer(mallory)
    assert page() == before


@pytest.mark.parametrize(("role", "member"), [("reader", "bob"), ("billing", "carol"), ("admin", "dave")])
def test_no_page_offers_what_its_reader_may_not_do(
    role: str,
    member: str,
    as_: Callable[[User], Client],
    acme: Customer,
    census_things: dict[str, Any],
    request: pytest.FixtureRequest,
) -> None:
    """Every form and link on a customer's pages leads where this member gets in, in all states of what they show."""
    client = as_(request.getfixturevalue(member))
    domain = acme.domains.get()
    acme.domains.create(name="gone.test").delete(by=None)
    domain.mailboxes.create(local_part="gone", password_hash=HASH).delete(by=None)
    domain.mailboxes.create(local_part="stopped", password_hash=HASH).suspend(reason="Holiday", by=None)
    names = [name for name in OF_MEMBERS if TABLE[name].get("GET", {}).get(role) == "in"]
    visited = paths(names, census_things)
    for swap in ({"domain": "gone.test"}, {"username": "gone"}, {"username": "stopped"}):
        visited += paths(
            [name for name in names if swap.keys() <= named_urls()[name]], {**census_things, **swap}
        )
    offered = {(path, *offer) for path in visited for offer in offers(client, path)}
    assert offered
    wrong = [offer for offer in sorted(offered) if refused(role, *offer[1:])]
    assert not wrong, "\n".join(f"{path}: {method} {target}" for path, method, target in wrong)


def paths(names: list[str], things: dict[str, Any]) -> list[str]:
    every = {**SAMPLES, **things}
    return [reverse(name, kwargs={key: every[key] for key in named_urls()[name]}) for name in names]


def offers(client: Client, path: str) -> Iterator[tuple[str, str]]:
    """The method and path of each link and form on a page."""
    answer = client.get(path)
    if answer["Content-Type"].startswith("text/html"):
        for tag in re.findall(r"<(?:a|form)\b[^>]*>", answer.content.decode()):
            target = re.search(r'\b(?:href|action)="(/[^"?#]*)', tag)
            if target:
                yield "POST" if 'method="post"' in tag else "GET", target[1]


def refused(role: str, method: str, target: str) -> bool:
    return TABLE.get(resolve(target).view_name, {}).get(method, {}).get(role) == "403"


def test_nobody_learns_that_a_domain_is_here_before_proving_it(
    as_: Callable[[User], Client],
    alice: User,
    acme: Customer,
    foreign: dict[str, Any],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.DNS_NAMESERVERS = ["127.0.0.1@9"]  # nobody answers
    monkeypatch.setattr(Resolver.__init__, "__defaults__", (0.2,))  # seconds
    path = reverse("domains:domain-add", kwargs={"customer": "acme"})
    pages = [as_(alice).post(path, {"domain": name}) for name in ("foreign.test", "unknown.test")]
    assert [page.status_code for page in pages] == [422, 422]
    first, second = (CHANGING.sub("", page.content.decode()) for page in pages)
    assert first.replace("foreign.test", "unknown.test") == second


@pytest.mark.django_db
def test_a_deleted_thing_of_another_customer_is_not_restored(
    as_: Callable[[User], Client], alice: User, acme: Customer, foreign: dict[str, Any]
) -> None:
    """The button that brings back a deleted domain names it by its id."""
    gone = Domain.objects.get(name="gone-foreign.test")
    for name in ("gone-foreign.test", "acme.test"):
        path = reverse("domains:domain-restore", kwargs={"customer": "acme", "domain": name})
        assert as_(alice).post(path, {"which": str(gone.pk)}).status_code == 404
    gone.refresh_from_db()
    assert gone.deleted_at
