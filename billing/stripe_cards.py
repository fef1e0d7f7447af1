"""Stripe's part in cards that are kept: customers, pages where a card is saved, the cards, charges without their owner.

Sources: https://docs.stripe.com/payments/save-and-reuse, https://docs.stripe.com/payments/save-during-payment, the API
reference. Errors and rules about keys are those of `billing.stripe_calls`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from itertools import islice

import stripe
from stripe.checkout import Session

from billing import declines
from billing.stripe_amounts import from_stripe, to_stripe
from billing.stripe_calls import GONE, StripeGatewayError, id_of, named, spoken
from billing.stripe_http import client

CONSENT = "Your card is kept for renewals of this service. You can take it off at any time."
MOST_READ = 1000  # of a list that is searched
_METHOD = ["setup_intent.payment_method"]
_BRANDS = {"amex": "American Express", "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay"}


class SetupState(Enum):
    OPEN = "open"
    SAVED = "saved"
    EXPIRED = "expired"


@dataclass(frozen=True)
class CardFacts:
    """A card as it is at Stripe. `method` is Stripe's id of it, `customer` that of its customer, empty once it is taken
    off; `fingerprint` is the same for the same card however often it is saved.
    """

    method: str
    customer: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.brand} {self.last4}"[:40]


@dataclass(frozen=True)
class SetupFacts:
    """A page where a card is saved. `ours` is what we called it, `url` of one that is open, `card` of one that is done."""

    session: str
    state: SetupState
    ours: str
    url: str
    card: CardFacts | None


class ChargeState(Enum):
    PAID = "paid"
    DECLINED = "declined"
    NEEDS_OWNER = "needs owner"  # the bank wants to ask them (3-D Secure)
    UNDER_WAY = "under way"


@dataclass(frozen=True)
class ChargeFacts:
    """A charge as it is at Stripe. `ours` is what we called it; `intent` Stripe's id, empty where it was not begun.

    `reason` says in a sentence why it was not paid; `final`: the same card will not do it later either.
    """

    intent: str
    state: ChargeState
    ours: str
    amount_minor: int
    currency: str
    reason: str = ""
    final: bool = False


def make_customer(*, key: str, ours: str, description: str, email: str) -> str:
    """A new customer at Stripe, or the one that was made under this key; returns Stripe's id."""
    with spoken():
        made = client().v1.customers.create(
            {
                "description": description,
                "metadata": {"customer": ours},
                **({"email": email} if email else {}),
            },
            {"idempotency_key": key},
        )
        return made.id


def find_customer(*, ours: str, since: datetime, until: datetime, email: str) -> str:
    """Stripe's id of the customer that we called so, made in this time, with this address if one is given; empty if there
    is none among the last thousand of these.
    """
    with spoken():
        made = client().v1.customers.list(
            {
                "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
                "limit": 100,
                **({"email": email} if email else {}),
            }
        )
        last = islice(made.auto_paging_iter(), MOST_READ)
        return next((each.id for each in last if named(each.metadata, "customer") == ours), "")


def is_deleted(customer: str) -> bool:
    """Whether it was there and somebody deleted it, which Stripe remembers. GONE: it never was in this account."""
    with spoken():
        return bool(getattr(client().v1.customers.retrieve(customer), "deleted", False))


def delete_customer(customer: str) -> None:
    """Have Stripe delete the customer with their cards and address for good; a second time nothing changes. Payments stay,
    and can be sent back. GONE: it never was in this account.
    """
    try:
        with spoken():
            client().v1.customers.delete(customer)
    except StripeGatewayError as error:
        if error.code != GONE or not is_deleted(customer):
            raise


def open_setup(*, key: str, ours: str, customer: str, return_url: str) -> SetupFacts:
    """A new page at Stripe where a card is saved for `customer`, or the one that was made under this key."""
    with spoken():
        session = client().v1.checkout.sessions.create(
            {
                "mode": "setup",
                "allowed_payment_method_types": ["card"],
                "customer": customer,
                "metadata": {"setup": ours},
                "setup_intent_data": {"metadata": {"setup": ours}},
                "custom_text": {"submit": {"message": CONSENT}},
                "success_url": return_url,
                "cancel_url": return_url,
            },
            {"idempotency_key": key},
        )
        return _setup_facts(session)


def look_at_setup(session: str) -> SetupFacts:
    with spoken():
        return _setup_facts(client().v1.checkout.sessions.retrieve(session, {"expand": _METHOD}))


def expire_setup(session: str) -> SetupFacts:
    """Let nobody save a card there any more; how it stands now, for one may have been saved before that."""
    try:
        with spoken():
            client().v1.checkout.sessions.expire(session)
    except StripeGatewayError as error:
        if error.retry:
            raise
    return look_at_setup(session)


def purpose_of(session: str) -> str:
    """What a page is for, by what we called it: `checkout` or `setup`; empty where it is none of ours."""
    with spoken():
        found = client().v1.checkout.sessions.retrieve(session)
        return next((name for name in ("checkout", "setup") if named(found.metadata, name)), "")


def look_at_setup_intent(intent: str) -> str:
    """What we called the page on which this was done; empty where it was none of ours."""
    with spoken():
        return named(client().v1.setup_intents.retrieve(intent).metadata, "setup")


def look_at_card(method: str) -> CardFacts | None:
    """How it stands at Stripe, also once it was taken off; None where that is no card. GONE: another account's."""
    with spoken():
        return card_facts(client().v1.payment_methods.retrieve(method))


def take_off_card(method: str) -> None:
    """Have Stripe forget it for good. A second time it is refused."""
    with spoken():
        client().v1.payment_methods.detach(method)


def charge_card(
    *, key: str, ours: str, customer: str, method: str, amount_minor: int, currency: str, description: str
) -> ChargeFacts:
    """Charge a kept card while its owner is not there, or learn what came of it under this key."""
    with spoken():
        try:
            intent = client().v1.payment_intents.create(
                {
                    "amount": to_stripe(amount_minor, currency),
                    "currency": currency.lower(),
                    "customer": customer,
                    "payment_method": method,
                    "allowed_payment_method_types": ["card"],
                    "off_session": True,
                    "confirm": True,
                    "description": description,
                    "metadata": {"charge": ours},
                },
                {"idempotency_key": key},
            )
        except stripe.CardError as error:
            if not (error.error and error.error.payment_intent):
                raise
            intent = error.error.payment_intent
        return _charge_facts(intent)


def look_at_charge(intent: str) -> ChargeFacts:
    with spoken():
        return _charge_facts(client().v1.payment_intents.retrieve(intent))


def end_charge(intent: str) -> ChargeFacts:
    """Let it never be paid any more; how it stands now, for it may have been paid before that."""
    try:
        with spoken():
            client().v1.payment_intents.cancel(intent)
    except StripeGatewayError as error:
        if error.retry:
            raise
    return look_at_charge(intent)


def find_charges(*, customer: str, ours: str, since: datetime) -> list[ChargeFacts]:
    """Those of this customer that we called so, begun since then; newest first."""
    with spoken():
        begun = client().v1.payment_intents.list(
            {"customer": customer, "created": {"gte": int(since.timestamp())}, "limit": 100}
        )
        return [
            _charge_facts(each) for each in begun.auto_paging_iter() if named(each.metadata, "charge") == ours
        ]


def card_facts(method: stripe.PaymentMethod) -> CardFacts | None:
    """None of a payment method that is no card."""
    card = method.card
    if card is None:
        return None
    brand = _BRANDS.get(card.brand, card.brand.replace("_", " ").capitalize())[:30]
    return CardFacts(
        method.id, id_of(method.customer), brand, card.last4, card.exp_month, card.exp_year, card.fingerprint or ""
    )  # fmt: skip


def _setup_facts(session: Session) -> SetupFacts:
    states = {"open": SetupState.OPEN, "complete": SetupState.SAVED}
    intent = session.setup_intent
    method = intent.payment_method if isinstance(intent, stripe.SetupIntent) else None
    return SetupFacts(
        session=session.id,
        state=states.get(session.status or "", SetupState.EXPIRED),
        ours=named(session.metadata, "setup"),
        url=session.url or "",
        card=card_facts(method) if isinstance(method, stripe.PaymentMethod) else None,
    )


def _charge_facts(intent: stripe.PaymentIntent) -> ChargeFacts:
    currency = intent.currency.upper()
    state, reason, word = ChargeState.UNDER_WAY, "", ""
    amount = intent.amount
    if intent.status == "succeeded":
        state, amount = ChargeState.PAID, intent.amount_received
    elif intent.status == "canceled":
        state, reason = ChargeState.DECLINED, declines.ENDED
    elif intent.status in ("requires_payment_method", "requires_action"):
        error = intent.last_payment_error
        word = (
            getattr(error, "decline_code", "") or getattr(error, "code", "") or ""
        )  # Stripe leaves out what is empty
        waits = intent.status == "requires_action" or word in declines.AUTHENTICATION
        state = ChargeState.NEEDS_OWNER if waits else ChargeState.DECLINED
        reason = declines.reason_of("authentication_required" if waits else word)
    return ChargeFacts(
        intent=intent.id,
        state=state,
        ours=named(intent.metadata, "charge"),
        amount_minor=from_stripe(amount, currency),
        currency=currency,
        reason=reason,
        final=word in declines.FINAL,
    )
