"""Stripe: with `billing.stripe_cards` the one place that knows how it is spoken to. It takes cards' money and sends it
back; the clock and the books are ours.

Sources: Stripe's API reference (https://docs.stripe.com/api) at the version that the pinned library speaks, its pages on
idempotent requests, on webhook signatures and on currencies. Amounts are whole minor units throughout.

A POST carries a key by which Stripe knows it again for a day: the same key brings the same reply, also that of a failure
(`spent`), so whoever asks again after one looks first and takes another key.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

import stripe
from django.conf import settings
from django.utils import timezone
from stripe.checkout import Session

from billing.stripe_amounts import from_stripe, to_stripe
from billing.stripe_calls import StripeGatewayError, id_of, named, spoken
from billing.stripe_cards import CONSENT, CardFacts, card_facts
from billing.stripe_http import client

EVENT_AGE = timedelta(minutes=5)  # of a signature, into the past and into the future
_ID = re.compile(r"[A-Za-z0-9_]{1,100}")
_KIND = re.compile(r"[a-z0-9_.]{1,100}")


class ForgedEvent(Exception):
    """What came to the webhook was not signed by Stripe, or not now."""


class SessionState(Enum):
    OPEN = "open"
    PAID = "paid"
    EXPIRED = "expired"


@dataclass(frozen=True)
class CheckoutFacts:
    """A Checkout Session as it is at Stripe. `ours` is what we called it; `intent` and `card` of one that was paid; `url`
    of one that is open.
    """

    session: str
    state: SessionState
    ours: str
    amount_minor: int
    currency: str
    url: str
    expires_at: datetime
    intent: str
    card: CardFacts | None


@dataclass(frozen=True)
class RefundFacts:
    """A refund as it is at Stripe. `ours` is what we called it, empty of one that was made by hand; `failed`: the money
    came back to us; `done`: as far as Stripe knows it has arrived.
    """

    refund: str
    ours: str
    intent: str
    amount_minor: int
    failed: bool
    done: bool


@dataclass(frozen=True)
class DisputeFacts:
    """The owner of a card told their bank that a payment was not theirs. `reason` and `status` are Stripe's words; `taken`:
    the money is away from us, and did not come back; `due_at`: until when it can be answered.
    """

    dispute: str
    intent: str
    amount_minor: int
    currency: str
    reason: str
    status: str
    taken: bool
    due_at: datetime | None
    opened_at: datetime


@dataclass(frozen=True)
class EventFacts:
    """What an event is about. What else it says may be out of date, so nobody reads it."""

    event: str
    kind: str
    about: str


def open_checkout(
    *, key: str, ours: str, number: str, title: str, amount_minor: int, currency: str, customer: str, return_url: str
) -> CheckoutFacts:  # fmt: skip
    """A new page at Stripe where an order is paid by card, or the one that was made under this key. The card is kept for
    `customer` (Stripe's id). `return_url` is where the browser goes afterwards, whether somebody paid or not.
    """
    price = to_stripe(amount_minor, currency)
    with spoken():
        session = client().v1.checkout.sessions.create(
            {
                "mode": "payment",
                "allowed_payment_method_types": ["card"],
                "line_items": [{"quantity": 1, "price_data": {
                    "currency": currency.lower(), "unit_amount": price, "product_data": {"name": title},
                }}],
                "client_reference_id": number,
                "customer": customer,
                "metadata": {"checkout": ours},
                "payment_intent_data": {
                    "description": f"Order {number}",
                    "metadata": {"checkout": ours},
                    "setup_future_usage": "off_session",
                },
                "custom_text": {"submit": {"message": CONSENT}},
                "success_url": return_url,
                "cancel_url": return_url,
            },
            {"idempotency_key": key},
        )  # fmt: skip
        return _checkout_facts(session)


def look_at_checkout(session: str) -> CheckoutFacts:
    """How it stands at Stripe now."""
    with spoken():
        return _checkout_facts(client().v1.checkout.sessions.retrieve(session, {"expand": _CARD}))


def expire_checkout(session: str) -> CheckoutFacts:
    """Let nobody pay there any more; how it stands now, for it may have been paid before that."""
    try:
        with spoken():
            client().v1.checkout.sessions.expire(session)
    except StripeGatewayError as error:
        if error.retry:
            raise
    return look_at_checkout(session)


def send_refund(*, key: str, ours: str, intent: str, amount_minor: int, currency: str) -> RefundFacts:
    """Send money of a payment back to its card, or learn what came of it under this key."""
    with spoken():
        refund = client().v1.refunds.create(
            {
                "payment_intent": intent,
                "amount": to_stripe(amount_minor, currency),
                "metadata": {"refund": ours},
            },
            {"idempotency_key": key},
        )
        return _refund_facts(refund)


def list_refunds(*, intent: str) -> list[RefundFacts]:
    """All that Stripe has of this payment, whoever made them."""
    with spoken():
        refunds = client().v1.refunds.list({"payment_intent": intent, "limit": 100})
        return [_refund_facts(refund) for refund in refunds.auto_paging_iter()]


def find_refund(*, intent: str, ours: str) -> RefundFacts | None:
    """The refund of this payment that we called so, if Stripe has it."""
    return next((refund for refund in list_refunds(intent=intent) if refund.ours == ours), None)


def look_at_refund(refund: str) -> RefundFacts:
    with spoken():
        return _refund_facts(client().v1.refunds.retrieve(refund))


def look_at_dispute(dispute: str) -> DisputeFacts:
    with spoken():
        found = client().v1.disputes.retrieve(dispute)
        currency = found.currency.upper()
        amount = from_stripe(found.amount, currency)
        due_by = found.evidence_details.due_by
        return DisputeFacts(
            dispute=found.id,
            intent=id_of(found.payment_intent),
            amount_minor=amount,
            currency=currency,
            reason=found.reason[:100],
            status=found.status[:50],
            taken=len(found.balance_transactions) == 1,  # the second one brings it back
            due_at=datetime.fromtimestamp(due_by, UTC) if due_by else None,
            opened_at=datetime.fromtimestamp(found.created, UTC),
        )


def read_event(body: bytes, signature: str) -> EventFacts:
    """The event that came to the webhook; ForgedEvent unless Stripe signed it just now."""
    try:
        text = body.decode()
        stripe.WebhookSignature.verify_header(text, signature, settings.STRIPE_WEBHOOK_SECRET)
        # One time alone: of two the library checks the first.
        [signed_at] = [int(part[2:]) for part in signature.split(",") if part.startswith("t=")]
        event = json.loads(text)
        facts = EventFacts(event["id"], event["type"], event["data"]["object"].get("id") or "")
    except (stripe.SignatureVerificationError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ForgedEvent("It is not signed by Stripe, or is no event.") from error
    if abs(timezone.now().timestamp() - signed_at) > EVENT_AGE.total_seconds():
        raise ForgedEvent("It was signed too long ago, or in the future.")
    if not (
        _is(_ID, facts.event) and _is(_KIND, facts.kind) and (facts.about == "" or _is(_ID, facts.about))
    ):
        raise ForgedEvent("It is no event.")
    return facts


_CARD = ["payment_intent.payment_method"]


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))


def _checkout_facts(session: Session) -> CheckoutFacts:
    intent = session.payment_intent
    state = SessionState.EXPIRED
    if session.status == "complete" and session.payment_status == "paid":
        state = SessionState.PAID
    elif session.status == "open" or (session.status == "complete" and session.payment_status == "unpaid"):
        state = SessionState.OPEN  # one that is complete has a payment that is still under way
    currency = (session.currency or "").upper()
    return CheckoutFacts(
        session=session.id,
        state=state,
        ours=named(session.metadata, "checkout"),
        amount_minor=from_stripe(session.amount_total or 0, currency),
        currency=currency,
        url=session.url or "",
        expires_at=datetime.fromtimestamp(session.expires_at, UTC),
        intent=id_of(intent),
        card=_card_of(intent),
    )


def _card_of(intent: "str | stripe.PaymentIntent | None") -> CardFacts | None:
    method = intent.payment_method if isinstance(intent, stripe.PaymentIntent) else None
    return card_facts(method) if isinstance(method, stripe.PaymentMethod) else None


def _refund_facts(refund: stripe.Refund) -> RefundFacts:
    return RefundFacts(
        refund=refund.id,
        ours=named(refund.metadata, "refund"),
        intent=id_of(refund.payment_intent),
        amount_minor=from_stripe(refund.amount, refund.currency.upper()),
        failed=refund.status in ("failed", "canceled"),
        done=refund.status == "succeeded",
    )
