"""Who may call what: one row a URL. The census (tests/test_census.py) runs it for every method and role."""

import re
from typing import Any, Literal

from accounts.access import RIGHTS, Permission
from mxpanel.staff_roles import RIGHTS as STAFF_RIGHTS

Outcome = Literal["in", "login", "403", "404", "405"]

ROLES = ("anonymous", "stranger", "reader", "billing", "admin", "owner", "staff", *STAFF_RIGHTS)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SAFE = ("GET", "HEAD")


def outcomes(policy: dict[str, Any], method: str, role: str) -> set[str]:
    """What may come of it. A method without an entry is turned away, after the same doors as the others."""
    rule, also = policy.get("GET" if method == "HEAD" else method), policy.get("also", {}).get(role, ())
    if rule is not None:
        return {rule[role], *also}
    doors = {entry[role] for name, entry in policy.items() if name != "also"}
    return {"405" if door == "in" else door for door in doors} | set(also)


def everybody(outcome: str = "in") -> dict[str, str]:
    return dict.fromkeys(ROLES, outcome)


def signed_in() -> dict[str, str]:
    return {**everybody(), "anonymous": "login"}


def members(permission: Permission) -> dict[str, str]:
    """Members with the right get in, other members 403; strangers, staff among them, see nothing (404)."""
    rule = {
        role: "in" if permission in RIGHTS[role] else "403"
        for role in ("reader", "billing", "admin", "owner")
    }
    return {**everybody("404"), "anonymous": "login", **rule}


def staff(*rights: str) -> dict[str, str]:
    """Superusers, and the roles that have one of the rights; without any named, all staff."""
    allowed = [role for role, has in STAFF_RIGHTS.items() if not rights or has & set(rights)]
    return {**everybody("403"), "anonymous": "login", "staff": "in", **dict.fromkeys(allowed, "in")}


def get(rule: dict[str, str]) -> dict[str, Any]:
    return {"GET": rule}


def post(rule: dict[str, str]) -> dict[str, Any]:
    return {"POST": rule}


def both(read: dict[str, str], write: dict[str, str] | None = None) -> dict[str, Any]:
    return {"GET": read, "POST": write or read}


def library(rule: dict[str, str], *also: str) -> dict[str, Any]:
    """Pages of django-allauth, which answer PUT like POST in places: who gets through the door, by any method."""
    return dict.fromkeys((method for method in METHODS if method != "HEAD"), rule) | {
        "also": dict.fromkeys(ROLES, ("405", *also))
    }


def method_first(policy: dict[str, Any]) -> dict[str, Any]:
    """Staff without the right are told first that there is no such method."""
    return {**policy, "also": dict.fromkeys(STAFF_RIGHTS, ("405",))}


def stock_admin(name: str) -> dict[str, Any]:
    """Stock Django admin: who gets through the door. What is behind it may be closed to all (403), or not there."""
    page = re.fullmatch("admin:([a-z]+)_([a-z]+)_(changelist|add|change|delete|history)", name)
    rule = staff()
    if page:
        app, model, verb = page.groups()
        verbs = (verb,) if verb in ("add", "delete") else ("view", "change")
        rule = staff(*(f"{app}.{verb}_{model}" for verb in verbs))
    also = {role: ("403", "404", "405") for role, outcome in rule.items() if outcome == "in"}
    if name.endswith("_history"):  # of what is not there, it says so before it looks at rights
        also |= {role: ("in",) for role, outcome in rule.items() if outcome == "403" and role in STAFF_RIGHTS}
    return {**{method: rule for method in METHODS if method != "HEAD"}, "also": also}


# Alice's key, which beside her those see who may change members.
OF_THE_KEY = {**members(Permission.CUSTOMER_READ), "reader": "404", "billing": "404"}
NO_OTHER_METHOD = {
    method: {**OF_THE_KEY, "reader": "405", "billing": "405", "admin": "405", "owner": "405"}
    for method in ("PUT", "PATCH", "DELETE")
}

# Pages that ask again who one is, the second factor or the password, where that was not asked in the last minutes.
GRAVE = {
    "account_change_password", "accounts:account-delete", "accounts:data-export-ask", "accounts:email-change-ask",
    "accounts:invitation-resend", "accounts:key-add", "accounts:member-change", "accounts:member-invite",
    "accounts:member-remove", "accounts:ownership-accept", "accounts:ownership-offer", "accounts:security-require",
    "accounts:security-waive", "accounts:session-end", "accounts:webhook-add", "accounts:webhook-change",
    "accounts:webhook-rotate", "billing:card-remove", "billing:credit-grant", "billing:credit-take-back",
    "billing:free-months-give", "billing:free-months-withdraw", "billing:period-change", "billing:plan-change",
    "billing:refund-give", "billing:subscription-cancel", "billing:subscription-come-back",
    "mfa_download_recovery_codes", "mfa_view_recovery_codes",
}  # fmt: skip

TABLE: dict[str, dict[str, Any]] = {
    "admin:login": library(everybody("login")),  # both lead to the panel's own pages
    "admin:logout": library(staff()),
    "admin:domains_mailserver_progress": method_first(get(staff("domains.view_mailserver"))),
    "admin:domains_mailserver_rebuild": method_first(both(staff("domains.change_mailserver"))),
    "admin:domains_mailserver_digest": method_first(post(staff("domains.change_mailserver"))),
    "admin:domains_mailserver_sync": method_first(post(staff("domains.change_mailserver"))),
    "admin:domains_mailserver_resume": method_first(post(staff("domains.change_mailserver"))),
    "admin:domains_mailserver_lost_history": method_first(
        both(staff("domains.view_mailserver"), staff("domains.change_mailserver"))
    ),
    "home": get(everybody()),
    "plans": get(everybody()),
    "status": get(everybody()),
    "privacy": get(everybody()),
    "terms": get(everybody()),
    "contact": get(everybody()),
    "accounts:home": get(signed_in()),
    "accounts:customer-overview": get(members(Permission.CUSTOMER_READ)),
    "accounts:member-list": get(members(Permission.MEMBERS_READ)),
    "accounts:email-change-ask": post(signed_in()),
    "accounts:email-change-stop": post(signed_in()),
    "accounts:email-change": {
        **both(everybody()),
        "also": dict.fromkeys(ROLES, ("404", "405")),
    },  # no such token
    "accounts:factor-lift": {
        **both(everybody()),
        "also": dict.fromkeys(ROLES, ("404", "405")),
    },  # no such token
    "accounts:data-page": get(signed_in()),
    "accounts:data-export-ask": post(signed_in()),
    "accounts:data-export": both({**everybody("404"), "anonymous": "login", "owner": "in"}),  # hers
    "accounts:account-delete": both(signed_in()),
    "accounts:account-delete-stop": post(signed_in()),
    "accounts:account-deletion": both(everybody()),  # who has the link
    "accounts:security-page": get(members(Permission.MEMBERS_READ)),
    "accounts:security-require": post(members(Permission.OWNERS_EDIT)),
    "accounts:security-waive": post(members(Permission.OWNERS_EDIT)),
    "api-docs": get(everybody()),
    "accounts:key-list": get(members(Permission.CUSTOMER_READ)),
    "accounts:key-add": both(members(Permission.CUSTOMER_READ)),
    "accounts:key-page": {**get(OF_THE_KEY), **NO_OTHER_METHOD},
    "accounts:key-revoke": {**post(OF_THE_KEY), **NO_OTHER_METHOD},
    "accounts:webhook-list": get(members(Permission.WEBHOOKS_READ)),
    "accounts:webhook-add": both(members(Permission.WEBHOOKS_EDIT)),
    "accounts:webhook-page": get(members(Permission.WEBHOOKS_READ)),
    "accounts:webhook-change": both(members(Permission.WEBHOOKS_EDIT)),
    "accounts:webhook-rotate": post(members(Permission.WEBHOOKS_EDIT)),
    "accounts:webhook-switch-on": post(members(Permission.WEBHOOKS_EDIT)),
    "accounts:webhook-switch-off": post(members(Permission.WEBHOOKS_EDIT)),
    "accounts:webhook-remove": post(members(Permission.WEBHOOKS_EDIT)),
    "accounts:webhook-test": post(members(Permission.WEBHOOKS_EDIT)),
    "accounts:delivery-page": get(members(Permission.WEBHOOKS_READ)),
    "accounts:delivery-send-again": post(members(Permission.WEBHOOKS_EDIT)),
    "accounts:audit-list": get(members(Permission.MEMBERS_READ)),
    "accounts:audit-csv": get(members(Permission.MEMBERS_READ)),
    "accounts:member-invite": both(members(Permission.MEMBERS_EDIT)),
    "accounts:member-leave": post(members(Permission.MEMBERS_READ)),
    "accounts:member-page": get(members(Permission.MEMBERS_READ)),
    "accounts:member-change": post(members(Permission.MEMBERS_EDIT)),
    "accounts:member-remove": post(members(Permission.MEMBERS_EDIT)),
    "accounts:invitation-page": get(everybody()),
    "accounts:invitation-accept": post({**everybody("403"), "anonymous": "login", "stranger": "in"}),  # hers
    "accounts:invitation-resend": post(members(Permission.MEMBERS_EDIT)),
    "accounts:invitation-revoke": post(members(Permission.MEMBERS_EDIT)),
    "accounts:ownership-page": get(members(Permission.MEMBERS_READ)),
    "accounts:ownership-offer": post(members(Permission.OWNERS_EDIT)),
    "accounts:ownership-withdraw": post(members(Permission.OWNERS_EDIT)),
    "accounts:ownership-accept": post(members(Permission.MEMBERS_READ)),
    "accounts:ownership-decline": post(members(Permission.MEMBERS_READ)),
    "billing:order-place": both(everybody()),
    "billing:order-show": get(members(Permission.ORDERS_READ)),
    "billing:order-answer": post(members(Permission.ORDERS_EDIT)),
    "billing:question-answer": both(everybody()),  # who has the link
    "billing:order-pay": post(members(Permission.ORDERS_EDIT)),
    "billing:order-paid": get(members(Permission.ORDERS_READ)),
    "billing:stripe-webhook": post(everybody()),  # who can sign as Stripe
    "billing:order-cancel": post(members(Permission.ORDERS_EDIT)),
    "billing:details-change": both(members(Permission.ORDERS_EDIT)),
    "billing:order-list": get(members(Permission.ORDERS_READ)),
    "billing:billing-show": get(members(Permission.ORDERS_READ)),
    "billing:invoice-list": get(members(Permission.ORDERS_READ)),
    "billing:invoice-show": get(members(Permission.ORDERS_READ)),
    "billing:invoice-pdf": get(members(Permission.ORDERS_READ)),
    "billing:invoice-year": get(members(Permission.ORDERS_READ)),
    "billing:invoice-pay": post(members(Permission.ORDERS_EDIT)),
    "billing:invoice-paid": get(members(Permission.ORDERS_READ)),
    "billing:subscription-cancel": both(members(Permission.ORDERS_EDIT)),
    "billing:subscription-go-on": post(members(Permission.ORDERS_EDIT)),
    "billing:subscription-come-back": post(members(Permission.ORDERS_EDIT)),
    "billing:plan-choose": get(members(Permission.ORDERS_EDIT)),
    "billing:plan-change": both(members(Permission.ORDERS_EDIT)),
    "billing:period-change": both(members(Permission.ORDERS_EDIT)),
    "billing:plan-keep": post(members(Permission.ORDERS_EDIT)),
    "billing:coupon-use": post(members(Permission.ORDERS_EDIT)),
    "billing:coupon-drop": post(members(Permission.ORDERS_EDIT)),
    "billing:card-list": get(members(Permission.ORDERS_READ)),
    "billing:card-add": post(members(Permission.ORDERS_EDIT)),
    "billing:card-added": get(members(Permission.ORDERS_READ)),
    "billing:card-make-default": post(members(Permission.ORDERS_EDIT)),
    "billing:card-remove": both(members(Permission.ORDERS_EDIT)),
    "billing:review-list": get(staff("billing.view_order")),
    "billing:review-show": both(staff("billing.view_order"), staff("billing.add_reviewdecision")),
    "billing:review-next": get(staff("billing.view_order")),
    "billing:review-presence": get(staff("billing.view_order")),
    "billing:note-add": post(staff("billing.add_reviewnote")),
    "billing:refund-record": post(staff("billing.add_refund")),
    "billing:goodwill-show": get(staff("billing.view_creditgrant")),
    "billing:credit-grant": post(staff("billing.add_creditgrant")),
    "billing:credit-take-back": post(staff("billing.change_creditgrant")),
    "billing:free-months-give": post(staff("billing.add_freemonths")),
    "billing:free-months-withdraw": post(staff("billing.change_freemonths")),
    "billing:dispute-show": get(staff("billing.view_dispute")),
    "billing:refund-give": both(staff("billing.add_refund")),
    "billing:payment-record": post(staff("billing.add_payment")),
    "billing:book-list": get(staff("billing.view_renewal")),
    "billing:day-book": both(staff("billing.view_ledgerentry")),
    "billing:receivable-list": both(staff("billing.view_ledgerentry")),
    "billing:failed-payment-list": both(staff("billing.view_renewal")),
    "billing:recurring-revenue": both(staff("billing.view_ledgerentry")),
    "billing:customer-ledger": both(staff("billing.view_ledgerentry")),
    "billing:renewal-show": get(staff("billing.view_renewal")),
    "billing:renewal-payment-record": post(staff("billing.add_payment")),
    "billing:renewal-service-end": post(staff("billing.change_subscription")),
    "billing:report-file": post(staff("billing.add_fraudreport")),
    "billing:report-withdraw": post(staff("billing.add_fraudreport")),
    "billing:check-ask": post(staff("billing.change_fraudcheck")),
    "billing:exemption-add": post(staff("billing.add_fraudexemption")),
    "billing:exemption-end": post(staff("billing.add_fraudexemption")),
    "domains:domain-list": get(members(Permission.DOMAINS_READ)),
    "domains:domain-add": both(members(Permission.DOMAINS_EDIT)),
    "domains:domain-page": get(members(Permission.DOMAINS_READ)),
    "domains:domain-check": post(members(Permission.DOMAINS_EDIT)),
    "domains:domain-zone": get(members(Permission.DOMAINS_READ)),
    "domains:domain-csv": get(members(Permission.DOMAINS_READ)),
    "domains:domain-dkim": get(members(Permission.DOMAINS_READ)),
    "domains:domain-delete": both(members(Permission.DOMAINS_EDIT)),
    "domains:domain-restore": post(members(Permission.DOMAINS_EDIT)),
    "domains:bulk-list": get(members(Permission.MAILBOXES_READ)),
    "domains:bulk-add": post(members(Permission.MAILBOXES_EDIT)),
    "domains:bulk-page": get(members(Permission.MAILBOXES_READ)),
    "domains:bulk-start": post(members(Permission.MAILBOXES_EDIT)),
    "domains:bulk-undo": post(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-list": get(members(Permission.MAILBOXES_READ)),
    "domains:mailbox-add": both(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-csv": get(members(Permission.MAILBOXES_READ)),
    "domains:import-add": both(members(Permission.MAILBOXES_EDIT)),
    "domains:import-page": get(members(Permission.MAILBOXES_EDIT)),
    "domains:import-confirm": post(members(Permission.MAILBOXES_EDIT)),
    "domains:import-discard": post(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-page": get(members(Permission.MAILBOXES_READ)),
    "domains:mailbox-change": both(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-limit": both(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-password": both(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-invite": post(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-uninvite": post(members(Permission.MAILBOXES_EDIT)),
    "domains:owner-password": both(everybody()),  # who has the link
    "domains:owner-ready": library(everybody("404")),  # nobody has set a password in these browsers
    "domains:mailbox-suspend": post(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-unsuspend": post(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-delete": both(members(Permission.MAILBOXES_EDIT)),
    "domains:mailbox-restore": post(members(Permission.MAILBOXES_EDIT)),
    "account_login": library(everybody()),
    "account_logout": library(everybody()),
    "account_inactive": library(everybody()),
    "account_signup": library(everybody()),
    "account_reauthenticate": library(signed_in()),
    "account_email": get(signed_in()),
    "account_email_verification_sent": library(everybody()),
    "account_change_password": library(signed_in()),
    "account_set_password": library(signed_in()),
    "account_reset_password": library(everybody()),
    "account_confirm_login_code": library(signed_in()),
    "account_confirm_email": library(everybody(), "404"),  # there is no such key
    "account_reset_password_from_key_done": library(everybody()),
    "account_reset_password_from_key": library(everybody()),
    "account_reset_password_done": library(everybody()),
    "mfa_index": library(signed_in()),
    "mfa_authenticate": library(signed_in()),
    "mfa_reauthenticate": library(signed_in()),
    "mfa_activate_totp": library(signed_in()),
    "mfa_deactivate_totp": library(signed_in(), "404"),
    "mfa_view_recovery_codes": {**get(signed_in()), "also": dict.fromkeys(ROLES, ("404",))},
    "mfa_generate_recovery_codes": library(signed_in()),
    "mfa_download_recovery_codes": {**get(signed_in()), "also": dict.fromkeys(ROLES, ("404",))},
    "mfa_list_webauthn": library(signed_in()),
    "mfa_add_webauthn": library(signed_in()),
    "mfa_edit_webauthn": library(signed_in(), "404"),
    "mfa_remove_webauthn": library(signed_in(), "404"),
    "mfa_login_webauthn": library(signed_in()),
    "mfa_reauthenticate_webauthn": library(signed_in()),
    "usersessions_list": get(signed_in()),
    "accounts:session-end": post(signed_in()),
}
