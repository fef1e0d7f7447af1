"""The mails about renewals: before and after one is charged, when it is not paid, and when something stops for that."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.notices import notice_kind
from billing import card_payments, dunning
from billing.emails import addresses, with_document
from billing.models import DunningKind, DunningStep, Renewal, RenewalCharge, Subscription


@notice_kind("renewal.coming", template="billing/emails/renewal_coming")
def renewal_coming(invoice_id: str) -> tuple[list[str], dict[str, Any]]:
    """Its invoice, and what will be charged on which day; by then it may have been paid."""
    invoice, context = with_document(invoice_id)
    if invoice.renewal is None:
        return [], {}
    recipients, about = _about(invoice.renewal)
    return recipients, context | about


@notice_kind("renewal.paid", template="billing/emails/renewal_paid")
def renewal_paid(renewal_id: str) -> tuple[list[str], dict[str, Any]]:
    renewal = _find(renewal_id)
    recipients, context = _about(renewal)
    lifted = renewal.steps.filter(kind=DunningKind.SENDING_STOPPED).exists()
    payment = renewal.payments.order_by("-at").first()
    return recipients, context | {"payment": payment, "goes_on": lifted}


@notice_kind("renewal.declined", template="billing/emails/renewal_declined")
def renewal_declined(charge_id: str) -> tuple[list[str], dict[str, Any]]:
    charge = RenewalCharge.objects.select_related("card").get(pk=charge_id)
    renewal = _find(str(charge.renewal_id))
    if not renewal.is_open:
        return [], {}
    recipients, context = _about(renewal)
    return recipients, context | {"charge": charge}


@notice_kind("renewal.overdue", template="billing/emails/renewal_overdue")
def renewal_overdue(step_id: str) -> tuple[list[str], dict[str, Any]]:
    """What was done, or is announced, because it is not paid."""
    step = DunningStep.objects.get(pk=step_id)
    renewal = _find(str(step.renewal_id))
    if not renewal.is_open:
        return [], {}
    recipients, context = _about(renewal)
    return recipients, context | {"step": step}


@notice_kind("subscription.cancelled", template="billing/emails/subscription_cancelled")
def subscription_cancelled(subscription_id: str) -> tuple[list[str], dict[str, Any]]:
    subscription = Subscription.objects.select_related("customer", "plan").get(pk=subscription_id)
    if subscription.ended_at or not subscription.cancellation:
        return [], {}
    return _about_subscription(subscription)


@notice_kind("subscription.ended", template="billing/emails/subscription_ended")
def subscription_ended(subscription_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about_subscription(
        Subscription.objects.select_related("customer", "plan").get(pk=subscription_id)
    )


def _about_subscription(subscription: Subscription) -> tuple[list[str], dict[str, Any]]:
    customer = subscription.customer
    billing_url = settings.PANEL_URL + reverse("billing:billing-show", args=[customer.username])
    context = {"subscription": subscription, "customer": customer, "billing_url": billing_url}
    return addresses(customer), context


def _find(renewal_id: str) -> Renewal:
    return Renewal.objects.select_related("subscription__customer", "subscription__order", "plan").get(
        pk=renewal_id
    )


def _about(renewal: Renewal) -> tuple[list[str], dict[str, Any]]:
    """`outlook` is what comes next; `card` the one that is charged, None where there is none."""
    customer, next_ = renewal.customer, dunning.outlook(renewal)
    invoice_path = reverse("billing:invoice-show", args=[customer.username, renewal.label])
    context = {
        "renewal": renewal,
        "customer": customer,
        "outlook": next_,
        "card": next_.card,
        "invoice_url": settings.PANEL_URL + invoice_path,
        "cards_url": settings.PANEL_URL + reverse("billing:card-list", args=[customer.username]),
        "takes_cards": card_payments.may_pay(renewal),
        "payment_instructions": settings.PAYMENT_INSTRUCTIONS,
    }
    return addresses(customer), context
