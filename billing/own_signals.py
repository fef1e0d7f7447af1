"""Signals of our own about an order, beside FraudRecord: each is one line for staff, and none refuses anything."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import disposable_email_domains
import maxminddb
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import CustomerSuspension, SuspensionCause
from billing import known_domains
from billing.models import Decision, Order, OrderSignal, OrderTrait, SignalKind
from billing.reserved_names import reserved_reason
from billing.traits import payment_trait, traits_of

logger = logging.getLogger(__name__)

FASTEST = timedelta(
    seconds=5
)  # no person fills the form in so fast, even where the browser fills in the address


def find_signals(order: Order) -> list[OrderSignal]:
    """What is noticed about `order`, not saved yet; at most one of each kind."""
    found = [
        *_matches(order),
        *_mail(order),
        *_names(order),
        *_domain(order),
        *_country(order),
        *_speed(order),
    ]
    return [_signal(order, kind, text) for kind, text in found]


def keep_signals(order: Order, signals: list[OrderSignal]) -> None:
    """Keep them with the order; one of a kind that is known already stays as it was."""
    OrderSignal.objects.bulk_create(signals, ignore_conflicts=True)
    order.__dict__.pop("is_signalled", None)  # it was read before


def keep_traits(order: Order) -> None:
    """Remember by what later orders are compared with this one."""
    OrderTrait.objects.bulk_create(
        OrderTrait(order=order, kind=kind, key=key) for kind, key in traits_of(order)
    )


def note_payment(order: Order, reference: str) -> None:
    """Remember a payment's reference, and note whether a rejected or suspended customer paid under the same."""
    for kind, key in payment_trait(reference):
        if line := _match(order, SignalKind(kind), key):
            keep_signals(order, [_signal(order, SignalKind(kind), line)])
        OrderTrait.objects.get_or_create(order=order, kind=kind, key=key)


def _signal(order: Order, kind: SignalKind, text: str) -> OrderSignal:
    return OrderSignal(order=order, kind=kind, text=text[:300])


def _matches(order: Order) -> Iterator[tuple[SignalKind, str]]:
    for trait in order.traits.all():
        kind = SignalKind(trait.kind)
        if line := _match(order, kind, trait.key):
            yield kind, line


def _match(order: Order, kind: SignalKind, key: str) -> str:
    """The line about earlier orders with this trait that came to no good; empty without one."""
    found = list(_unwelcome(kind, key).exclude(pk=order.pk)[:2])
    if not found:
        return ""
    earlier, more = found[0], " There are more such orders." if len(found) > 1 else ""
    decision = getattr(earlier, "decision", None)
    what = "which was rejected" if decision and decision.decision == Decision.REJECT else "who is suspended"
    label = {SignalKind.PAYMENT: "payment reference", SignalKind.PHONE: "phone number"}.get(
        kind, kind.label.lower()
    )
    return f"Same {label} as order {earlier.number} of {earlier.customer.username}, {what}.{more}"


def _unwelcome(kind: SignalKind, key: str) -> QuerySet[Order]:
    """Orders with this trait that were rejected, or whose customer staff suspended; the newest first. Who owes us money
    is no fraud for that.
    """
    in_force = CustomerSuspension.objects.in_force().filter(customer=OuterRef("customer"))
    suspended = in_force.filter(cause=SuspensionCause.STAFF)
    orders = Order.objects.filter(traits__kind=kind, traits__key=key).select_related("customer", "decision")
    return orders.filter(Q(decision__decision=Decision.REJECT) | Exists(suspended)).order_by("-placed_at")


def _mail(order: Order) -> Iterator[tuple[SignalKind, str]]:
    labels = order.email.rpartition("@")[2].lower().split(".")
    names = {".".join(labels[n:]) for n in range(len(labels) - 1)}
    if names & disposable_email_domains.blocklist and not names & disposable_email_domains.allowlist:
        yield SignalKind.DISPOSABLE, f"{order.email} is at a host of disposable mail."


def _names(order: Order) -> Iterator[tuple[SignalKind, str]]:
    names = [name for name in (order.customer.username, order.name, order.company) if name]
    if reason := reserved_reason(names, order.domain):
        yield SignalKind.RESERVED, reason


def _domain(order: Order) -> Iterator[tuple[SignalKind, str]]:
    if not order.domain:
        return
    holder = known_domains.holder_of(order.domain)
    others = Order.objects.filter(domain=order.domain, cancellation=None).exclude(customer=order.customer)
    if holder and holder != order.customer.username:
        yield SignalKind.DOMAIN, f"{order.domain} is hosted here, for {holder}."
    elif other := others.first():
        yield SignalKind.DOMAIN, f"{order.domain} was named in order {other.number} too."


def _country(order: Order) -> Iterator[tuple[SignalKind, str]]:
    country = country_of(order.client_address or "")
    if country and country != order.country:
        yield (
            SignalKind.COUNTRY,
            f"The network address is in {country}, the postal address in {order.country}.",
        )


def country_of(address: str) -> str:
    """ISO 3166 code by the operator's own file in MaxMind's format; empty without one, or where it does not say."""
    if not settings.GEOIP_FILE or not address:
        return ""
    try:
        with maxminddb.open_database(settings.GEOIP_FILE) as reader:
            record = reader.get(address)
        return str(record["country"]["iso_code"]) if record else ""  # type: ignore[call-overload,index]
    except (OSError, ValueError, KeyError, TypeError, maxminddb.InvalidDatabaseError) as error:
        logger.warning("GEOIP_FILE tells no country: %s", type(error).__name__)
        return ""


def _speed(order: Order) -> Iterator[tuple[SignalKind, str]]:
    if order.began_at and (taken := order.placed_at - order.began_at) < FASTEST:
        yield SignalKind.SPEED, f"The form was filled in within {max(taken.total_seconds(), 0):.1f} seconds."
