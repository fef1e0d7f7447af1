"""Paying an order by card: a page at Stripe, and learning what came of it.

Whoever hears first that somebody paid (the page to which the browser comes back, the webhook, the sweep) asks Stripe how
the page stands and makes that true here, under the lock of the order; whoever comes later finds it done. So nothing
depends on what arrives, how often and in which order.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing.models import Checkout, Order, OrderConflict, OrderStatus
from billing.stripe_amounts import takes
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from billing.stripe_gateway import CheckoutFacts

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)  # the deadlines of the calls of one look, and room
LONGEST_WAIT = timedelta(hours=1)
LONGEST_GAP = timedelta(minutes=5)  # between looks at an open page
UNANSWERED = timedelta(
    days=1
)  # after which a page of which Stripe never told us is given up: its key is forgotten
KEY_HOLDS = timedelta(hours=23)  # Stripe knows a key for 24: asked after that, it would make a second page
BETWEEN = timedelta(seconds=2)  # two looks for people
PATIENCE = 5.0  # seconds for another click's call that is under way
PAUSE = 0.2
NOT_BY_CARD = "This cannot be paid by card; pay in another way. Nothing was charged."


class CardUnavailable(Exception):
    """Stripe cannot be asked now. The text is for the person who wants to pay, `status` for their browser."""

    status = 503


class CardRefused(CardUnavailable):
    """Stripe will not do it, however often it is asked."""

    status = 409


def is_on() -> bool:
    """Whether this installation has a key of Stripe; without one staff record payments."""
    return bool(settings.STRIPE_SECRET_KEY)


def may_pay(order: Order) -> bool:
    """Whether the order has a button for cards: something is due, and Stripe takes such an amount."""
    return is_on() and order.due_minor > 0 and takes(order.due_minor, order.currency)


def pay_by_card(order: Order, *, by: User) -> str:
    """The address of the page at Stripe where what is due is paid: the one that is open, or a new one.

    OrderConflict where nothing is due, CardUnavailable where Stripe does not answer, CardRefused where it never will.
    """
    if not is_on():
        raise OrderConflict("Orders cannot be paid by card here. Nothing was changed.")
    with _told_to_people():
        ends_at = time.monotonic() + PATIENCE
        while True:
            checkout = _open_for(order, by=by)
            if url := _page_of(checkout) if checkout.session else _ask_for_page(checkout):
                return url
            if time.monotonic() > ends_at:
                raise CardUnavailable("Stripe is busy with this payment. Try again in a minute.")
            if not checkout.session:
                time.sleep(PAUSE)


def learn_payment(order: Order) -> None:
    """Ask Stripe about the order's open page, now. CardUnavailable where it does not answer, or was asked just now."""
    with _told_to_people():
        for checkout in order.checkouts.filter(ended_at=None).exclude(session=""):
            if not _may_look(checkout):
                soon = timezone.now() + BETWEEN
                order.checkouts.filter(pk=checkout.pk, next_look_at__gt=soon).update(next_look_at=soon)
                raise CardUnavailable("Stripe was asked a moment ago. Try again in a minute.")
            look_at(checkout)


def look_at_checkout(checkout_id: str) -> bool:
    """The same in the background, where it is due: false when it is not, or when somebody else is at it."""
    from billing.stripe_gateway import StripeGatewayError

    now = timezone.now()
    lease = now + LEASE
    due = Checkout.objects.filter(pk=checkout_id, ended_at=None, next_look_at__lte=now)
    if not is_on() or not due.update(next_look_at=lease, looks=F("looks") + 1):
        return False
    checkout = Checkout.objects.get(pk=checkout_id)
    try:
        if checkout.session:
            look_at(checkout)
        elif checkout.at < now - UNANSWERED:
            _end(checkout, "")
    except StripeGatewayError as error:
        logger.warning("Checkout %s could not be looked at: %s", checkout.pk, error)
    gap = min(timedelta(minutes=2 ** min(checkout.looks - 1, 6)), LONGEST_GAP)
    # Not where somebody has asked for a look meanwhile.
    ours = Checkout.objects.filter(pk=checkout.pk, ended_at=None, next_look_at=lease)
    ours.update(next_look_at=timezone.now() + gap)
    return True


def look_at_session(session: str) -> bool:
    """What Stripe told of a page by its own id; false where the page is none of ours."""
    from billing import stripe_gateway as gateway

    checkout = Checkout.objects.filter(session=session).first()
    if checkout is None:
        # The reply that named it may still be under way, or be lost.
        facts = gateway.look_at_checkout(session)
        checkout = _named(facts.ours)
        if checkout is None:
            return False
        Checkout.objects.filter(pk=checkout.pk, session="").update(session=facts.session, url=facts.url)
        checkout = _as_of(checkout, facts)
    look_at(checkout)
    return True


def look_at(checkout: Checkout) -> bool:
    """Make true here how the page stands at Stripe; where nobody is to pay there any more, end it there. Returns whether
    somebody can still pay there. StripeGatewayError.
    """
    from billing import stripe_gateway as gateway

    try:
        facts = gateway.look_at_checkout(checkout.session)
    except gateway.StripeGatewayError as error:
        if error.code != gateway.GONE:
            raise
        logger.error("Stripe has no page %s any more. Is its key that of another account?", checkout.session)
        _end(checkout, checkout.session)
        return False
    if facts.state is gateway.SessionState.OPEN and not _is_wanted(checkout):
        facts = gateway.expire_checkout(checkout.session)
    if facts.state is gateway.SessionState.PAID:
        checkout.order.receive_card_payment(
            intent=facts.intent, card=facts.card, amount_minor=facts.amount_minor, currency=facts.currency
        )
    if facts.state is gateway.SessionState.OPEN:
        return True
    _end(checkout, checkout.session)
    return False


def due_checkouts(limit: int = 200) -> list[str]:
    """Those that the sweep has to look at."""
    due = Checkout.objects.filter(ended_at=None, next_look_at__lte=timezone.now()).order_by("next_look_at")
    return [str(pk) for pk in due.values_list("pk", flat=True)[:limit]] if is_on() else []


def _may_look(checkout: Checkout) -> bool:
    """Whether Stripe may be asked for a person: not again at once, whoever reloads a page."""
    now = timezone.now()
    free = Q(looked_at=None) | Q(looked_at__lte=now - BETWEEN)
    return bool(Checkout.objects.filter(free, pk=checkout.pk).update(looked_at=now))


def _open_for(order: Order, *, by: User) -> Checkout:
    """The open page of the order, or the row of a new one. OrderConflict where nothing is due."""
    with unit_of_work():
        order = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if order.status != OrderStatus.UNPAID:
            raise OrderConflict(f"No payment is due: this order is {order.status}. Nothing was charged.")
        if order.due_minor <= 0:
            raise OrderConflict("No payment is due: the whole sum is in. Nothing was charged.")
        if not takes(order.due_minor, order.currency):
            raise OrderConflict(NOT_BY_CARD)
        wanted = {"amount_minor": order.due_minor, "currency": order.currency}
        checkout = order.checkouts.filter(ended_at=None).first()
        # One that has a page is looked at before it is ended, for it may have been paid.
        if checkout and (checkout.session or all(getattr(checkout, name) == wanted[name] for name in wanted)):
            return checkout
        if checkout:
            _end(checkout, "")
        soon = timezone.now() + timedelta(minutes=1)
        asks = order.checkouts.filter(asks_email=True).exists()
        return Checkout.objects.create(order=order, by=by, next_look_at=soon, asks_email=asks, **wanted)


def _page_of(checkout: Checkout) -> str:
    """Where it is paid; empty where it was paid a moment ago, is over, or wants a sum that is not due any more."""
    asked_just_now = _is_wanted(checkout) and not _may_look(checkout)
    return checkout.url if asked_just_now or look_at(checkout) else ""


def _ask_for_page(checkout: Checkout) -> str:
    """Have the page made, under a key of its own, so that two who ask get the same; empty while another's call is under
    way. StripeGatewayError.
    """
    from billing import stripe_gateway as gateway

    order = checkout.order
    if checkout.at < timezone.now() - KEY_HOLDS:
        _end(checkout, "")
        return ""
    try:
        facts = gateway.open_checkout(
            key=f"checkout-{checkout.pk}",
            ours=str(checkout.pk),
            number=order.number,
            title=f"{order.plan.name}, {order.get_period_display().lower()}",
            amount_minor=checkout.amount_minor,
            currency=checkout.currency,
            email="" if checkout.asks_email else order.email,
            return_url=settings.PANEL_URL + reverse("billing:order-paid", args=[order.number]),
        )
    except gateway.StripeGatewayError as error:
        if error.code == gateway.KEY_IN_USE:
            return ""
        if error.spent and not _end(checkout, ""):  # no reply under this key will be another one
            return ""  # a twin has the page, or has ended this row: look again
        if error.code == gateway.EMAIL_INVALID and not checkout.asks_email:
            Checkout.objects.filter(pk=checkout.pk).update(asks_email=True)  # and so will the next row
            return ""
        raise
    kept = Checkout.objects.filter(pk=checkout.pk, session="", ended_at=None)
    kept.update(session=facts.session, url=facts.url)
    if Checkout.objects.filter(pk=checkout.pk, session=facts.session, ended_at=None).exists():
        return facts.url
    look_at(_as_of(checkout, facts))  # a twin has ended this row: nobody is to pay there
    return ""


def _as_of(checkout: Checkout, facts: "CheckoutFacts") -> Checkout:
    """The row as if it had this session; what it has may be another one."""
    checkout.session, checkout.url = facts.session, facts.url
    return checkout


def _named(ours: str) -> Checkout | None:
    """The page that we called so."""
    try:
        return Checkout.objects.filter(pk=UUID(ours)).first()
    except ValueError:
        return None


def _is_wanted(checkout: Checkout) -> bool:
    """Whether the row has this page, and the order what it asks for."""
    if not Checkout.objects.filter(pk=checkout.pk, session=checkout.session, ended_at=None).exists():
        return False
    order = Order.objects.with_facts().get(pk=checkout.order_id)
    return order.due_minor == checkout.amount_minor and order.currency == checkout.currency


def _end(checkout: Checkout, session: str) -> bool:
    """End it if it still has the session (empty: none) that was seen; another may have got it another one meanwhile."""
    seen = Checkout.objects.filter(pk=checkout.pk, session=session, ended_at=None)
    return bool(seen.update(ended_at=timezone.now(), next_look_at=None))


@contextmanager
def _told_to_people() -> Iterator[None]:
    """Around calls for somebody who waits."""
    from billing.stripe_gateway import StripeGatewayError

    try:
        yield
    except StripeGatewayError as error:
        if not error.retry:
            logger.error("A payment by card is refused: %s", error)
            raise CardRefused(NOT_BY_CARD) from error
        logger.warning("A payment by card waits: %s", error)
        text = "Stripe, which takes cards for us, does not answer. Nothing was lost; try again in a minute."
        raise CardUnavailable(text) from error
