"""Orders in every state, and FraudRecord's stand-in on a port of its own."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Customer, User
from billing import card_payments, screening
from billing.models import CardOnFile, FraudCheck, Order, Subscription
from billing.money import parse_amount
from billing.ordering import place_order
from billing.submissions import Submission, new_token
from deploy import vies as vies_stand_in
from deploy.fraudrecord import Server
from mxpanel.celery import HintTask
from tests.billing.books import must_balance
from tests.billing.renewed import BEGAN, begin
from tests.billing.stripe_desk import SECRET_KEY, WEBHOOK_SECRET, StripeDesk, at_desk, catch_up, save_card

API_KEY = "0123456789abcdef"
FIELDS = {
    "plan": "10gb",
    "period": "yearly",
    "username": "",
    "domain": "",
    "name": "Anna Example",
    "company": "",
    "street": "1 Long Street",
    "city": "Springfield",
    "region": "",
    "postcode": "12345",
    "country": "DE",
    "phone": "+49 30 1234567",
    "terms": "on",
}


@pytest.fixture
def fields() -> dict[str, str]:
    """The order form, filled in."""
    return dict(FIELDS)


@pytest.fixture(scope="session")
def stand_in() -> Iterator[Server]:
    server = Server("127.0.0.1", 0, API_KEY)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fraudrecord(stand_in: Server, settings: Any) -> Server:
    """FraudRecord is switched on and reachable, and knows nobody."""
    stand_in.ledger.reports.clear()
    settings.FRAUDRECORD_URL = f"http://127.0.0.1:{stand_in.server_port}/api/"
    settings.FRAUDRECORD_API_KEY = API_KEY
    settings.FRAUDRECORD_DEADLINE = 1.0
    return stand_in


@pytest.fixture
def asked(fraudrecord: Server, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The details of every question that went to FraudRecord."""
    questions: list[dict[str, str]] = []
    query = screening.fraudrecord.query

    def note(details: dict[str, str]) -> Any:
        questions.append(details)
        return query(details)

    monkeypatch.setattr(screening.fraudrecord, "query", note)
    return questions


@pytest.fixture
def ordered(alice: User) -> Callable[..., Order]:
    """Make an order by alice through the front door of the model; fields may be given."""

    def make(by: User = alice, **changes: Any) -> Order:
        from billing.models import Plan

        details = FIELDS | changes
        details["plan"] = Plan.objects.get(slug=details["plan"])
        submission = Submission(new_token(), "", True)
        return place_order(details, by=by, client_address="198.51.100.7", submission=submission)

    return make


@pytest.fixture
def in_review(ordered: Callable[..., Order], settings: Any) -> Order:
    """An order that went to staff because FraudRecord is off."""
    settings.FRAUDRECORD_API_KEY = ""
    order = ordered()
    screening.check_order(order.pk)
    return fresh(order)


@pytest.fixture
def unpaid(in_review: Order, sam: User) -> Order:
    in_review.approve("", by=sam)
    return fresh(in_review)


def fresh(order: Order) -> Order:
    """The order with its facts read anew."""
    return Order.objects.numbered(order.number)


def check(order: Order) -> Order:
    """As a worker does when the check is due."""
    FraudCheck.objects.filter(order=order).exclude(next_ask_at=None).update(next_ask_at=timezone.now())
    screening.check_order(order.pk)
    return fresh(order)


def days_pass(order: Order, days: float) -> None:
    """As if FraudRecord had given its verdict so many days earlier."""
    FraudCheck.objects.filter(order=order).update(verdict_at=timezone.now() - timedelta(days=days))


@pytest.fixture
def quiet_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints of committed transactions go nowhere: a lost hint must not matter."""
    monkeypatch.setattr(HintTask, "apply_async", lambda *args, **kwargs: None)


def pay(order: Order, amount: str, *, by: User, reference: str = "R1") -> None:
    """Record a bank transfer for the order."""
    order.record_payment(
        method="bank_transfer",
        reference=reference,
        amount_minor=parse_amount(amount, "USD"),
        currency="USD",
        submission=Submission(new_token(), "", True),
        by=by,
    )


@pytest.fixture
def taxed(settings: Any) -> Any:
    """A German seller charges tax."""
    settings.TAX, settings.SELLER_COUNTRY, settings.SELLER_VAT_ID = True, "DE", "DE136695976"
    return settings


@pytest.fixture(scope="session")
def vies_server() -> Iterator[vies_stand_in.Server]:
    server = vies_stand_in.Server("127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def vies(vies_server: vies_stand_in.Server, settings: Any) -> vies_stand_in.Server:
    """VIES is allowed and reachable, and was asked nothing yet."""
    vies_server.asked.clear()
    settings.VIES, settings.VIES_URL = True, f"http://127.0.0.1:{vies_server.server_port}/rest-api"
    return vies_server


@pytest.fixture(scope="session")
def desk() -> Iterator[StripeDesk]:
    with at_desk() as found:
        yield found


@pytest.fixture
def stripe(desk: StripeDesk, settings: Any) -> StripeDesk:
    """Stripe is switched on and reachable, and nothing has happened there."""
    with desk.books.lock:
        desk.books.objects.clear()
        desk.books.owed.clear()
        desk.books.settling.clear()
        desk.books.replies.clear()
        desk.books.advanced = 0
        desk.server.faults.waiting.clear()
    settings.STRIPE_API_BASE = settings.STRIPE_CHECKOUT_ORIGIN = desk.books.base
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = SECRET_KEY, WEBHOOK_SECRET
    settings.STRIPE_DEADLINE = 2.0
    return desk


@pytest.fixture(autouse=True)
def books(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did to orders, the ledger agrees with them afterwards; but not where it made rows that no verb makes
    (`odd_rows`).
    """
    if request.node.get_closest_marker("odd_rows"):
        yield
        return
    uses_database = "db" in request.fixturenames or request.node.get_closest_marker("django_db")
    if uses_database:
        request.getfixturevalue("_django_db_helper")  # so that this ends before it
    yield
    if uses_database:
        must_balance()


@pytest.fixture
def looked_at_again(
    stripe: StripeDesk, fraudrecord: Any, ordered: Callable[..., Order], alice: User
) -> Order:
    """Paid by card while staff came to look at it after all."""
    order = check(ordered())
    assert order.status == "unpaid"
    url = card_payments.pay_by_card(order, by=alice)
    order.messages.create(kind="answer", text="By the way", by=alice)
    stripe.pay(url)
    catch_up()
    order = fresh(order)
    assert (order.status, order.paid_minor, stripe.kept_minor) == ("review", 5900, 5900)
    return order


@pytest.fixture
def service(unpaid: Order, sam: User) -> Subscription:
    """Ten gigabytes a year for 59.00 USD, which began on 15 March 2027."""
    return begin(unpaid, on=BEGAN, by=sam)


@pytest.fixture
def anna(service: Subscription) -> Customer:
    """Whose service it is."""
    return service.customer


@pytest.fixture
def visa(stripe: StripeDesk, anna: Customer, alice: User) -> CardOnFile:
    """The card to which it is charged."""
    return save_card(stripe, anna, alice)
