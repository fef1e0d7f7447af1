"""What a customer reads about renewals, on pages and in mails alike: what the next one costs and who pays it, how an open
one stands, and what comes next of it. Nothing here changes a row or asks Stripe.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Prefetch, Subquery, prefetch_related_objects
from django.utils import timezone

from accounts.models import Customer, Stop
from billing import crediting
from billing.dunning import Outlook, outlook
from billing.entitlements import Storage, storage_of
from billing.hosted_pages import is_on
from billing.invoice_document import in_words
from billing.kept_cards import default_card, default_card_of, know_default_card
from billing.models import (
    BillingDetails,
    CardOnFile,
    ChargeState,
    DunningKind,
    Invoice,
    Order,
    PlanChange,
    PlanVersion,
    Renewal,
    RenewalCharge,
    Subscription,
    SubscriptionCancellation,
)
from billing.models.billing_details import details_from, details_of
from billing.money import format_money
from billing.renewing import announced_days
from billing.stripe_amounts import takes
from billing.tax import TaxedPrice, split
from billing.taxing import decide

ATTEMPTS = 20  # shown, newest first
DEFERRED = (
    "Mail for your mailboxes is deferred meanwhile: the servers of its senders keep it and try again, most of them for "
    "about five days."
)
NOTHING_DELETED = "Nothing is deleted."


@dataclass(frozen=True)
class RunningService:
    """`details`: the billing details of its customer, None where they have to be looked for."""

    subscription: Subscription
    details: BillingDetails | None
    storage: Storage | None
    has_open_renewal: bool
    is_cancelled: bool
    change: PlanChange | None = None

    @property
    def next_version(self) -> PlanVersion:
        """By which the next period is sold."""
        return self.change.version if self.change else self.subscription.version

    @property
    def next_period(self) -> str:
        """How long it is."""
        return (self.change and self.change.period) or self.subscription.period


@dataclass(frozen=True)
class NextRenewal:
    """`total` is in words, with the tax of today, and `full` the price without tax that a coupon makes cheaper, empty where
    none does; `invoice_on`: when its invoice comes; `card`: the one that is charged on the day, None where they pay by hand.
    """

    on: date
    total: str
    full: str
    taxed: TaxedPrice | None
    invoice_on: date
    card: CardOnFile | None


@dataclass(frozen=True)
class RenewalStanding:
    """Of a renewal that is to be paid: `stopped` says what does not work now, `coming` what comes next, each a list of
    sentences.
    """

    invoice: Invoice
    stopped: list[str]
    coming: list[str]
    card: CardOnFile | None
    takes_cards: bool

    @property
    def is_not_for_cards(self) -> bool:
        """Whether there is no button for cards though others have one: it is too little, say."""
        return is_on() and not self.takes_cards

    @property
    def payment_instructions(self) -> str:
        return str(settings.PAYMENT_INSTRUCTIONS)


class CreditOutlook(NamedTuple):
    """`words`: a sentence, where credit pays something; `left` is what is to be paid besides, in words."""

    words: list[str]
    left: str
    pays_all: bool


def running_service(customer: Customer) -> RunningService | None:
    """What runs for the customer, in one query; the customer knows the default card from then on."""
    orders = Order.objects.filter(customer=OuterRef("customer")).order_by("-placed_at")
    running = Subscription.objects.filter(customer=customer, ended_at=None).annotate(
        storage_facts=storage_of("customer"),
        card_facts=default_card_of("customer"),
        newest_order=Subquery(orders.values("pk")[:1]),
        has_open_renewal=Exists(Renewal.objects.filter(subscription=OuterRef("pk"), settled_at=None)),
        is_cancelled=Exists(
            SubscriptionCancellation.objects.filter(subscription=OuterRef("pk"), withdrawn_at=None)
        ),
        has_change=Exists(PlanChange.objects.filter(subscription=OuterRef("pk"), ended_at=None)),
    )
    found = running.select_related(
        "plan", "version", "order", "coupon_use", "customer__billing_details"
    ).first()
    if found is None:
        return None
    details = getattr(found.customer, "billing_details", None)
    if details is None and found.newest_order == found.order_id:
        details = details_from(customer, found.order)
    found.customer = customer
    know_default_card(customer, found.card_facts)
    change = found.planned_change if found.has_change else None
    if change:
        change.subscription = found
    return RunningService(
        found, details, Storage.of(found.storage_facts), found.has_open_renewal, found.is_cancelled, change
    )


def next_renewal(service: RunningService) -> NextRenewal:
    """The one that is not made yet."""
    subscription = service.subscription
    on = subscription.renews_on
    price = subscription.price_of(subscription.periods, service.next_version, service.next_period)
    total, taxed = _total(service, price["amount_minor"])
    off = price["discount_minor"]
    full = format_money(price["amount_minor"] + off, subscription.currency) if off else ""
    ahead = timedelta(days=announced_days(service.next_period))
    invoice_on = max(on - ahead, timezone.localdate())
    card = default_card(subscription.customer) if is_on() else None
    return NextRenewal(on, total, full, taxed, invoice_on, card)


def open_invoice(service: RunningService, known: Iterable[Invoice]) -> Invoice | None:
    """The invoice of its renewal that is to be paid; `known` are the newest, with their renewals, where it mostly is."""
    if not service.has_open_renewal:
        return None
    found = next(
        (each for each in known if each.renewal and each.renewal.is_open and not each.corrects_id), None
    )
    if found is None:
        invoices = service.subscription.customer.invoices.with_standing()
        invoices = invoices.select_related("renewal__plan", "renewal__former__plan")
        last = invoices.filter(corrects=None, renewal__settled_at=None, renewal__isnull=False)
        found = last.order_by("-edition").first()
    if found and found.renewal:
        found.customer = service.subscription.customer
        found.renewal.subscription = service.subscription
    return found


def standing_of(invoice: Invoice) -> RenewalStanding | None:
    """How the renewal of this invoice stands; None where nothing is to be paid for it."""
    renewal = invoice.renewal
    if renewal is None or invoice.corrects_id or not renewal.is_open or invoice.open_minor <= 0:
        return None
    with_history(renewal)
    by_card = is_on() and takes(invoice.open_minor, invoice.currency)
    next_ = outlook(renewal, by_card=by_card)
    by_credit = credit_outlook(invoice)
    coming = by_credit.words + ([] if by_credit.pays_all else what_comes(renewal, next_))
    return RenewalStanding(invoice, stopped_now(renewal), coming, next_.card, by_card)


def attempts_of(renewal: Renewal) -> list[str]:
    """What came of each charge of a card, newest first."""
    with_history(renewal)
    return [attempt_words(charge) for charge in reversed(renewal.charges.all())][:ATTEMPTS]


def with_history(renewal: Renewal) -> None:
    """Fetch its charges and steps at once."""
    charges = Prefetch("charges", RenewalCharge.objects.select_related("card"))
    prefetch_related_objects([renewal], charges, "steps")


def attempt_words(charge: RenewalCharge) -> str:
    """ "Visa 4242, declined on 15 March 2028: There is not enough money on the card." """
    if charge.ended_at is None:
        return f"{charge.card}, being charged since {_day_of(charge.at)}: the bank has not answered yet."
    if charge.state == ChargeState.PAID:
        return f"{charge.card}, charged on {_day_of(charge.ended_at)}: paid."
    return f"{charge.card}, declined on {_day_of(charge.ended_at)}: {charge.reason or 'no reason was given.'}"


def stopped_now(renewal: Renewal) -> list[str]:
    """What does not work now because it is not paid."""
    restriction = renewal.customer.restriction
    stops = restriction.stops if restriction else []
    since = {step.kind: _day_of(step.at) for step in renewal.steps.all()}
    words = []
    if Stop.SEND in stops and DunningKind.SENDING_STOPPED in since:
        words.append(f"Sending is stopped since {since[DunningKind.SENDING_STOPPED]}, for all mailboxes.")
    if Stop.RECEIVE in stops and DunningKind.RECEIVING_STOPPED in since:
        words.append(f"Receiving is stopped since {since[DunningKind.RECEIVING_STOPPED]}. {DEFERRED}")
    return [*words, f"It goes on the moment the money is in. {NOTHING_DELETED}"] if words else []


def credit_outlook(invoice: Invoice) -> CreditOutlook:
    """What the customer's credit pays of this renewal's invoice on the day; of one that lapses all or nothing."""
    renewal, pays = invoice.renewal, 0
    if renewal and invoice.held_minor > 0:
        held = crediting.available(invoice.customer, invoice.currency)
        pays = crediting.share(held, invoice.open_minor, invoice.currency)
    if renewal and renewal.may_lapse and pays < invoice.open_minor:
        pays = 0
    left = format_money(invoice.open_minor - pays, invoice.currency)
    if renewal is None or pays <= 0:
        return CreditOutlook([], left, pays_all=False)
    amount, day = format_money(pays, renewal.currency), when(renewal.due_day)
    if pays == invoice.open_minor:
        words = f"{amount} that we hold for you pay it {day}. You need not do anything."
        return CreditOutlook([words], left, pays_all=True)
    words = f"{amount} that we hold for you pay a part of it {day}."
    return CreditOutlook([words], left, pays_all=False)


def what_comes(renewal: Renewal, next_: Outlook) -> list[str]:
    """A sentence each, soonest first."""
    tried = bool(renewal.charges.all())
    words = _card_words(renewal, next_)
    if renewal.may_lapse:
        day = in_words(renewal.pay_by)
        return [*words, f"If it is not paid by the end of {day}, it is taken back, and nothing else changes."]
    if renewal.is_late and (tried or not next_.card):
        words += [_STOPS[kind].format(when(day)) for kind, day in next_.days.items() if kind in _STOPS]
    if next_.step == DunningKind.HANDED_OVER and next_.step_on:
        words.append(f"Our staff look at it {when(next_.step_on)} and write to you. {NOTHING_DELETED}")
    elif next_.step is None:
        words.append(f"Our staff have it and write to you. {NOTHING_DELETED}")
    return words


def when(day: date) -> str:
    """ "on 25 March 2028 (in 3 days)"; for a day that has come "today"."""
    left = (day - timezone.localdate()).days
    if left <= 0:
        return "today"
    return f"on {in_words(day)} ({'tomorrow' if left == 1 else f'in {left} days'})"


_STOPS = {
    DunningKind.SENDING_STOPPED: "If it is not paid by then, sending stops {}, for all mailboxes; receiving goes on.",
    DunningKind.RECEIVING_STOPPED: "If it is not paid by then, receiving stops {} as well.",
}


def _card_words(renewal: Renewal, next_: Outlook) -> list[str]:
    charges = list(renewal.charges.all())
    if charges and charges[-1].ended_at is None:
        return [f"{charges[-1].card} is being charged; the bank has not answered yet."]
    if next_.card is None:
        return []
    if next_.charge_on is None:
        return [f"{next_.card} is not tried again by itself: pay it yourself, or choose another card."]
    if any(charge.card_id == next_.card.pk for charge in charges):
        return [f"We try {next_.card} again {when(next_.charge_on)}."]
    return [f"{next_.card} is charged {when(next_.charge_on)}."]


def _total(service: RunningService, net_minor: int) -> tuple[str, TaxedPrice | None]:
    subscription = service.subscription
    price = format_money(net_minor, subscription.currency)
    if not settings.TAX:
        return price, None
    try:
        decision = decide((service.details or details_of(subscription.customer)).buyer)
    except ValidationError:  # logged there; staff enter what is missing
        return f"{price} and tax", None
    amounts = split(net_minor, decision.rate)
    taxed = TaxedPrice(amounts, subscription.currency, decision)
    return taxed.total, taxed


def _day_of(moment: datetime) -> str:
    return in_words(timezone.localdate(moment))
