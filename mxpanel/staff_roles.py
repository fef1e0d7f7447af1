"""The roles of staff: what each may see and do, as Django permissions. `manage.py migrate` makes a group of each with
exactly these rights, so what stands here is what holds; a person of several groups has the rights of all.

Superusers may everything. They are for setting up: they make staff of people and put them into groups.
"""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

REVIEWER, SUPPORT, OPERATOR, MANAGER = "reviewer", "support", "operator", "manager"

_ORDERS = {
    "billing.view_cardonfile",
    "billing.view_cardrefund",
    "billing.view_cardsetup",
    "billing.view_checkout",
    "billing.view_creditgrant",
    "billing.view_dispute",
    "billing.view_freemonths",
    "billing.view_coupon",
    "billing.view_couponuse",
    "billing.view_invoice",
    "billing.view_order",
    "billing.view_payment",
    "billing.view_plan",
    "billing.view_planchange",
    "billing.view_planversion",
    "billing.view_renewal",
    "billing.view_renewalcharge",
    "billing.view_subscription",
    "billing.view_subscriptioncancellation",
}
_REVIEWER = _ORDERS | {
    "accounts.view_customer",
    "billing.add_fraudreport",
    "billing.add_reviewdecision",
    "billing.change_fraudcheck",
    "billing.view_fraudexemption",
    "billing.add_reviewnote",
    "billing.view_cannedtext",
    "billing.view_fraudreport",
}
_SUPPORT = _ORDERS | {
    "accounts.add_factorlift",
    "accounts.view_auditentry",
    "accounts.view_customer",
    "accounts.view_customersuspension",
    "accounts.view_factorlift",
    "accounts.view_membership",
    "accounts.view_notice",
    "accounts.view_user",
    "billing.add_reviewnote",
    "billing.view_storageusage",
    "domains.add_sendraise",
    "domains.change_domain",
    "domains.change_mailbox",
    "domains.change_sendraise",
    "domains.view_customersending",
    "domains.view_domain",
    "domains.view_domainclaim",
    "domains.view_mailbox",
    "domains.view_placement",
    "domains.view_sendraise",
}
_OPERATOR = {
    "accounts.view_customer",
    "accounts.view_notice",
    "billing.view_storageusage",
    "domains.add_placement",
    "domains.change_mailserver",
    "domains.change_placement",
    "domains.view_domain",
    "domains.view_incident",
    "domains.view_mailbox",
    "domains.view_mailserver",
    "domains.view_placement",
}
_MANAGER = (
    _REVIEWER
    | _SUPPORT
    | {
        "accounts.add_customersuspension",
        "accounts.change_customer",
        "billing.view_ledgerentry",
        "billing.add_creditgrant",
        "billing.add_fraudexemption",
        "billing.add_freemonths",
        "billing.add_payment",
        "billing.add_cannedtext",
        "billing.add_coupon",
        "billing.change_coupon",
        "billing.add_plan",
        "billing.add_refund",
        "billing.add_taxrate",
        "billing.change_cannedtext",
        "billing.change_creditgrant",
        "billing.change_freemonths",
        "billing.change_taxrate",
        "billing.delete_cannedtext",
        "billing.delete_taxrate",
        "billing.view_billingdetails",
        "billing.view_stripeevent",
        "billing.change_plan",
        "billing.change_subscription",
        "domains.add_customersending",
        "domains.change_customersending",
        "domains.change_domainclaim",
    }
)
RIGHTS: dict[str, set[str]] = {
    REVIEWER: _REVIEWER,
    SUPPORT: _SUPPORT,
    OPERATOR: _OPERATOR,
    MANAGER: _MANAGER,
}


def make_groups(**_: Any) -> None:
    """Give each role's group exactly its rights; after every `migrate`, when all permissions are there."""
    for role, rights in RIGHTS.items():
        group, _made = Group.objects.get_or_create(name=role)
        wanted = Q()
        for right in rights:
            app, _dot, codename = right.partition(".")
            wanted |= Q(content_type__app_label=app, codename=codename)
        group.permissions.set(Permission.objects.filter(wanted))
