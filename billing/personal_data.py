"""What billing holds about a person: the orders they placed and what they wrote about them."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts import audit, privacy
from accounts.models import Customer, Role, User
from accounts.models.customer import owned_alone
from billing.models import (
    ERASED_EMAIL,
    BillingDetails,
    CardOnFile,
    CreditGrant,
    Dispute,
    FraudReport,
    FreeMonths,
    Invoice,
    MessageKind,
    Order,
    OrderDraft,
    OrderMessage,
    OrderStatus,
    Payment,
    PlanChange,
    Refund,
    Renewal,
    ReviewDecision,
    StripeCustomer,
    Subscription,
)
from billing.models.billing_details import ADDRESS
from billing.models.of_sale import of_customer
from billing.personal_copy import order_copy, renewal_copy

_DETAILS = (
    "customer__username", *ADDRESS, "vat_id", "vat_is_valid", "vat_checked_at", "vat_consultation", "vat_last_invalid",
    "reference", "recipients", "changed_at",
)  # fmt: skip
_CREDIT = ("amount_minor", "currency", "reason", "at", "taken_back_minor", "taken_back_at")
_FOR_THE_BOOKS = "They say what was paid and owed and why, so they stay"
NAMED = 10  # orders, by their numbers

_COUPON = (
    "code", "customer__username", "at", "percent", "amount_minor", "currency", "periods", "first_period", "given_back_at",
)  # fmt: skip
_DISPUTE = (
    "payment__order__number", "payment__renewal__subscription__customer__username", "dispute", "amount_minor", "currency",
    "reason", "status", "opened_at", "due_at", "closed_at",
)  # fmt: skip
_CHANGE = (
    "subscription__customer__username",
    "version__plan__slug",
    "period",
    "at",
    "ended_at",
    "outcome",
    "why",
)
_CARD = (
    "customer__username",
    "brand",
    "last4",
    "exp_month",
    "exp_year",
    "is_default",
    "added_at",
    "removed_at",
)


def export(user: User) -> dict[str, Any]:
    """Orders placed by `user` with their address, verdict and payments, messages from and to them, a draft, the cards that
    they added, the coupons that they used, the plans that they changed to, and of the services that they own what renewed
    them, was given for them, and was disputed.
    """
    placed = user.orders.with_facts().prefetch_related(
        "fraud_reports__withdrawal", "refunds", "signals", "coupon_use"
    )
    orders: Iterator[Order] = placed.order_by("placed_at").iterator(chunk_size=200)
    put_to_them = Q(order__placed_by=user) & (Q(by=None) | Q(kind=MessageKind.QUESTION))
    messages = OrderMessage.objects.filter(Q(by=user) | put_to_them).order_by("at")
    draft = OrderDraft.objects.filter(user=user).first()
    invoices = _invoices(user).order_by("issued_at")
    renewals = (
        _owned_renewals(user)
        .prefetch_related("charges__card", "payments", "refunds", "steps", "coupon_use")
        .order_by("made_at")
    )
    return {
        "draft": draft and {**draft.fields, "saved_at": draft.saved_at.isoformat()},
        "orders": (order_copy(order) for order in orders),
        "renewals": (renewal_copy(renewal) for renewal in renewals.iterator(chunk_size=200)),
        "invoices": invoices.values_list("document", flat=True).iterator(),
        "credits": _owned_credits(user).values("customer__username", *_CREDIT).iterator(),
        "free_months": FreeMonths.objects.filter(subscription__customer__in=_owned(user))
        .order_by("at")
        .values("subscription__customer__username", "months", "from_on", "reason", "at", "withdrawn_at")
        .iterator(),
        "disputes": _disputes(user).values(*_DISPUTE).iterator(),
        "plan_changes": _plan_changes(user).values(*_CHANGE).iterator(),
        "messages": messages.values("order__number", "kind", "text", "at").iterator(),
        "billing_details": list(_owned_details(user).values(*_DETAILS)[:1000]),
        "gets_invoices_of": [each.customer.username for each in _sent_to(user)[:1000]],
        "coupons": user.coupon_uses.order_by("at").values(*_COUPON).iterator(),
        "cards": CardOnFile.objects.filter(added_by=user).order_by("added_at").values(*_CARD).iterator(),
    }


def keeps(user: User) -> list[str]:
    words = []
    kept = [order.number for order in user.orders.with_facts() if _is_kept(order)]
    if kept:
        named = ", ".join(kept[:NAMED]) + (" and others" if len(kept) > NAMED else "")
        words.append(f"Paid orders ({named}) with their address and payments: {_kept_for_tax()}")
    invoices = _invoices(user).filter(erased_at=None).order_by("issued_at")
    if numbers := list(invoices.values_list("number", flat=True)):
        named = ", ".join(numbers[:NAMED]) + (" and others" if len(numbers) > NAMED else "")
        said = f"Invoices and credit notes ({named}) as they were issued, with your name and address"
        words.append(f"{said}: {_kept_for_tax()}")
    if _owned_details(user).filter(customer__in=_paid_alone(user)).exists():
        words.append(f"The billing details of what was paid for: {_kept_for_tax()}")
    if books := [name for name, rows in _in_the_books(user) if rows.exists()]:
        words.append(f"In the books, with the reasons that were given: {', '.join(books)}. {_FOR_THE_BOOKS}")
    standing = FraudReport.objects.filter(order__placed_by=user, withdrawal=None).exclude(code="").count()
    if standing:
        words.append(f"{standing} reports to FraudRecord: they stand until our staff withdraw them")
    added = CardOnFile.objects.filter(added_by=user, removed_at=None)
    if added.exclude(customer__in=owned_alone(user)).exists():
        words.append(
            "Cards that you added for customers who have other owners: they stay until those remove them"
        )
    return words


def hold(user: User) -> None:
    """Lock the orders of the person, then the customers whose invoices go to them: all at once and in one order, so that
    what follows waits for none of them while it holds the series of credit notes.
    """
    list(user.orders.select_for_update(no_key=True).order_by("pk").values_list("pk"))
    theirs = Customer.objects.filter(Q(memberships__user=user) | Q(billing_details__in=_sent_to(user)))
    rows = Customer.objects.filter(pk__in=theirs.values("pk")).order_by("pk")
    list(rows.select_for_update(no_key=True).values_list("pk"))


def erase(user: User) -> None:
    """Cancel the orders that nobody paid for yet and blank them; what was paid stays for the books, and with it the billing
    details. Elsewhere the person gets no invoices any more. Customers that have no other owner are deleted at Stripe with
    their cards.
    """
    hold(user)
    for row in StripeCustomer.objects.filter(customer__in=owned_alone(user)).select_related("customer"):
        row.leave()
    for details in _sent_to(user):
        details.recipients = [each for each in details.recipients if each != user.email]
        details.save(update_fields=["recipients"])
    BillingDetails.objects.filter(customer__in=owned_alone(user)).exclude(
        customer__in=_paid_alone(user)
    ).delete()
    OrderDraft.objects.filter(user=user).delete()
    for order in user.orders.with_facts():
        if not _is_kept(order):
            if order.is_open:
                order.cancel(by=user)
            _blank(order)


def hinders(user: User) -> list[privacy.Hindrance]:
    """Orders that nobody else could see to."""
    open_ones = Order.objects.filter(customer__in=owned_alone(user)).with_facts()
    return [
        privacy.Hindrance(
            f"The order {order.number} of {order.customer.name} is open, and you are the only owner.",
            order.get_absolute_url(),
            "Cancel it",
        )
        for order in open_ones
        if order.is_open
    ]


def _kept_for_tax() -> str:
    return f"kept for {settings.INVOICE_YEARS} years, because tax law asks for them"


def _owned_details(user: User) -> QuerySet[BillingDetails]:
    """Of the customers whose owner the person is."""
    return BillingDetails.objects.filter(
        customer__memberships__user=user, customer__memberships__role=Role.OWNER
    )


def _owned_renewals(user: User) -> QuerySet[Renewal]:
    """Nobody ordered them: they are of the owners of what is renewed."""
    return Renewal.objects.filter(subscription__customer__in=_owned(user)).select_related(
        "subscription__customer", "plan"
    )


def _owned_credits(user: User) -> QuerySet[CreditGrant]:
    """What staff gave the customers whose owner the person is."""
    return CreditGrant.objects.filter(customer__in=_owned(user)).order_by("at")


def _disputes(user: User) -> QuerySet[Dispute]:
    """Of payments for the orders that the person placed, and for renewals of what they own."""
    renewed = Q(payment__renewal__subscription__customer__in=_owned(user))
    return Dispute.objects.filter(Q(payment__order__placed_by=user) | renewed).order_by("opened_at")


def _plan_changes(user: User) -> QuerySet[PlanChange]:
    """Those that the person wanted, and those of the services that they own."""
    return PlanChange.objects.filter(Q(by=user) | Q(subscription__customer__in=_owned(user))).order_by("at")


def _in_the_books(user: User) -> list[tuple[str, QuerySet[Any]]]:
    """What of theirs stays as it is, by what it is called."""
    of_theirs = Q(order__placed_by=user) | Q(renewal__subscription__customer__in=_owned(user))
    return [
        ("coupons that you used", user.coupon_uses.all()),
        ("credits", _owned_credits(user)),
        ("free months", FreeMonths.objects.filter(subscription__customer__in=_owned(user))),
        ("refunds", Refund.objects.filter(of_theirs)),
        ("disputes", _disputes(user)),
        ("changes of plan", _plan_changes(user)),
    ]


def _owned(user: User) -> QuerySet[Any, Any]:
    return user.memberships.filter(role=Role.OWNER).values("customer")


def _invoices(user: User) -> QuerySet[Invoice]:
    """Those of the orders that the person placed, and of the renewals of what they own."""
    renewals = _owned_renewals(user).order_by().values("pk")
    return Invoice.objects.filter(Q(order__placed_by=user) | Q(renewal__in=renewals))


def _sent_to(user: User) -> QuerySet[BillingDetails]:
    return BillingDetails.objects.filter(recipients__contains=[user.email]).select_related("customer")


def _paid_alone(user: User) -> QuerySet[Customer]:
    """The customers that nobody else owns and for which something was paid."""
    return owned_alone(user).filter(
        Exists(Payment.objects.filter(of_customer(OuterRef("pk"))))
        | Exists(Subscription.objects.filter(customer=OuterRef("pk")))
    )


def _is_kept(order: Order) -> bool:
    return bool(order.payments.all()) or order.status == OrderStatus.ACTIVE


def _blank(order: Order) -> None:
    fields = {
        "name": "erased",
        "company": "",
        "email": ERASED_EMAIL,
        "street": "erased",
        "city": "erased",
    }
    rest = {"region": "", "postcode": "erased", "phone": "erased", "domain": "", "client_address": None}
    Order.objects.filter(pk=order.pk).update(**fields, **rest)
    order.messages.all().update(text="erased")
    order.notes.exclude(text="").update(text="erased")
    ReviewDecision.objects.filter(order=order).exclude(text="").update(text="erased")
    order.signals.all().delete()
    order.traits.all().delete()
    type(order.fraud_check).objects.filter(order=order).update(code="", digest="", next_ask_at=None)
    # Nothing more is sent about somebody whose details are gone; what is there already can still be withdrawn.
    order.fraud_reports.exclude(next_try_at=None).update(
        next_try_at=None, problem="Not sent: the order was erased."
    )
    audit.record("order.erase", by=None, customer=order.customer, subject=order.number)


ABOUT = (
    "Your orders: the address given with each, what FraudRecord answered, what we noticed ourselves, what our staff "
    "asked you and decided, invoices, payments, and what you wrote about them. The billing details of services that you "
    "own, their renewals, changes of plan and disputes, and what our staff gave or sent back, with the reasons; whose "
    "invoices you get, the coupons that you used, and the cards that you added, as far as we know them. Notes that our "
    "staff write for each other are not in the copy."
)

ERASES = (
    "The address and your messages in orders that came to nothing; orders that are still open are cancelled. Cards of "
    "customers that you alone own, here and at Stripe, where these customers are deleted with your mail address. "
    "Coupons that you used, credits, free months, refunds, disputes and changes of plan stay in the books."
)

privacy.register("billing", privacy.Holder(ABOUT, export, ERASES, keeps, erase, hinders, hold))
