"""Every URL × method × role. A URL that the access table does not name fails, so nothing is ever reachable by oversight."""

import operator
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.deleting import ask_deletion
from accounts.exporting import ask_export, make_export
from accounts.keys import add_key
from accounts.models import Customer, DataExport, Delivery, Role, User
from accounts.models.webhook import add_webhook
from billing.invoicing import issue_invoice
from billing.models import CardOnFile, FraudCheck, Invoice, Order, Plan, StripeCustomer, Subscription
from billing.models import Outcome as FraudOutcome
from billing.models.question import give_link
from domains.models import MailServer, ServerSync
from domains.models.mailbox_invitation import invite_owner
from foundation.unit_of_work import unit_of_work
from mxpanel.staff_roles import RIGHTS as STAFF_RIGHTS
from tests.access_table import METHODS, ROLES, TABLE, Outcome, outcomes, stock_admin

SAMPLES: dict[str, Any] = {
    "customer": "acme",
    "plan": "25gb",
    "period": "monthly",
    "domain": "acme.test",
    "username": "anna",
    "key": "MQ:0",
    "uidb36": "1",
    "object_id": "1",
    "content_type_id": 1,
    "app_label": "accounts",
    "url": "no/such/page",
    "pk": 1,
    "token": "no-such-token",
}


def walk(
    patterns: list[URLPattern | URLResolver], namespace: str = "", keys: frozenset[str] = frozenset()
) -> Iterator[tuple[str, frozenset[str]]]:
    """Each URL's full name and the arguments that its path takes."""
    for pattern in patterns:
        taken = keys | set(pattern.pattern.converters) | set(getattr(pattern.pattern.regex, "groupindex", ()))
        if isinstance(pattern, URLResolver):
            yield from walk(
                pattern.url_patterns,
                f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace,
                taken,
            )
        else:
            yield f"{namespace}{pattern.name}", taken


def named_urls() -> dict[str, frozenset[str]]:
    """Those of pages; the API has a table of its own (tests/test_api.py)."""
    found = dict(walk(get_resolver().url_patterns))
    return {name: keys for name, keys in found.items() if not name.startswith("api:")}


def policy_of(name: str) -> dict[str, Any]:
    if name in TABLE:
        return TABLE[name]
    return stock_admin(name) if name.startswith("admin:") else {}


def test_the_table_names_every_url_and_nothing_else():
    names = set(named_urls())
    unnamed = {name for name in names if not policy_of(name)}
    assert not unnamed, f"Add these to tests/access_table.py: {sorted(unnamed)}"
    assert not set(TABLE) - names, f"No such URLs any more: {sorted(set(TABLE) - names)}"


@pytest.fixture
def clients(
    as_: Callable[[User], Client],
    acme: Customer,
    other: Customer,
    staff_of: Callable[[str], User],
    request: pytest.FixtureRequest,
) -> dict[str, Client]:
    people = {
        "stranger": "mallory",
        "reader": "bob",
        "billing": "carol",
        "admin": "dave",
        "owner": "alice",
        "staff": "sam",
    }
    return (
        {"anonymous": Client()}
        | {role: as_(request.getfixturevalue(name)) for role, name in people.items()}
        | {role: as_(staff_of(role)) for role in STAFF_RIGHTS}
    )


@pytest.fixture
def census_things(acme: Customer, alice: User) -> dict[str, Any]:
    """Things of acme that the URLs can name."""
    domain = acme.domains.create(name="acme.test")
    domain.dkim_keys.create(private_key="not used", public_key="not used")
    anna = domain.mailboxes.create(local_part="anna", password_hash="{ARGON2ID}$argon2id$none")
    upload = domain.mailbox_imports.create(new=1, changed=0, unchanged=0, refused=0, comparing=0)
    order = order_of(acme, alice)
    question = give_link(order.messages.create(kind="question", text="Whose domain is it?", by=alice))
    server = MailServer.objects.create(
        name="mx1.mxpanel.test", address="127.0.0.1", agent_url="https://127.0.0.1:9", agent_key="k" * 40
    )
    ServerSync.objects.create(server=server)
    bulk = domain.bulk_changes.create(verb="suspend", started_at=timezone.now())
    invitation = invite_owner(anna, "anna@home.example", by=None)
    things = {"token": invitation.token, "bulk": bulk.pk, "import_id": upload.pk}
    joins = acme.invite_member("mallory@example.test", Role.READER, by=alice)
    reader = acme.memberships.get(user__email="bob@example.test")
    things["api_key"] = add_key(acme, "Backup", ["domains:read"], [], None, by=alice)[0].pk
    things |= of_a_webhook(told(acme, alice))
    things |= {"member": reader.pk, "invitation": joins.pk, "secret": joins.secret}
    things["export"] = copy_of_data(alice).secret
    leaver = User.objects.create_user("leaver@example.test")
    things["deletion"] = ask_deletion(leaver).secret
    things["question"] = question.secret
    with unit_of_work():
        issue_invoice(order)
        invoice = renewal_of(acme, alice)
    things |= {"invoice": invoice.number, "year": str(invoice.issued_on.year)}
    things["card"] = card_of(acme, alice).pk
    things |= given_to(acme, alice)
    return {**things, "number": order.number, "server": server.pk}


def told(customer: Customer, owner: User) -> Delivery:
    """What a webhook of the customer is owed, was called with once, and did not take."""
    webhook = add_webhook(customer, "https://hooks.example.com/x", ["mailboxes"], by=owner)
    delivery = webhook.test()
    delivery.calls.create(milliseconds=12, status=500, reply="<b>no</b>")
    webhook.deliveries.update(attempts=1, next_at=timezone.now() + timedelta(hours=1))
    return delivery


def of_a_webhook(delivery: Delivery) -> dict[str, Any]:
    return {"webhook": delivery.webhook_id, "delivery": delivery.pk}


def given_to(customer: Customer, by: User) -> dict[str, Any]:
    """A credit and a free month, as staff give them, and a dispute."""
    given: dict[str, Any] = {"reason": "It was down", "by": by, "submission": "once"}
    service = Subscription.objects.get(customer=customer)
    month = service.free_periods.create(months=1, period=9, from_on=timezone.localdate(), **given)
    grant = customer.credit_grants.create(amount_minor=100, currency="USD", **given)
    paid = service.order.payments.create(
        method="card", reference=f"pi_{customer.username}", amount_minor=5900
    )
    dispute = paid.disputes.create(
        dispute=f"du_{customer.username}", amount_minor=5900, reason="fraudulent", status="needs_response",
        opened_at=timezone.now(),
    )  # fmt: skip
    return {"free": month.pk, "grant": grant.pk, "dispute": dispute.dispute}


def card_of(customer: Customer, owner: User) -> CardOnFile:
    """A card that Stripe keeps for the customer."""
    StripeCustomer.objects.create(customer=customer, stripe_id=f"cus_{customer.username}")
    return CardOnFile.objects.create(
        customer=customer, stripe_customer=f"cus_{customer.username}", method=f"pm_{customer.username}", brand="Visa",
        last4="4242", exp_month=12, exp_year=2040, added_by=owner, is_default=True,
    )  # fmt: skip


def renewal_of(customer: Customer, owner: User) -> Invoice:
    """The invoice of a renewal that is twelve days late, of a service that runs. Call inside a unit of work."""
    order = order_of(customer, owner)
    issue_invoice(order)
    service = Subscription.objects.create(
        customer=customer, order=order, plan=order.plan, period=order.period, amount_minor=order.amount_minor,
        currency=order.currency, started_at=timezone.now() - timedelta(days=377),
    )  # fmt: skip
    renewal = service.renew()
    assert renewal
    assert renewal.invoice
    return renewal.invoice


def copy_of_data(person: User) -> DataExport:
    """What the person asked for and a worker has made."""
    export = ask_export(person)
    make_export(str(export.pk))
    return DataExport.objects.get(pk=export.pk)


def order_of(customer: Customer, owner: User) -> Order:
    plan = Plan.objects.get(slug="10gb")
    order = Order.objects.create(
        customer=customer, placed_by=owner, plan=plan, period="yearly", amount_minor=plan.yearly_minor,
        currency=plan.currency, name="Alice", email=owner.email, street="1 Road", city="Leeds", postcode="LS1",
        country="GB", phone="+44 113 496 0000",
        terms_accepted_at=timezone.now(),
    )  # fmt: skip
    FraudCheck.objects.create(order=order, outcome=FraudOutcome.OFF, next_ask_at=None)
    return order


def batches(size: int = 20) -> Iterator[list[str]]:
    """All names, some to a test: making people and things takes longer than asking for a page. Those of Django's own staff
    pages are apart.
    """
    names = sorted(named_urls())
    for is_admin in (False, True):
        of_kind = [name for name in names if name.startswith("admin:") == is_admin]
        yield from (of_kind[start : start + size] for start in range(0, len(of_kind), size))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("names", list(batches()), ids=operator.itemgetter(0))
def test_who_gets_in(names: list[str], clients: dict[str, Client], census_things: dict[str, Any]) -> None:
    urls, wrong = named_urls(), []
    for name in names:
        arguments = {key: {**SAMPLES, **census_things}[key] for key in urls[name]}
        path = reverse(name, kwargs=arguments) if name != "admin:None" else "/admin/no/such/page"
        for method in METHODS:
            for role in ROLES:
                expected = outcomes(policy_of(name), method, role)
                found = outcome(clients[role], method, path)
                if found not in expected:
                    wrong.append(f"{method} {path} as {role}: {found}, not {'/'.join(sorted(expected))}")
    assert not wrong, "\n".join(wrong)


def test_no_session_ever_holds_a_password(
    as_: Callable[[User], Client], alice: User, acme: Customer, census_things: dict[str, Any]
) -> None:
    """Whatever form is sent with one, by somebody who has to prove who they are first, and by a visitor."""
    clear = "clear-as-day-4711"
    fields = dict.fromkeys(("password", "password1", "password2", "oldpassword", "code"), clear)
    for name, keys in named_urls().items():
        if name.startswith("admin:"):
            continue
        path = reverse(name, kwargs={key: {**SAMPLES, **census_things}[key] for key in keys})
        for client in (as_(alice), Client()):
            session = client.session
            session["account_authentication_methods"] = []
            session.save()
            client.post(path, {"email": "x@example.test", "login": alice.email, **fields})
            kept = [each.get_decoded() for each in Session.objects.all()]
            assert clear not in str(kept), name
            Session.objects.all().delete()


def test_staff_see_every_list(
    as_: Callable[[User], Client], sam: User, census_things: dict[str, Any]
) -> None:
    client = as_(sam)
    lists = [name for name in named_urls() if name.endswith("_changelist")]
    assert lists
    answers = {name: client.get(reverse(name), {"q": "a"}).status_code for name in lists}
    assert set(answers.values()) == {200}, answers


def outcome(client: Client, method: str, path: str) -> Outcome:
    """Make the call, undo what it changed, and name how it ended."""
    session = dict(client.cookies)
    block = transaction.atomic()
    block._from_testcase = True  # as pytest-django's own: units of work may be durable inside
    with block:
        answer = client.generic(method, path, "", "application/x-www-form-urlencoded")
        transaction.set_rollback(True)
    client.cookies.clear()
    client.cookies.update(session)
    if answer.status_code == 302 and answer["Location"].startswith(reverse("account_login")):
        return "login"
    if answer.status_code in (403, 404, 405):
        return str(answer.status_code)  # type: ignore[return-value]
    assert answer.status_code < 500, f"{method} {path}: {answer.status_code}"
    return "in"
