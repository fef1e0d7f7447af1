"""The mails about renewals: before and after one is charged, when it is not paid, and when something stops for that."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import Customer
from accounts.notices import notice_kind
from billing import card_payments, dunning
from billing.emails import addresses, for_staff, with_document
from billing.invoice_document import in_words
from billing.invoice_movements import way_of
from billing.models import (
    ChargeState,
    DunningKind,
    DunningStep,
    Renewal,
    RenewalCharge,
    RenewalKind,
    Subscription,
)
from billing.models.unpaid_days import unpaid_days
from billing.money import format_money
from billing.renewal_standing import DEFERRED, NOTHING_DELETED, credit_outlook, stopped_now, what_comes, when


@notice_kind("renewal.coming", template="billing/emails/renewal_coming")
def renewal_coming(invoice_id: str) -> tuple[list[str], dict[str, Any]]:
    """Its invoice, and what will be charged on which day. By then it may have been paid; the invoice goes out all the same,
    and says so. Of one that was taken back the credit note tells.
    """
    invoice, context = with_document(invoice_id)
    if invoice.renewal is None or invoice.renewal.is_over:
        return [], {}
    recipients, about = _about(invoice.renewal)
    by_credit = credit_outlook(invoice)
    return recipients, context | about | {
        "credit": " ".join(by_credit.words),
        "credit_pays_all": by_credit.pays_all,
        "to_pay": by_credit.left,
    }


@notice_kind("renewal.paid", template="billing/emails/renewal_paid")
def renewal_paid(renewal_id: str) -> tuple[list[str], dict[str, Any]]:
    """Nothing is to be paid any more: the money is in, or the invoice was taken back."""
    renewal = _find(renewal_id)
    if renewal.is_open:
        return [], {}
    recipients, context = _about(renewal)
    taken = set(renewal.steps.values_list("kind", flat=True))
    lifted, by_staff = DunningKind.SENDING_STOPPED in taken, renewal.customer.suspension
    ways = [
        f"{format_money(payment.kept_minor, payment.currency)} ({way_of(payment)})"
        for payment in renewal.payments.prefetch_related("card_refunds").order_by("at")
        if payment.kept_minor
    ]
    return recipients, context | {
        "ways": ways,
        "was_deferred": DunningKind.RECEIVING_STOPPED in taken,
        "goes_on": lifted and not by_staff,
        "stays_stopped": by_staff and (lifted or renewal.kind == RenewalKind.RETURN),
        "renews_on": None if _is_ending(renewal.subscription) else in_words(renewal.subscription.renews_on),
    }


@notice_kind("renewal.declined", template="billing/emails/renewal_declined")
def renewal_declined(charge_id: str) -> tuple[list[str], dict[str, Any]]:
    """Of the last charge alone: what came of a later one is told by its own mail."""
    charge = RenewalCharge.objects.select_related("card").get(pk=charge_id)
    renewal = _find(str(charge.renewal_id))
    if not renewal.is_open or renewal.charges.filter(number__gt=charge.number).exists():
        return [], {}
    recipients, context = _about(renewal)
    needs_owner = charge.state == ChargeState.NEEDS_OWNER
    return recipients, context | {"charge": charge, "needs_owner": needs_owner}


@notice_kind("renewal.overdue", template="billing/emails/renewal_overdue")
def renewal_overdue(step_id: str) -> tuple[list[str], dict[str, Any]]:
    """What was done, or is announced, because it is not paid; the last step alone, for it says how things stand."""
    step = DunningStep.objects.get(pk=step_id)
    renewal = _find(str(step.renewal_id))
    if not renewal.is_open or renewal.steps.filter(at__gt=step.at).exists():
        return [], {}
    recipients, context = _about(renewal)
    title, first = _step_words(renewal, DunningKind(step.kind))
    return recipients, context | {"step": step, "title": title, "first": first}


@notice_kind("renewal.handed_over", template="billing/emails/card_alarm")
def renewal_handed_over(step_id: str) -> tuple[list[str], dict[str, Any]]:
    """To staff: no machine does anything more about it."""
    renewal = _find(str(DunningStep.objects.get(pk=step_id).renewal_id))
    if not renewal.is_open:
        return [], {}
    customer, due_on = renewal.customer, in_words(renewal.due_day)
    words = (
        f"The {renewal.called} of {customer.username}, {renewal.due}, was to be paid by {due_on} and is not."
    )
    todo = "Write to the customer, and decide what becomes of the service. Nothing is deleted by itself."
    title = f"{customer.username} has not paid {renewal.due}"
    return for_staff(renewal, title, words, todo, record="payment")


def _step_words(renewal: Renewal, kind: DunningKind) -> tuple[str, str]:
    """The subject, and the first paragraph."""
    due, name, days = renewal.due, renewal.customer.name, dunning.outlook(renewal).days
    stops = {each: when(day) for each, day in days.items()}
    if kind == DunningKind.REMINDED:
        return (
            f"Please pay {due} for {name}",
            "This renewal is to be paid now, and there is no card to charge.",
        )
    if kind == DunningKind.SENDING_ANNOUNCED:
        on = stops.get(DunningKind.SENDING_STOPPED, "soon")
        first = (
            f"If it is not paid by then, no mailbox of {name} can send from that day on. Receiving goes on."
        )
        return f"Sending stops {on}: {due} are not paid", f"Sending stops {on}. {first}"
    if kind == DunningKind.SENDING_STOPPED:
        first = f"No mailbox of {name} can send now. Mail still comes in. {NOTHING_DELETED}"
        return f"Sending is stopped: {due} are not paid", first
    if kind == DunningKind.RECEIVING_ANNOUNCED:
        on = stops.get(DunningKind.RECEIVING_STOPPED, "soon")
        first = f"Sending is stopped already. If it is not paid by then, mail does not come in any more either. {DEFERRED}"
        return f"Receiving stops {on}: {due} are not paid", f"Receiving stops {on}. {first} {NOTHING_DELETED}"
    if kind == DunningKind.RECEIVING_STOPPED:
        first = f"No mailbox of {name} sends or receives now. {DEFERRED} {NOTHING_DELETED}"
        return f"Receiving is stopped: {due} are not paid", first
    first = f"Sending and receiving are stopped. Our staff look at it now and will write to you. {NOTHING_DELETED}"
    return f"Still not paid: {due} for {name}", first


@notice_kind("subscription.cancelled", template="billing/emails/subscription_cancelled")
def subscription_cancelled(subscription_id: str) -> tuple[list[str], dict[str, Any]]:
    subscription = Subscription.objects.select_related("customer", "plan").get(pk=subscription_id)
    cancellation = subscription.cancellation
    if subscription.ended_at or not cancellation:
        return [], {}
    recipients, context = _about_subscription(subscription)
    is_member = subscription.customer.memberships.filter(user=cancellation.by).exists()
    return recipients, context | {"by_staff": cancellation.by.is_staff and not is_member}


@notice_kind("subscription.ended", template="billing/emails/subscription_ended")
def subscription_ended(subscription_id: str) -> tuple[list[str], dict[str, Any]]:
    subscription = Subscription.objects.select_related("customer", "plan").get(pk=subscription_id)
    if not subscription.ended_at:  # it is back already
        return [], {}
    recipients, context = _about_subscription(subscription)
    unpaid = unpaid_days(subscription, subscription.periods)
    days = f"{in_words(unpaid.from_on)} to {in_words(unpaid.last_on)}" if unpaid else ""
    return recipients, context | {"kept_until": in_words(subscription.kept_until), "unpaid_days": days}


def _about_subscription(subscription: Subscription) -> tuple[list[str], dict[str, Any]]:
    customer = subscription.customer
    context = {"subscription": subscription, "customer": customer, "billing_url": billing_url(customer)}
    return addresses(customer), context


def billing_url(customer: Customer) -> str:
    return settings.PANEL_URL + reverse("billing:billing-show", args=[customer.username])


def _is_ending(subscription: Subscription) -> bool:
    return bool(subscription.ended_at or subscription.cancellation)


def _find(renewal_id: str) -> Renewal:
    return Renewal.objects.select_related("subscription__customer", "subscription__order", "plan").get(
        pk=renewal_id
    )


def _about(renewal: Renewal) -> tuple[list[str], dict[str, Any]]:
    """`coming` says what comes next, `stopped` what does not work now; `card` is the one that is charged next, None where
    none is; `to_pay` is what the customer is asked for.
    """
    customer, next_, invoice = renewal.customer, dunning.outlook(renewal), renewal.invoice
    context = {
        "renewal": renewal,
        "to_pay": renewal.due,
        "customer": customer,
        "invoice": invoice,
        "card": next_.card if next_.charge_on else None,
        "charged": when(next_.charge_on) if next_.charge_on else "",
        "due_on": in_words(renewal.pay_by if renewal.may_lapse else renewal.due_day),
        "coming": what_comes(renewal, next_) if renewal.is_open else [],
        "stopped": stopped_now(renewal) if renewal.is_open else [],
        "invoice_url": settings.PANEL_URL + renewal.get_absolute_url(),
        "cards_url": settings.PANEL_URL + reverse("billing:card-list", args=[customer.username]),
        "takes_cards": card_payments.may_pay(renewal),
        "payment_instructions": settings.PAYMENT_INSTRUCTIONS,
    }
    return addresses(customer), context
