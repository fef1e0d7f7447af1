"""The second factor of all members of a customer: an owner asks for it, members are told."""

from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, QuerySet

from accounts import audit
from accounts.factors import FACTORS
from accounts.models import Customer, FactorRule, Membership, Role, User
from accounts.models.customer import TOLD
from accounts.notices import notice_kind, send_notice
from foundation.unit_of_work import unit_of_work


def require_factor(customer: Customer, *, by: User) -> bool:
    """Ask a second factor of all members from now on; false when that holds already."""
    with unit_of_work():
        _, made = FactorRule.objects.get_or_create(customer=customer, defaults={"by": by})
        if made:
            audit.record("factor_rule.set", by=by, customer=customer, subject=customer.username)
            send_notice("factor_rule.set", customer.pk)
    return made


def waive_factor(customer: Customer, *, by: User) -> bool:
    """Leave it to the members again; false when it is already."""
    with unit_of_work():
        waived, _ = FactorRule.objects.filter(customer=customer).delete()
        if waived:
            audit.record("factor_rule.waive", by=by, customer=customer, subject=customer.username)
            send_notice("factor_rule.waive", customer.pk)
    return bool(waived)


def members_without(customer: Customer) -> QuerySet[Membership]:
    """The members who have no second factor yet."""
    factors = Authenticator.objects.filter(user=OuterRef("user"), type__in=FACTORS)
    members = customer.memberships.exclude(Exists(factors)).select_related("user")
    return members.order_by("created_at")[:TOLD]


@notice_kind("factor_rule.set", template="accounts/emails/factor_rule_set")
def _is_set(customer_id: str) -> tuple[list[str], dict[str, Any]]:
    rule = FactorRule.objects.filter(customer=UUID(customer_id)).select_related("customer", "by").first()
    if rule is None:
        return [], {}
    return rule.customer.member_addresses(), {"customer": rule.customer, "by": rule.by}


@notice_kind("factor_rule.waive", template="accounts/emails/factor_rule_waive")
def _is_waived(customer_id: str) -> tuple[list[str], dict[str, Any]]:
    customer = Customer.objects.select_related("factor_rule").get(pk=customer_id)
    if hasattr(customer, "factor_rule"):
        return [], {}
    return customer.member_addresses(role=Role.OWNER), {"customer": customer}
