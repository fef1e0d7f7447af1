"""The mails about changes of a plan."""

from typing import Any

from accounts.notices import notice_kind
from billing.emails import addresses
from billing.invoice_document import in_words
from billing.models import ChangeOutcome, PlanChange, Renewal, RenewalKind, Subscription
from billing.money import format_money
from billing.renewal_emails import billing_url

TEMPLATE = "billing/emails/subscription_told"
Told = tuple[list[str], dict[str, Any]]


@notice_kind("plan.changed", template=TEMPLATE)
def plan_changed(subscription_id: str) -> Told:
    """What nobody had to pay for: a cheaper plan, or one whose difference was nothing."""
    service = _service(subscription_id)
    if service.ended_at:
        return [], {}
    holds = f"{service.customer.name} ({service.customer.username}) has {service.plan.name} from now on"
    words = f"{holds}: {service.version.storage_gb} GB for all mailboxes together. {_renews(service)}"
    return _told(service, f"Your plan is {service.plan.name} now", words, "Nothing of what is there changes.")


@notice_kind("plan.change_planned", template=TEMPLATE)
def plan_change_planned(change_id: str) -> Told:
    change = _change(change_id)
    if change.ended_at:
        return [], {}
    service, name, on = change.subscription, change.version.plan.name, in_words(change.on)
    words = (
        f"The plan of {service.customer.name} ({service.customer.username}) changes from {service.plan.name} to {name} "
        f"on {on}. The period that begins then costs {change.price}, without tax."
    )
    more = (
        "What you use has to fit when that period is sold; if not, you get a mail and the plan stays as it is. Until "
        "then you can keep your plan after all, with one button on the page of your billing. If nobody of you asked for the "
        "change, do that now, and change your passwords."
    )
    return _told(service, f"Your plan changes to {name} on {on}", words, more)


@notice_kind("plan.period_planned", template=TEMPLATE)
def plan_period_planned(change_id: str) -> Told:
    change = _change(change_id)
    if change.ended_at:
        return [], {}
    service, on, by = change.subscription, in_words(change.on), change.get_period_display().lower()
    words = (
        f"{service.plan.name} for {service.customer.name} ({service.customer.username}) is paid {by} from {on} on, "
        f"instead of {service.get_period_display().lower()}. The first period then costs {change.price}, without tax. Until "
        "that day nothing changes: what is paid holds, and nothing goes back."
    )
    more = (
        "Until that period is paid or has begun you can take this back, with one button on the page of your billing. If "
        "nobody of you asked for the change, do that now, and change your passwords."
    )
    return _told(service, f"{service.plan.name} is paid {by} from {on} on", words, more)


@notice_kind("plan.change_dropped", template=TEMPLATE)
def plan_change_dropped(change_id: str) -> Told:
    change = _change(change_id)
    if change.outcome != ChangeOutcome.DROPPED:
        return [], {}
    service, name = change.subscription, change.version.plan.name
    words = (
        f"The change of {service.customer.name} ({service.customer.username}) to {name} was planned for the period that is "
        f"sold now, and {name} is too small for what you use. {change.why}"
    )
    more = (
        f"So you keep {service.plan.name}, and it is renewed with that. Make room, and choose the plan again."
    )
    return _told(service, f"You keep {service.plan.name}: {name} is too small", words, more)


@notice_kind("subscription.back", template=TEMPLATE)
def subscription_back(subscription_id: str) -> Told:
    service = _service(subscription_id)
    if service.ended_at:
        return [], {}
    words = (
        f"{service.plan.name} for {service.customer.name} ({service.customer.username}) runs again: mail is sent "
        "and received, and mailboxes, passwords and mail are as they were."
    )
    return _told(service, f"{service.plan.name} runs again", words, _renews(service))


@notice_kind("renewal.lapsed", template=TEMPLATE)
def renewal_lapsed(renewal_id: str) -> Told:
    """What somebody asked for was not paid in time."""
    renewal = Renewal.objects.select_related("subscription__customer", "plan").get(pk=renewal_id)
    service, by = renewal.subscription, in_words(renewal.pay_by)
    if renewal.kind == RenewalKind.RETURN:
        asked = f"Having back {service.customer.name} ({service.customer.username})"
        more = (
            "The service stays ended. What is kept of it, and until when, stands on the page of your billing."
        )
    else:
        asked = f"The change of {service.customer.name} ({service.customer.username}) to {renewal.plan.name}"
        more = f"You keep {service.plan.name}, and nothing else changes. You can choose again at any time."
    words = (
        f"{asked} was to be paid by {by}, and was not. Its invoice is taken back: there is nothing to pay."
    )
    return _told(service, "Not paid, and so taken back", words, more)


def _renews(service: Subscription) -> str:
    price = service.price_of(service.periods, service.version, service.coming_period)["amount_minor"]
    words = (
        f"It renews on {in_words(service.renews_on)}, at {format_money(price, service.currency)} without tax."
    )
    return "" if service.cancellation else words


def _service(subscription_id: str) -> Subscription:
    return Subscription.objects.select_related("customer", "plan", "version").get(pk=subscription_id)


def _change(change_id: str) -> PlanChange:
    known = PlanChange.objects.select_related(
        "subscription__customer", "subscription__plan", "version__plan", "renewal"
    )
    return known.get(pk=change_id)


def _told(service: Subscription, title: str, words: str, more: str) -> Told:
    context = {"title": title, "words": words, "more": more, "customer": service.customer}
    return addresses(service.customer), context | {"billing_url": billing_url(service.customer)}
