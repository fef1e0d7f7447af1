"""The mails about an order: who gets them, and what their templates are given."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.access import Permission, may
from accounts.models import Customer
from accounts.notices import notice_kind
from billing import card_payments
from billing.models import CardRefund, Order, OrderMessage, QuestionLink
from billing.money import format_money


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
    refund = CardRefund.objects.select_related("payment").get(pk=refund_id)
    recipients, context = _about(Order.objects.with_facts().get(pk=refund.payment.order_id))
    paid = format_money(refund.payment.amount_minor, refund.payment.currency)
    return recipients, context | {"refund": refund, "paid": paid}


def _about(order: Order) -> tuple[list[str], dict[str, Any]]:
    context = {
        "order": order,
        "order_url": settings.PANEL_URL + order.get_absolute_url(),
        "takes_cards": card_payments.is_on(),
        "payment_instructions": settings.PAYMENT_INSTRUCTIONS,
    }
    return _addresses(order.customer), context


def _addresses(customer: Customer) -> list[str]:
    """Everybody who may deal with the customer's orders."""
    members = customer.memberships.select_related("user").filter(user__is_active=True).order_by("created_at")
    return [member.user.email for member in members if may(member.role, Permission.ORDERS_EDIT)]
