"""What Stripe tells us: taken from Stripe alone, kept once, answered at once, worked later, in any order."""

import itertools
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Notice, User
from billing import card_payments, screening, stripe_events
from billing.models import CardOnFile, Order, Payment, StripeEvent, Subscription
from tests.billing.conftest import fresh
from tests.billing.stripe_desk import StripeDesk, catch_up, signed
from tests.faults import Dice, kills, report

pytestmark = pytest.mark.usefixtures("stripe")


def tell(event: dict[str, Any], **how: Any) -> int:
    """Send it as Stripe does; the status of the answer."""
    body, signature = signed(event, **how)
    client = Client(enforce_csrf_checks=True)
    headers = {"Stripe-Signature": signature}
    return client.post("/stripe/webhook/", body, content_type="application/json", headers=headers).status_code


@pytest.fixture
def paid(stripe: StripeDesk, unpaid: Order, alice: User) -> dict[str, Any]:
    """Somebody paid and closed the tab; the event that says so."""
    stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
    return stripe.events()[-1]


def test_works(paid: dict[str, Any], unpaid: Order, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(6):
        assert tell(paid) == 204
    assert fresh(unpaid).status == "unpaid"  # kept, not worked
    [event] = StripeEvent.objects.all()
    assert (event.kind, event.outcome) == ("checkout.session.completed", "")
    assert stripe_events.work_event(event.pk)
    assert not stripe_events.work_event(event.pk)
    assert fresh(unpaid).status == "active"
    assert StripeEvent.objects.get().outcome == "worked"


def test_twice_is_harmless(paid: dict[str, Any], unpaid: Order) -> None:
    for _ in range(3):
        assert tell(paid) == 204
        catch_up()
    assert StripeEvent.objects.count() == Payment.objects.count() == Subscription.objects.count() == 1


def test_what_the_event_says_is_not_believed(paid: dict[str, Any], stripe: StripeDesk, unpaid: Order) -> None:
    """Even with the right signature it only says where to look."""
    session = paid["data"]["object"]
    stripe.books.objects[session["id"]].update(status="open", payment_status="unpaid")
    assert tell(paid) == 204
    catch_up()
    assert fresh(unpaid).status == "unpaid"


@pytest.mark.parametrize("minutes", [-6, 6, -40 * 365 * 24 * 60])
def test_an_old_or_future_one_is_refused(paid: dict[str, Any], minutes: int) -> None:
    assert tell(paid, at=int(time.time()) + minutes * 60) == 400
    assert not StripeEvent.objects.exists()


def test_a_forged_one_is_refused(paid: dict[str, Any]) -> None:
    assert tell(paid, secret="whsec_of_another") == 400
    assert not StripeEvent.objects.exists()


def test_without_a_secret_nothing_is_taken(paid: dict[str, Any], settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert tell(paid) == 400
    assert tell(paid, secret="") == 400
    assert not StripeEvent.objects.exists()


def test_a_huge_one_is_refused(client: Client) -> None:
    body = json.dumps({"id": "evt_1", "type": "a", "data": {"object": {}}, "more": "x" * (2 << 20)})
    answer = client.post("/stripe/webhook/", body, content_type="application/json")
    assert answer.status_code in (400, 413)


def test_get_is_405(client: Client) -> None:
    assert client.get("/stripe/webhook/").status_code == 405


def test_an_unknown_kind_is_kept_and_counted(
    paid: dict[str, Any], sam: User, as_: Callable[[User], Client]
) -> None:
    for number in range(2):
        assert tell({**paid, "id": f"evt_{number}", "type": "radar.early_fraud_warning.created"}) == 204
    assert [event.outcome for event in StripeEvent.objects.all()] == ["unknown", "unknown"]
    assert stripe_events.due_events() == []
    html = as_(sam).get("/admin/billing/stripeevent/").content.decode()
    assert "radar.early_fraud_warning.created (2)" in html


def test_one_about_nothing_of_ours_is_done_with(paid: dict[str, Any]) -> None:
    other = {**paid["data"]["object"], "id": "cs_test_of_another"}
    assert tell({**paid, "data": {"object": other}}) == 204
    catch_up()
    assert StripeEvent.objects.get().outcome == "foreign"


def test_one_waits_while_stripe_is_away(paid: dict[str, Any], stripe: StripeDesk, unpaid: Order) -> None:
    tell(paid)
    stripe.fail("GET /v1/checkout/sessions", "unreached")
    assert not stripe_events.work_event(paid["id"])
    assert stripe_events.due_events() == []
    catch_up()
    assert fresh(unpaid).status == "active"


def test_one_that_breaks_waits(paid: dict[str, Any], unpaid: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(paid)
    with monkeypatch.context() as broken:
        broken.setattr(Order, "receive_card_payment", lambda *args, **values: 1 / 0)
        assert not stripe_events.work_event(paid["id"])
    waits = StripeEvent.objects.get().next_try_at
    assert waits
    assert waits > timezone.now() + timedelta(seconds=50)
    catch_up()
    assert fresh(unpaid).status == "active"


def test_days_late_is_not_too_late(paid: dict[str, Any], stripe: StripeDesk, unpaid: Order) -> None:
    """Stripe sends for three days what was not taken, and signs each time anew."""
    assert tell({**paid, "created": paid["created"] - 3 * 24 * 3600}) == 204
    catch_up()
    assert fresh(unpaid).status == "active"


def test_old_ones_are_forgotten(paid: dict[str, Any]) -> None:
    tell(paid)
    assert stripe_events.forget_old_events() == 0
    StripeEvent.objects.update(received_at=timezone.now() - timedelta(days=91))
    assert stripe_events.forget_old_events() == 1


@pytest.mark.soak
def test_any_order_of_a_flow_ends_the_same(
    stripe: StripeDesk, ordered: Callable[..., Order], alice: User, sam: User, settings: Any, rng: Dice
) -> None:
    """Declined, then paid: six events, each three times, in any order, some of them never."""
    settings.FRAUDRECORD_API_KEY = ""
    orders = list(itertools.permutations(range(6)))
    for count, positions in enumerate(rng.sample(orders, kills(4, len(orders))), 1):
        order, known = ordered(), len(stripe.events())
        screening.check_order(order.pk)
        fresh(order).approve("", by=sam)
        url = card_payments.pay_by_card(order, by=alice)
        stripe.pay(url, "4000000000000002")
        stripe.pay(url)
        # Those before the last six are of the customer, and of the intent that began.
        happened = stripe.events()[known:][-6:]
        assert happened[0]["type"] == "charge.failed"
        for event in (happened[position] for position in positions if rng.random() > 0.1):
            for _ in range(3):
                assert tell(event) == 204
            if rng.random() < 0.5:
                stripe_events.work_event(event["id"])
        catch_up()
        assert fresh(order).status == "active"
        assert [payment.amount_minor for payment in order.payments.all()] == [5900]
        assert Notice.objects.filter(kind="order.active").count() == count
        assert Subscription.objects.count() == count
        assert stripe.kept_minor == 5900 * count
        CardOnFile.objects.update(next_look_at=None)  # the next ones need not look at all of before
    report("stripe events in any order", rng, orders=count)
