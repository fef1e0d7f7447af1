"""Workers that are killed, replies that are lost, fifty at once: the sum at Stripe stays the sum of the payments."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Customer, Notice, User
from billing import (
    card_charges,
    card_payments,
    card_refunds,
    card_setups,
    declines,
    kept_cards,
    screening,
    stripe_cards,
    stripe_events,
    stripe_gateway,
)
from billing.models import (
    CardOnFile,
    CardRefund,
    Checkout,
    Order,
    Payment,
    StripeCustomer,
    StripeEvent,
    Subscription,
)
from billing.stripe_calls import StripeGatewayError
from billing.stripe_cards import ChargeFacts, ChargeState
from tests.at_once import at_once
from tests.billing.conftest import fresh, pay
from tests.billing.stripe_desk import StripeDesk, catch_up
from tests.faults import Dice, kills, report

AT_ONCE = 50
GOOD = ("4242424242424242", "5555555555554444")
FAULTS = ("lost", "unreached", "409", "429", "500", "500-after")
ON = (
    "POST /v1/customers",
    "GET /v1/customers",
    "POST /v1/checkout/sessions",
    "GET /v1/checkout/sessions",
    "POST /v1/refunds",
    "GET /v1/refunds",
)
CALLS = ("open_checkout", "look_at_checkout", "expire_checkout", "send_refund", "find_refund")
ON_ABOUT_CARDS = (
    "POST /v1/customers",
    "GET /v1/customers",
    "DELETE /v1/customers",
    "POST /v1/checkout/sessions",
    "GET /v1/checkout/sessions",
    "GET /v1/payment_methods",
    "POST /v1/payment_methods",
    "POST /v1/payment_intents",
    "GET /v1/payment_intents",
)
CALLS_ABOUT_CARDS = (
    "make_customer", "find_customer", "delete_customer", "is_deleted", "open_setup", "look_at_setup", "expire_setup",
    "look_at_card", "take_off_card", "charge_card", "find_charges", "look_at_charge", "end_charge",
)  # fmt: skip


class Killed(BaseException):
    """The process ends here; nothing after it is done."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch, rng: Dice) -> None:
    """One in six workers is killed when Stripe has answered and nothing is written yet."""

    def wrap(module: Any, name: str) -> None:
        call = getattr(module, name)

        def maybe(*args: Any, **kwargs: Any) -> Any:
            answer = call(*args, **kwargs)
            if rng.random() < 1 / 6:
                raise Killed
            return answer

        monkeypatch.setattr(module, name, maybe)

    for name in CALLS:
        wrap(stripe_gateway, name)
    for name in CALLS_ABOUT_CARDS:
        wrap(stripe_cards, name)


def lived(act: Callable[[], Any]) -> Any:
    """What it returned; None where it was killed or Stripe was away."""
    try:
        return act()
    except (Killed, StripeGatewayError, card_payments.CardUnavailable):
        return None


def clicked(order: Order, by: User) -> str:
    """The page that somebody comes to who clicks until there is one."""
    while not (url := lived(partial(card_payments.pay_by_card, order, by=by))):
        pass
    return str(url)


@pytest.mark.usefixtures("deadly")
@pytest.mark.timeout(1800)
@pytest.mark.soak
def test_every_charge_is_one_payment(
    stripe: StripeDesk, ordered: Callable[..., Order], alice: User, sam: User, settings: Any, rng: Dice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Customers click, pay, cancel and pay by the bank as well, while calls fail and workers are killed."""
    settings.FRAUDRECORD_API_KEY = ""
    count, faults = kills(10, 500), 0
    for _ in range(count):
        order = ordered()
        screening.check_order(order.pk)
        fresh(order).approve("", by=sam)
        for on in ON:
            if rng.random() < 0.4:
                faults += 1
                stripe.fail(on, rng.choice(FAULTS))
        url = clicked(order, alice)
        what = rng.choice(("pays", "cancels", "pays by the bank", "leaves"))
        if what == "cancels":
            fresh(order).cancel(by=alice)
        if what == "pays by the bank":
            pay(fresh(order), rng.choice(("59.00", "20.00")), by=sam)
        if what != "leaves":
            stripe.pay(url)
        lived(partial(card_payments.learn_payment, order))
        for event in stripe.events()[-2:]:
            facts = stripe_gateway.EventFacts(event["id"], event["type"], event["data"]["object"]["id"])
            stripe_events.keep_event(facts)
    for _ in range(5):
        lived(catch_up)
    stripe.server.faults.waiting.clear()
    monkeypatch.undo()
    catch_up()
    by_card = sum(payment.kept_minor for payment in Payment.objects.filter(method="card"))
    assert stripe.kept_minor == by_card
    assert stripe.charges == Payment.objects.filter(method="card").count()
    assert not CardRefund.objects.filter(sent_at=None).exists()
    assert Notice.objects.filter(kind="order.sent_back").count() == CardRefund.objects.count()
    for order in Order.objects.with_facts():
        assert (order.status, order.paid_minor) in {("active", 5900), ("cancelled", 0), ("unpaid", 0)}
    assert StripeEvent.objects.filter(outcome="").count() == 0
    kept = set(CardOnFile.objects.filter(removed_at=None).values_list("method", flat=True))
    assert {each["id"] for each in stripe.books.all("payment_method") if each["customer"]} == kept
    assert len(stripe.books.all("customer")) == StripeCustomer.objects.count() == count
    report("payments by card under faults", rng, payments=count, faults=faults, charges=stripe.charges)


class Attempts:
    """A caller of `card_charges` that keeps its rules: another attempt only where Stripe has nothing of the last."""

    def __init__(self, card: CardOnFile, ours: str) -> None:
        self.card, self.ours, self.count, self.begun_at = card, ours, 0, timezone.now()

    def charge(self) -> ChargeFacts | None:
        """What came of it; None where that is not known yet."""
        try:
            facts = card_charges.charge(
                self.card, key=f"{self.ours}-{self.count}", ours=self.ours, begun_at=self.begun_at, amount_minor=5900,
                currency="USD", description="Renewal",
            )  # fmt: skip
        except StripeGatewayError as error:
            if error.spent:
                return self._begin_anew()
            return None
        except Killed:
            return None
        return facts

    def _begin_anew(self) -> ChargeFacts | None:
        try:
            found = card_charges.find_charge(self.card, ours=self.ours, begun_at=self.begun_at)
        except (Killed, StripeGatewayError):
            return None
        if found is None:
            self.count, self.begun_at = self.count + 1, timezone.now()
        return found


@pytest.mark.usefixtures("deadly", "quiet_broker")
@pytest.mark.timeout(1800)
@pytest.mark.soak
def test_every_charge_of_a_kept_card_is_known(
    stripe: StripeDesk, acme: Customer, alice: User, rng: Dice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards are added, charged and removed, while calls fail and workers are killed; one attempt takes money once."""
    count, faults, paid, declined = kills(12, 500), 0, 0, 0
    for number in range(count):
        for on in ON_ABOUT_CARDS:
            if rng.random() < 0.3:
                faults += 1
                stripe.fail(on, rng.choice(FAULTS))
        while not (url := lived(partial(card_setups.add_card, acme, by=alice))):
            lived(catch_up)  # no page is opened for a customer who is still to be deleted
        stripe.pay(str(url), rng.choice(GOOD))
        while not (card := kept_cards.default_card(acme)):
            lived(catch_up)
        attempts, removes = Attempts(card, f"renewal-{number}"), rng.random() < 0.3
        facts = attempts.charge()
        if removes:
            card.remove(by=alice)
            lived(catch_up)
        for _ in range(50):
            if facts:
                break
            CardOnFile.objects.exclude(removed_at=None).update(
                removed_at=timezone.now() - timedelta(minutes=3)
            )
            facts = attempts.charge()
        assert facts
        assert facts.state is ChargeState.PAID or (removes and facts.reason == declines.GONE)
        paid += facts.state is ChargeState.PAID
        declined += facts.state is ChargeState.DECLINED
        if rng.random() < 0.1:
            StripeCustomer.objects.get().leave()
            lived(catch_up)
    assert stripe.charges == paid
    for _ in range(5):
        lived(catch_up)
    stripe.server.faults.waiting.clear()
    monkeypatch.undo()
    catch_up()
    kept = set(CardOnFile.objects.filter(removed_at=None).values_list("method", flat=True))
    assert {each["id"] for each in stripe.books.all("payment_method") if each["customer"]} == kept
    assert {each["id"] for each in stripe.books.all("customer")} == set(
        StripeCustomer.objects.exclude(stripe_id="").values_list("stripe_id", flat=True)
    )
    report("charges of kept cards under faults", rng, charges=paid, declined=declined, faults=faults)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
class TestAtOnce:
    """Many people and workers at the same moment, each with a database connection of its own."""

    @pytest.fixture(autouse=True)
    def no_broker(self, quiet_broker: None) -> None:
        pass

    def test_fifty_clicks_are_one_page(self, stripe: StripeDesk, unpaid: Order, alice: User) -> None:
        urls = at_once(*[lambda: card_payments.pay_by_card(unpaid, by=alice)] * AT_ONCE)
        assert len(set(urls)) == 1
        assert len(stripe.sessions()) == Checkout.objects.count() == 1

    def test_fifty_who_hear_of_it_are_one_payment(
        self, stripe: StripeDesk, unpaid: Order, alice: User
    ) -> None:
        stripe.pay(card_payments.pay_by_card(unpaid, by=alice))
        [session] = stripe.sessions()
        at_once(*[lambda: card_payments.look_at_session(session["id"])] * AT_ONCE)
        assert fresh(unpaid).status == "active"
        assert (stripe.charges, Payment.objects.count(), Subscription.objects.count()) == (1, 1, 1)
        assert Notice.objects.filter(kind="order.active").count() == 1

    def test_one_cancels_while_others_pay(self, stripe: StripeDesk, unpaid: Order, alice: User) -> None:
        stripe.pay(card_payments.pay_by_card(unpaid, by=alice))

        def cancel() -> object:
            try:
                return fresh(unpaid).cancel(by=alice)
            except Exception as conflict:  # it was active before
                return conflict

        [session] = stripe.sessions()
        learn = [lambda: card_payments.look_at_session(session["id"])] * 5
        at_once(cancel, *learn)
        catch_up()
        order = fresh(unpaid)
        assert (order.status, stripe.kept_minor) in {("active", 5900), ("cancelled", 0)}
        assert order.paid_minor == stripe.kept_minor

    def test_a_refund_that_many_workers_send_is_one(
        self, stripe: StripeDesk, unpaid: Order, alice: User
    ) -> None:
        url = card_payments.pay_by_card(unpaid, by=alice)
        fresh(unpaid).cancel(by=alice)
        stripe.pay(url)
        card_payments.learn_payment(unpaid)
        refund = str(CardRefund.objects.get().pk)
        at_once(*[lambda: card_refunds.send_card_refund(refund)] * 10)
        assert len(stripe.books.all("refund")) == 1
        assert (stripe.kept_minor, Notice.objects.filter(kind="order.sent_back").count()) == (0, 1)
