"""The mails about what staff give a customer."""

from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import Customer
from accounts.notices import notice_kind
from billing.emails import addresses
from billing.invoice_document import in_words
from billing.models import CreditGrant, FreeMonths
from billing.money import format_money


@notice_kind("credit.granted", template="billing/emails/credit_granted")
def credit_granted(grant_id: str) -> tuple[list[str], dict[str, Any]]:
    grant = CreditGrant.objects.select_related("customer").get(pk=grant_id)
    return _about(grant.customer, grant=grant, amount=grant.amount)


@notice_kind("credit.taken_back", template="billing/emails/credit_taken_back")
def credit_taken_back(grant_id: str) -> tuple[list[str], dict[str, Any]]:
    grant = CreditGrant.objects.select_related("customer").get(pk=grant_id)
    amount = format_money(grant.taken_back_minor, grant.currency)
    return _about(grant.customer, grant=grant, amount=amount)


@notice_kind("free_months.given", template="billing/emails/free_months_given")
def free_months_given(free_id: str) -> tuple[list[str], dict[str, Any]]:
    """Also which invoice was taken back for them, if one was."""
    recipients, context = _about_free_months(free_id)
    return recipients, context | {"taken_back": context["given"].taken_back}


@notice_kind("free_months.withdrawn", template="billing/emails/free_months_withdrawn")
def free_months_withdrawn(free_id: str) -> tuple[list[str], dict[str, Any]]:
    return _about_free_months(free_id)


def _about_free_months(free_id: str) -> tuple[list[str], dict[str, Any]]:
    given = FreeMonths.objects.select_related("subscription__customer", "subscription__plan").get(pk=free_id)
    running = given.subscription
    renews_on = None if running.ended_at or running.cancellation else in_words(running.renews_on)
    return _about(
        running.customer, given=given, running=running, from_on=in_words(given.from_on), renews_on=renews_on
    )


def _about(customer: Customer, **more: Any) -> tuple[list[str], dict[str, Any]]:
    url = settings.PANEL_URL + reverse("billing:billing-show", args=[customer.username])
    return addresses(customer), {"customer": customer, "billing_url": url, **more}
