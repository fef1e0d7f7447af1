"""The facts that staff can hand in when a payment is disputed: what we know of the order and of its use. Nothing of mail."""

from datetime import datetime
from typing import NamedTuple

from django.utils import timezone

from accounts.audit_words import deed
from accounts.models import AuditEntry, Customer
from billing.models import Dispute, Invoice, Order, StorageUsage, Subscription

ACTS = 20  # of members, the newest
MB = 1024 * 1024


class Evidence(NamedTuple):
    """One part of it: `facts` are names with values, both as text."""

    title: str
    facts: list[tuple[str, str]]


def evidence_for(dispute: Dispute) -> list[Evidence]:
    """In the order in which Stripe's form asks for it; parts of which nothing is known are left out."""
    payment = dispute.payment
    sale = payment.sale
    order = sale if isinstance(sale, Order) else sale.subscription.order
    found = [
        Evidence("Customer", _person(order)),
        Evidence("Order and accepted terms", _order(order)),
        Evidence("Payment", [
            ("Paid", f"{_at(payment.at)}, by {payment.card or 'card'}, {payment.reference}"),
            ("For", f"{sale.title}, {sale.called}"),
            *_invoice(sale.invoice),
        ]),
        Evidence("Use of the service", _use(sale.customer)),
        Evidence("What members did in the panel", _acts(sale.customer)),
    ]  # fmt: skip
    return [part for part in found if part.facts]


def _person(order: Order) -> list[tuple[str, str]]:
    address = ", ".join(filter(None, [order.street, order.postcode, order.city, order.region, order.country]))
    facts = [("Name", order.name), ("Company", order.company), ("E-mail", order.email)]
    facts += [("Phone", order.phone), ("Address", address)]
    return [(name, value) for name, value in facts if value]


def _order(order: Order) -> list[tuple[str, str]]:
    facts = [
        ("Order", f"{order.number}, {order.title}, {order.total}"),
        ("Placed", _at(order.placed_at) + (f", from {order.client_address}" if order.client_address else "")),
        ("Terms accepted", _at(order.terms_accepted_at)),
    ]
    return facts


def _invoice(invoice: Invoice | None) -> list[tuple[str, str]]:
    if invoice is None:
        return []
    return [("Invoice", f"{invoice.number}, issued on {_at(invoice.issued_at)}")]


def _use(customer: Customer) -> list[tuple[str, str]]:
    facts = [
        (
            "Service",
            f"{each.plan.name}, since {_at(each.started_at)}"
            + (f", until {_at(each.ended_at)}" if each.ended_at else ", still running"),
        )
        for each in Subscription.objects.filter(customer=customer).select_related("plan")[:ACTS]
    ]
    if usage := StorageUsage.objects.filter(customer=customer).first():
        facts.append(("Mail stored", f"{usage.bytes_used // MB} MB on {_at(usage.at)}"))
    return facts


def _acts(customer: Customer) -> list[tuple[str, str]]:
    """When somebody of the customer did something, and from which address; not to what."""
    acts = AuditEntry.objects.filter(customer=customer, by__isnull=False, by_staff=False)
    return [
        (_at(each.at), f"{deed(each).rstrip(':')} …" + (f", from {each.address}" if each.address else ""))
        for each in acts.order_by("-at")[:ACTS]
    ]


def _at(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M %Z}"
