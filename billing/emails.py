"""The mails about orders and invoices: who gets them, and what their templates are given."""

import logging
from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.access import Permission, may
from accounts.models import Customer, User
from accounts.notices import notice_kind
from billing import card_payments
from billing.invoice_pdf import invoice_pdf
from billing.kept_cards import default_card
from billing.models import (
    BillingDetails,
    CardOnFile,
    CardRefund,
    Invoice,
    Order,
    OrderMessage,
    Payment,
    QuestionLink,
    Refund,
    Sale,
    VatState,
)
from billing.models.billing_details import details_of
from billing.money import format_money

logger = logging.getLogger(__name__)

STAFF = 50  # people who are told of what concerns staff, at most


@notice_kind("order.received", template="billing/emails/order_received")
def order_received(order_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about(Order.objects.with_facts().get(pk=order_id))


@notice_kind("order.question", template="billing/emails/order_question")
def order_question(message_id: str) -> tuple[list[str], dict[str, Any]]:
    message = OrderMessage.objects.select_related("link").get(pk=message_id)
    recipients, context = _about(Order.objects.with_facts().get(pk=message.order_id))
    link: QuestionLink | None = getattr(message, "link", None)
    answer_url = link.url if link else context["order_url"]
    return recipients, context | {"question": message.text, "link": link, "answer_url": answer_url}


@notice_kind("order.approved", template="billing/emails/order_approved")
def order_approved(order_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about(Order.objects.with_facts().get(pk=order_id))


@notice_kind("order.rejected", template="billing/emails/order_rejected")
def order_rejected(order_id: str) -> tuple[list[str], dict[str, Any]]:
    order = Order.objects.with_facts().get(pk=order_id)
    recipients, context = _about(order)
    return recipients, context | {"reason": order.decision.text}


@notice_kind("order.cancelled", template="billing/emails/order_cancelled")
def order_cancelled(order_id: str) -> tuple[list[str], dict[str, Any]]:
    recipients, context = _about(Order.objects.with_facts().get(pk=order_id))
    return recipients, context | {"place_url": settings.PANEL_URL + reverse("billing:order-place")}


@notice_kind("order.active", template="billing/emails/order_active")
def order_active(order_id: str) -> tuple[list[str], dict[str, Any]]:
    order = Order.objects.with_facts().get(pk=order_id)
    recipients, context = _about(order)
    return recipients, context | {"customer_url": settings.PANEL_URL + order.customer.get_absolute_url()}


@notice_kind("order.sent_back", template="billing/emails/order_sent_back")
def order_sent_back(refund_id: str) -> tuple[list[str], dict[str, Any]]:
    refund, sale = _refund_and_sale(refund_id)
    paid = format_money(refund.payment.amount_minor, refund.payment.currency)
    context = {"refund": refund, "paid": paid, "sale": sale}
    return addresses(sale.customer), context | {"sale_url": settings.PANEL_URL + sale.get_absolute_url()}


@notice_kind("refund.given", template="billing/emails/refund_given")
def refund_given(refund_id: str) -> tuple[list[str], dict[str, Any]]:
    refund = Refund.objects.get(pk=refund_id)
    sale = refund.sale
    context = {"refund": refund, "sale": sale, "sale_url": settings.PANEL_URL + sale.get_absolute_url()}
    return addresses(sale.customer), context


@notice_kind("invoice.issued", template="billing/emails/invoice_issued")
def invoice_issued(invoice_id: str) -> tuple[list[str], dict[str, Any]]:
    """An invoice or a credit note, which goes along as PDF."""
    invoice, context = with_document(invoice_id)
    return addresses(invoice.customer), context


@notice_kind("invoice.copied", template="billing/emails/invoice_copied")
def invoice_copied(invoice_id: str) -> tuple[list[str], dict[str, Any]]:
    """The same for those whom the customer named, who may not see the panel."""
    invoice, context = with_document(invoice_id)
    known = addresses(invoice.customer)
    return [each for each in details_of(invoice.customer).recipients if each not in known], context


def with_document(invoice_id: str) -> tuple[Invoice, dict[str, Any]]:
    invoice = Invoice.objects.select_related("customer", "corrects", "order", "renewal").get(pk=invoice_id)
    context = {
        "invoice": invoice,
        "invoice_url": settings.PANEL_URL + invoice.get_absolute_url(),
        "attachments": [(f"{invoice.number}.pdf", invoice_pdf(invoice.said), "application/pdf")],
    }
    return invoice, context


@notice_kind("billing.vat_id_invalid", template="billing/emails/vat_id_invalid")
def vat_id_invalid(details_id: str) -> tuple[list[str], dict[str, Any]]:
    details = BillingDetails.objects.select_related("customer").filter(pk=details_id).first()
    if details is None or details.vat_state != VatState.INVALID:
        return [], {}
    path = reverse("billing:details-change", args=[details.customer.username])
    context = {"details": details, "details_url": settings.PANEL_URL + path, "tax_is_on": settings.TAX}
    return addresses(details.customer), context


@notice_kind("refund.failed", template="billing/emails/card_alarm")
def refund_failed(refund_id: str) -> tuple[list[str], dict[str, Any]]:
    refund, sale = _refund_and_sale(refund_id)
    owed = sale.refund_owed if isinstance(sale, Order) else refund.amount
    if not owed:
        return [], {}
    words = f"{refund.amount} of the {sale.called} could not go back to the card: {refund.problem}"
    todo = f"{owed} are owed now. Send them in another way, and record that."
    return for_staff(sale, f"{refund.amount} could not go back to a card", words, todo)


@notice_kind("refund.found", template="billing/emails/card_alarm")
def refund_found(refund_id: str) -> tuple[list[str], dict[str, Any]]:
    refund, sale = _refund_and_sale(refund_id)
    words = f"Somebody sent back {refund.amount} of the {sale.called} at Stripe ({refund.refund}), not here."
    todo = "It is noted. If nobody of you did, change the keys and passwords at Stripe."
    return for_staff(sale, f"{refund.amount} were sent back at Stripe", words, todo)


@notice_kind("payment.disputed", template="billing/emails/card_alarm")
def payment_disputed(payment_id: str) -> tuple[list[str], dict[str, Any]]:
    payment = Payment.objects.get(pk=payment_id)
    sale, amount = payment.sale, format_money(payment.amount_minor, payment.currency)
    words = f"The payment of {amount} for the {sale.called} ({payment.reference}) is disputed, or that has changed."
    if not (dispute := payment.disputes.order_by("-changed_at").first()):
        return [], {}
    words += f" {dispute.status_words}."
    todo = "The case with the facts to answer with is in the panel."
    if dispute.is_answerable:
        todo += " Answer in Stripe's dashboard; unanswered, the money is lost."
    recipients, context = for_staff(sale, f"A payment of {amount} is disputed", words, todo)
    path = reverse("billing:dispute-show", args=[dispute.dispute])
    return recipients, context | {"sale_url": settings.PANEL_URL + path, "what": "case"}


@notice_kind("card.expiring", template="billing/emails/card_expiring")
def card_expiring(card_id: str) -> tuple[list[str], dict[str, Any]]:
    card = CardOnFile.objects.select_related("customer").get(pk=card_id)
    if not card.is_default or card.state != "expiring":  # changed, removed or replaced meanwhile
        return [], {}
    return _about_card(card)


@notice_kind("card.gone", template="billing/emails/card_gone")
def card_gone(card_id: str) -> tuple[list[str], dict[str, Any]]:
    card = CardOnFile.objects.select_related("customer").get(pk=card_id)
    recipients, context = _about_card(card)
    return recipients, context | {"heir": default_card(card.customer)}


def _about_card(card: CardOnFile) -> tuple[list[str], dict[str, Any]]:
    url = settings.PANEL_URL + reverse("billing:card-list", args=[card.customer.username])
    return addresses(card.customer), {"card": card, "customer": card.customer, "cards_url": url}


def _refund_and_sale(refund_id: str) -> tuple[CardRefund, Sale]:
    refund = CardRefund.objects.select_related("payment", "ordered").get(pk=refund_id)
    return refund, refund.payment.sale


def for_staff(
    sale: Sale, title: str, words: str, todo: str, *, record: str = "refund"
) -> tuple[list[str], dict[str, Any]]:
    """To all who may record refunds, or payments."""
    people = User.objects.filter(is_active=True, is_staff=True).order_by("pk")[:STAFF]
    recipients = [person.email for person in people if person.has_perm(f"billing.add_{record}")]
    if not recipients:
        logger.error("Nobody is told about money: no active member of staff may record %ss.", record)
    what = "order" if isinstance(sale, Order) else "renewal"
    context = {"title": title, "words": words, "todo": todo, "what": what, "record": record}
    return recipients, context | {"sale_url": _staff_url(sale)}


def _staff_url(sale: Sale) -> str:
    """Where staff see it."""
    if isinstance(sale, Order):
        return settings.PANEL_URL + reverse("billing:review-show", args=[sale.number])
    return settings.PANEL_URL + reverse("billing:renewal-show", args=[sale.label])


def _about(order: Order) -> tuple[list[str], dict[str, Any]]:
    context = {
        "order": order,
        "order_url": settings.PANEL_URL + order.get_absolute_url(),
        "takes_cards": card_payments.may_pay(order),
        "payment_instructions": settings.PAYMENT_INSTRUCTIONS,
    }
    return addresses(order.customer), context


def addresses(customer: Customer) -> list[str]:
    """Everybody who may deal with the customer's orders."""
    members = customer.memberships.select_related("user").filter(user__is_active=True).order_by("created_at")
    return [member.user.email for member in members if may(member.role, Permission.ORDERS_EDIT)]
