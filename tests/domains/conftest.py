"""Customers with a running plan, placed on a mail server; acme has a domain with one mailbox."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import timezone

from accounts.models import Customer
from billing.models import Order, Plan
from billing.signals import service_started
from domains import dkim
from domains.driver.sync import sync
from domains.models import Domain, Mailbox, MailServer, Placement, ServerRow, ServerSync, add_domain
from foundation.unit_of_work import unit_of_work
from mailnode.wire import WIRE
from tests.domains.authoritative import Authoritative
from tests.domains.real_agent import RealAgent

PASSWORD = "correct horse battery 17"
HASH = (
    "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"
    "n4kmcrRBeVsZzFYxhZLqmRA8yKkHeYcPXaT2d5v1sYI"
)
BASE = "/c/acme/domains/"


@pytest.fixture(autouse=True)
def quiet_broker(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints and tasks go nowhere: a lost one must not matter."""
    from mxpanel.celery import app

    app.conf.broker_url = "memory://"
    # Celery itself looks at this variable first: without these the workers of a stack around the tests would take
    # their hints.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    settings.CACHES = {
        **settings.CACHES,
        "volatile": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    }
    caches["volatile"].clear()  # of another test's server with the same number


@pytest.fixture(scope="session")
def dkim_pair() -> dkim.Pair:
    return dkim.new_pair()


@pytest.fixture(autouse=True)
def one_dkim_pair(
    monkeypatch: pytest.MonkeyPatch, dkim_pair: dkim.Pair, request: pytest.FixtureRequest
) -> None:
    """Making a key takes a tenth of a second; only the test of adding domains needs a new one each time."""
    if "real_dkim" not in request.fixturenames:
        monkeypatch.setattr(dkim, "new_pair", lambda: dkim_pair)


@pytest.fixture
def real_dkim() -> None:
    """This test makes its DKIM keys anew."""


@pytest.fixture
def mx1(db: None) -> MailServer:
    """A mail server that nobody has spoken to yet."""
    return make_server("mx1.mxpanel.test")


def make_server(name: str, **fields: Any) -> MailServer:
    server = MailServer.objects.create(
        **{"name": name, "address": "127.0.0.1", "agent_url": "https://127.0.0.1:9", "agent_key": "k" * 40}
        | {"certificate_sha256": "0" * 64}
        | fields
    )
    ServerSync.objects.create(server=server)
    return server


@pytest.fixture
def subscribe() -> Callable[..., Plan]:
    """Give a customer a running subscription to a plan with these limits."""

    def make(customer: Customer, **limits: Any) -> Plan:
        plan = Plan.objects.create(
            slug=f"plan-of-{customer.username}".replace("_", "-"), name="Test plan", currency="USD",
            yearly_minor=100, **{"storage_mb": 10_240} | limits,
        )  # fmt: skip
        owner = customer.members.get(memberships__role="owner")
        order = Order.objects.create(
            customer=customer, placed_by=owner, plan=plan, period="yearly", amount_minor=100, currency="USD",
            name="A", email=owner.email, street="1 Road", city="Leeds", postcode="LS1", country="GB",
            phone="+44 113 496 0000", terms_accepted_at=timezone.now(),
        )  # fmt: skip
        customer.subscriptions.create(
            order=order, plan=plan, period="yearly", amount_minor=100, currency="USD"
        )
        return plan

    return make


@pytest.fixture
def served(acme: Customer, mx1: MailServer, subscribe: Callable[..., Plan]) -> Customer:
    """Acme with a running plan, placed on mx1."""
    subscribe(acme)
    Placement.objects.create(customer=acme, server=mx1, placed_at=timezone.now())
    return acme


@pytest.fixture
def domain(served: Customer, dkim_pair: dkim.Pair) -> Domain:
    made = served.domains.create(name="acme.test")
    made.dkim_keys.create(private_key=dkim_pair.private_pem, public_key=dkim_pair.public_base64)
    return made


@pytest.fixture
def anna(domain: Domain) -> Mailbox:
    """anna@acme.test, made by the verb."""
    return domain.add_mailbox("anna", quota_mb=1024, name="Anna", password_hash=HASH, by=None)


@pytest.fixture(scope="session")
def knot() -> Iterator[Authoritative]:
    server = Authoritative()
    yield server
    server.stop()


@pytest.fixture
def dns(knot: Authoritative, settings: Any) -> Iterator[Authoritative]:
    """The zone `test.`, which the panel asks; empty again after the test."""
    settings.DNS_NAMESERVERS = knot.nameservers
    yield knot
    knot.clear()


@pytest.fixture
def dead_dns(settings: Any) -> Iterator[None]:
    """Name servers that take questions and never answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        settings.DNS_NAMESERVERS = [f"127.0.0.1@{silent.getsockname()[1]}"]
        yield


@pytest.fixture(scope="module")
def node() -> Iterator[RealAgent]:
    agent = RealAgent("mx1.mxpanel.test")
    yield agent
    agent.stop()


@pytest.fixture
def agent(node: RealAgent) -> Iterator[RealAgent]:
    """The agent of mx1, fresh and running."""
    node.wipe()
    node.start()
    yield node
    node.kill()


@pytest.fixture
def server(agent: RealAgent, transactional_db: None) -> MailServer:
    """mx1, enrolled and in service, and known to speak the newest wire."""
    server = agent.enrol()
    sync(server.pk)
    ServerSync.objects.filter(server=server).update(wire=WIRE)
    return server


@pytest.fixture
def hosted(acme: Customer, server: MailServer, subscribe: Any) -> Domain:
    """acme.test of acme, placed on mx1."""
    subscribe(acme)
    with unit_of_work():
        service_started.send(type(acme), customer=acme)
    return add_domain(acme, "acme.test", by=None)


def fresh(server: MailServer) -> MailServer:
    return MailServer.objects.select_related("sync").get(pk=server.pk)


def revision_of(mailbox: Mailbox) -> int:
    return ServerRow.objects.get(kind="mailbox", key=mailbox.pk).revision


def settle(server: MailServer) -> None:
    """As if the server had made everything true."""
    server.refresh_from_db()
    ServerSync.objects.filter(server=server).update(
        effective=server.revision, confirmed_revision=server.revision
    )
