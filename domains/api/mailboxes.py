"""E-mail accounts of a domain, their owners' invitations, and what they hold."""

from contextlib import nullcontext
from typing import Any, ClassVar

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Permission
from accounts.api.once import answered_once
from accounts.api.view import ApiView
from billing.entitlements import Feature, limit_of_each, usage_report
from domains.api import bodies
from domains.api.finding import domain_named, mailbox_named
from domains.models import Mailbox
from domains.models.mailbox_invitation import MailboxInvitation, invite_owner
from domains.models.mailbox_queries import mailboxes_of
from foundation.api import checked, cut
from foundation.api_schema import CUT, described
from foundation.unit_of_work import unit_of_work

MB = 2**20
READ, EDIT = Permission.MAILBOXES_READ, Permission.MAILBOXES_EDIT
ANNA = {
    "username": "anna",
    "email": "anna@example.com",
    "name": "Anna",
    "quota": 1024,
    "usage": 12,
    "limit": 9600,
    "sent": 31,
    "suspended": False,
}
SUSPENDED_HERE = "Suspended by a program."


class MailboxesView(ApiView):
    permissions: ClassVar = {"GET": READ, "POST": EDIT}
    names: ClassVar = {"quota_mb": "quota"}

    @described(
        "List e-mail accounts",
        data=bodies.MailboxFacts(many=True),
        example=[ANNA],
        parameters=(CUT,),
        tag="e-mail accounts",
    )
    def get(self, request: Request, domain: str) -> Response:
        found = domain_named(self.customer, domain)
        shown, headers = bodies.facts_of_all(found)
        return Response(shown, headers=headers)

    @described(
        "Add an e-mail account",
        body=bodies.MailboxBody,
        sent={"username": "anna", "password": "correct-horse-battery", "quota": 1024},
        data=bodies.MailboxFacts,
        example={**ANNA, "usage": 0, "sent": 0},
        status=201,
        errors=(409, 422),
        tag="e-mail accounts",
    )
    @answered_once
    def post(self, request: Request, domain: str) -> Response:
        found = domain_named(self.customer, domain)
        values = checked(bodies.MailboxBody, request.data)
        limit, quota_mb = values.pop("limit", None), values.pop("quota")
        with (
            unit_of_work() if limit is not None else nullcontext()
        ):  # hashing is in no transaction without need
            mailbox = found.add_mailbox(quota_mb=quota_mb, by=self.person, **values)
            if limit is not None:
                mailbox.limit_sends(limit, by=self.person)
        return Response(bodies.mailbox_facts(mailbox, is_new=True), status=201)


class MailboxView(ApiView):
    permissions: ClassVar = {"GET": READ, "PATCH": EDIT, "DELETE": EDIT}
    names: ClassVar = {"quota_mb": "quota"}

    @described("One e-mail account", data=bodies.MailboxFacts, example=ANNA, tag="e-mail accounts")
    def get(self, request: Request, domain: str, user: str) -> Response:
        return Response(bodies.mailbox_facts(mailbox_named(domain_named(self.customer, domain), user)))

    @described(
        "Change an e-mail account: all that is named, or nothing",
        body=bodies.MailboxChange,
        sent={"quota": 2048, "suspended": False},
        data=bodies.MailboxFacts,
        example={**ANNA, "quota": 2048},
        errors=(422,),
        tag="e-mail accounts",
    )
    def patch(self, request: Request, domain: str, user: str) -> Response:
        mailbox = mailbox_named(domain_named(self.customer, domain), user)
        values = checked(bodies.MailboxChange, request.data)
        with unit_of_work():
            self._change(mailbox, values)
        return Response(bodies.mailbox_facts(mailbox))

    @described(
        "Delete an e-mail account; it can be restored for 30 days",
        status=204,
        errors=(422,),
        tag="e-mail accounts",
    )
    def delete(self, request: Request, domain: str, user: str) -> Response:
        mailbox_named(domain_named(self.customer, domain), user).delete(by=self.person)
        return Response(status=204)

    def _change(self, mailbox: Mailbox, values: dict[str, Any]) -> None:
        if "password" in values:
            mailbox.set_password(values["password"], by=self.person)
        if "quota" in values or "name" in values:
            mailbox.change(values.get("quota"), values.get("name"), by=self.person)
        if "limit" in values:
            mailbox.limit_sends(values["limit"], by=self.person)
        if values.get("suspended") is False:
            mailbox.unsuspend(by=self.person)
        elif values.get("suspended") and mailbox.suspension is None:
            mailbox.suspend(reason=SUSPENDED_HERE, by=self.person)


class MailboxRestoreView(ApiView):
    permissions: ClassVar = {"POST": EDIT}

    @described(
        "Restore an e-mail account with its mail",
        data=bodies.MailboxFacts,
        example=ANNA,
        errors=(409, 422),
        tag="e-mail accounts",
    )
    @answered_once
    def post(self, request: Request, domain: str, user: str) -> Response:
        mailbox = mailbox_named(domain_named(self.customer, domain), user, deleted=True)
        mailbox.restore(by=self.person)
        return Response(bodies.mailbox_facts(mailbox))


class MailboxInvitationView(ApiView):
    permissions: ClassVar = {"GET": READ, "POST": EDIT, "DELETE": EDIT}
    names: ClassVar = {"invite": "email"}

    @described(
        "The open invitation by which the owner sets the password",
        data=bodies.InvitationFacts,
        example={"email": "anna@home.example", "expires_at": "2026-02-07T12:00:00Z"},
        tag="e-mail accounts",
    )
    def get(self, request: Request, domain: str, user: str) -> Response:
        return Response(_invitation(mailbox_named(domain_named(self.customer, domain), user)))

    @described(
        "Invite the owner to set the password; an invitation from before ends",
        body=bodies.InviteBody,
        sent={"email": "anna@home.example"},
        data=bodies.InvitationFacts,
        example={"email": "anna@home.example", "expires_at": "2026-02-07T12:00:00Z"},
        status=201,
        errors=(422,),
        tag="e-mail accounts",
    )
    @answered_once
    def post(self, request: Request, domain: str, user: str) -> Response:
        mailbox = mailbox_named(domain_named(self.customer, domain), user)
        email = checked(bodies.InviteBody, request.data)["email"]
        invite_owner(mailbox, email, by=self.person)
        return Response(_invitation(mailbox), status=201)

    @described("Withdraw the invitation", status=204, tag="e-mail accounts")
    def delete(self, request: Request, domain: str, user: str) -> Response:
        mailbox = mailbox_named(domain_named(self.customer, domain), user)
        _invitation_of(mailbox).revoke(by=self.person)
        return Response(status=204)


class QuotaView(ApiView):
    permissions: ClassVar = {"GET": Permission.CUSTOMER_READ}

    @described(
        "What the plan holds and what is used",
        data=bodies.QuotaFacts,
        tag="quota",
        example={
            "username": "acme",
            "total_used": 1_073_741_824,
            "total_limit": 10_737_418_240,
            "percent_used": 10.0,
            "breakdown": {"email": 1_073_741_824, "web": 0, "databases": 0, "backups": 0, "other": 0},
            "grace_period": None,
            "updated_at": "2026-01-31T12:00:00Z",
        },
    )
    def get(self, request: Request) -> Response:
        used, at = usage_report(self.customer)
        storage_mb = limit_of_each([self.customer.pk], Feature.STORAGE_MB)[self.customer.pk]
        most = None if storage_mb is None else storage_mb * MB
        return Response(
            {
                "username": self.customer.username,
                "total_used": used,
                "total_limit": most,
                "percent_used": round(100 * used / most, 2) if most else 0.0,
                "breakdown": {"email": used, "web": 0, "databases": 0, "backups": 0, "other": 0},
                "grace_period": None,
                "updated_at": at,
            }
        )


class MailboxQuotaView(ApiView):
    permissions: ClassVar = {"GET": READ}

    @described(
        "What each e-mail account holds, the largest first",
        data=bodies.MailboxSizes,
        parameters=(CUT,),
        tag="quota",
        example={
            "username": "acme",
            "accounts": [
                {
                    "email_address": "anna@example.com",
                    "size_bytes": 12_582_912,
                    "updated_at": "2026-01-31T12:00:00Z",
                }
            ],
        },
    )
    def get(self, request: Request) -> Response:
        _, at = usage_report(self.customer)
        live = mailboxes_of(self.customer).order_by("-used_bytes", "domain__name", "local_part")
        rows = live.values_list("local_part", "domain__name", "used_bytes")
        shown, headers = cut(rows)
        accounts = [
            {"email_address": f"{local_part}@{domain}", "size_bytes": size, "updated_at": at}
            for local_part, domain, size in shown
        ]
        return Response({"username": self.customer.username, "accounts": accounts}, headers=headers)


def _invitation(mailbox: Mailbox) -> dict[str, Any]:
    invitation = _invitation_of(mailbox)
    return {"email": invitation.email, "expires_at": invitation.expires_at}


def _invitation_of(mailbox: Mailbox) -> MailboxInvitation:
    invitation = mailbox.invitation
    if invitation is None:
        raise Http404
    return invitation
