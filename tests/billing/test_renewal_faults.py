"""Replies that are lost, workers that are killed, tasks that come twice: each renewal is charged once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Notice, User
from billing import card_charges, renewal_charges, renewing, screening
from billing.models import ChargeState, Order, Payment, Renewal, RenewalCharge, Subscription
from billing.stripe_calls import StripeGatewayError
from tests.billing.conftest import fresh
from tests.billing.renewed import NEXT, begin, live, on_day, sweep_all
from tests.billing.stripe_desk import StripeDesk, save_card
from tests.faults import Dice, kills, report

FAULTS = ("lost", "unreached", "409", "429", "500", "500-after")
ON = ("POST /v1/payment_intents", "GET /v1/payment_intents")
EVE = NEXT.replace(day=NEXT.day - 1)
DECLINES = "4000000000000341"


class Killed(BaseException):
    """The process ends here; nothing after it is done."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch, rng: Dice) -> None:
    """One in six workers is killed when Stripe has answered and nothing is written yet, or when all is written."""

    def wrap(module: Any, name: str) -> None:
        call = getattr(module, name)

        def maybe(*args: Any, **kwargs: Any) -> Any:
            answer = call(*args, **kwargs)
            if rng.random() < 1 / 6:
                raise Killed
            return answer

        monkeypatch.setattr(module, name, maybe)

    for name in ("charge", "find_charge", "look_at_charge"):
        wrap(card_charges, name)
    wrap(renewing, "learn_charge")
    wrap(Renewal, "begin_charge")


def lived(act: Callable[[], Any]) -> Any:
    """What it returned; None where it was killed."""
    try:
        return act()
    except Killed:
        return None


@pytest.mark.usefixtures("deadly")
@pytest.mark.timeout(1800)
@pytest.mark.soak
def test_every_renewal_is_charged_once(
    stripe: StripeDesk, ordered: Callable[..., Order], alice: User, sam: User, settings: Any, rng: Dice,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    settings.FRAUDRECORD_API_KEY = ""
    count, faults, declined = kills(6, 500), 0, 0
    for _ in range(count):
        order = ordered()
        screening.check_order(order.pk)
        fresh(order).approve("", by=sam)
        service = begin(order, on=NEXT.replace(year=NEXT.year - 1), by=sam)
        card = save_card(stripe, service.customer, alice)
        if rng.random() < 0.2:
            stripe.change(card, number=DECLINES)
            declined += 1
        with on_day(EVE):
            renewing.work_subscription(str(service.pk))
        for on in ON:
            for _ in range(rng.randrange(4)):
                faults += 1
                stripe.fail(on, rng.choice(FAULTS))
        with on_day(NEXT):
            for _ in range(rng.randrange(1, 6)):
                Subscription.objects.filter(pk=service.pk).update(next_step_at=timezone.now())
                lived(partial(renewing.work_subscription, str(service.pk)))
        stripe.server.faults.waiting.clear()
    monkeypatch.undo()
    with on_day(NEXT):
        for pk in Subscription.objects.values_list("pk", flat=True):
            for _ in range(2):
                Subscription.objects.filter(pk=pk).update(next_step_at=timezone.now())
                renewing.work_subscription(str(pk))
    paid = RenewalCharge.objects.filter(state=ChargeState.PAID)
    assert Renewal.objects.count() == count
    assert Renewal.objects.filter(settled_at=None).count() == declined
    assert stripe.charges == paid.count() == Payment.objects.filter(method="card").count() == count - declined
    assert stripe.kept_minor == 5900 * (count - declined)
    assert not RenewalCharge.objects.filter(ended_at=None).exists()
    assert Notice.objects.filter(kind="renewal.paid").count() == count - declined
    assert Notice.objects.filter(kind="renewal.declined").count() == declined
    report("renewals under faults", rng, renewals=count, faults=faults, declined=declined)


@pytest.mark.parametrize("fault", ["lost", "500-after"])
@pytest.mark.parametrize("hours", [0.1, 30])
def test_a_reply_that_was_lost_is_looked_for(
    stripe: StripeDesk, service: Subscription, visa: Any, fault: str, hours: float
) -> None:
    """Also where it is asked for so late that Stripe has forgotten the key."""
    live(service.customer, EVE, EVE)
    with on_day(NEXT):
        stripe.fail("POST /v1/payment_intents", fault)
        renewing.work_subscription(str(service.pk))
        assert RenewalCharge.objects.get().ended_at is None
    with on_day(NEXT, 12 + hours):
        sweep_all()
        sweep_all()
    assert RenewalCharge.objects.get().state == ChargeState.PAID
    assert stripe.charges == 1


def test_stripe_away_for_days_only_delays(
    stripe: StripeDesk, service: Subscription, visa: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise StripeGatewayError("away", retry=True)

    with monkeypatch.context() as without:
        without.setattr(renewal_charges.card_charges, "charge", away)
        without.setattr(renewal_charges.card_charges, "find_charge", away)
        live(service.customer, EVE, NEXT.replace(day=NEXT.day + 12))
    renewal = Renewal.objects.get()
    assert not renewal.steps.exists()
    assert not service.customer.suspensions.exists()
    live(service.customer, NEXT.replace(day=NEXT.day + 13), NEXT.replace(day=NEXT.day + 13))
    assert Renewal.objects.get().settled_at
    assert stripe.charges == 1


def test_what_stripe_refuses_for_good_is_paid_in_another_way(
    service: Subscription, visa: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise StripeGatewayError("No such customer", retry=False, spent=True)

    monkeypatch.setattr(renewal_charges.card_charges, "charge", refuse)
    live(service.customer, EVE, NEXT.replace(day=NEXT.day + 10))
    charge = RenewalCharge.objects.get()
    assert (charge.state, charge.is_final) == (ChargeState.DECLINED, True)
    assert charge.reason == "Stripe cannot charge this card."
    assert Renewal.objects.get().steps.filter(kind="sending_stopped").exists()


def test_without_stripe_the_customer_is_asked_to_pay(service: Subscription, visa: Any, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""
    live(service.customer, EVE, NEXT)
    assert not RenewalCharge.objects.exists()
    assert Renewal.objects.get().steps.get().kind == "reminded"
