"""Who may call what: one row a URL. The census (tests/test_census.py) runs it for every method and role."""

from typing import Any, Literal

from accounts.access import RIGHTS, Permission

Outcome = Literal["in", "login", "403", "404", "405"]

ROLES = ("anonymous", "stranger", "reader", "billing", "admin", "owner", "staff")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SAFE = ("GET", "HEAD")


def outcomes(policy: dict[str, Any], method: str, role: str) -> set[str]:
    """What may come of it. A method without an entry is turned away, after the same doors as the others."""
    rule = policy.get("GET" if method == "HEAD" else method)
    if rule is not None:
        return {rule[role], *policy.get("also", {}).get(role, ())}
    doors = {entry[role] for name, entry in policy.items() if name != "also"} - {"in"}
    return doors or {"405"}


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
    return {"anonymous": "login", "stranger": "404", "staff": "404", **rule}


def staff() -> dict[str, str]:
    return {**everybody("403"), "anonymous": "login", "staff": "in"}


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


# Stock Django admin: the door is ours, what lies behind it Django's own rights decide.
ADMIN: dict[str, Any] = {
    **{method: staff() for method in METHODS if method != "HEAD"},
    "also": {"staff": ("403", "404", "405")},
}

TABLE: dict[str, dict[str, Any]] = {
    "admin:login": library(everybody("login")),  # both lead to the panel's own pages
    "admin:logout": library({**everybody("403"), "anonymous": "login", "staff": "in"}),
    "admin:domains_mailserver_progress": get(staff()),
    "admin:domains_mailserver_rebuild": both(staff()),
    "admin:domains_mailserver_digest": post(staff()),
    "admin:domains_mailserver_sync": post(staff()),
    "admin:domains_mailserver_resume": post(staff()),
    "admin:domains_mailserver_lost_history": both(staff()),
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
    "accounts:security-page": get(members(Permission.MEMBERS_READ)),
    "accounts:security-require": post(members(Permission.OWNERS_EDIT)),
    "accounts:security-waive": post(members(Permission.OWNERS_EDIT)),
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
    "billing:order-cancel": post(members(Permission.ORDERS_EDIT)),
    "billing:order-list": get(members(Permission.ORDERS_READ)),
    "billing:review-list": get(staff()),
    "billing:review-show": both(staff()),
    "billing:payment-record": post(staff()),
    "billing:report-file": post(staff()),
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
