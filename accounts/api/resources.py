"""Members of the customer, and what was changed by whom."""

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied, ValidationError
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Permission
from accounts.api.once import answered_once
from accounts.api.paging import page_of
from accounts.api.view import ApiView
from accounts.audit_forms import AuditFilterForm
from accounts.audit_words import act, address, changed, reason, who
from accounts.models import AuditEntry, Membership, Role
from foundation.api import Body, checked
from foundation.api_schema import CURSOR, LIMIT, described

BOB = {"id": 7, "email": "bob@example.com", "role": "reader", "since": "2026-01-31T12:00:00Z"}
CHANGE = {
    "id": "0f8c3f6e-5d0b-4c0e-9a43-1f6f2f3f9a10", "at": "2026-01-31T12:00:00Z", "who": "bob@example.com",
    "action": "mailbox.change", "words": "changed the mailbox anna@example.com", "subject": "anna@example.com",
    "before": {"quota_mb": 1024}, "after": {"quota_mb": 2048}, "reason": "", "address": "192.0.2.7",
}  # fmt: skip
FILTERS = (
    OpenApiParameter("who", str, description="Part of an e-mail address; or `staff`, `system`."),
    OpenApiParameter("what", str, description="An action, such as `mailbox.add`."),
    OpenApiParameter("subject", str, description="Part of what it was done to."),
    OpenApiParameter("since", str, description="The first day (UTC), as `2026-01-31`."),
    OpenApiParameter("until", str, description="The last day (UTC)."),
)


class MemberFacts(serializers.Serializer):
    id = serializers.IntegerField()
    email = serializers.CharField()
    role = serializers.ChoiceField(Role.values)
    since = serializers.DateTimeField()


class MemberPage(serializers.Serializer):
    members = MemberFacts(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class MemberBody(Body):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(Role.values)


class MemberInvited(serializers.Serializer):
    email = serializers.CharField()
    role = serializers.ChoiceField(Role.values)
    expires_at = serializers.DateTimeField()


class MemberChange(Body):
    role = serializers.ChoiceField(Role.values)


class MembersView(ApiView):
    permissions: ClassVar = {"GET": Permission.MEMBERS_READ, "POST": Permission.MEMBERS_EDIT}

    @described(
        "List members, the newest first",
        data=MemberPage,
        example={"members": [BOB], "next_cursor": None},
        parameters=(CURSOR, LIMIT),
        tag="members",
    )
    def get(self, request: Request) -> Response:
        members = self.customer.memberships.select_related("user")
        found, following = page_of(members, request, order=("created_at", "pk"))
        return Response({"members": [_facts(member) for member in found], "next_cursor": following})

    @described(
        "Invite somebody by mail",
        body=MemberBody,
        sent={"email": "bob@example.com", "role": "reader"},
        data=MemberInvited,
        example={"email": "bob@example.com", "role": "reader", "expires_at": "2026-02-07T12:00:00Z"},
        status=201,
        errors=(409, 422),
        tag="members",
    )
    @answered_once
    def post(self, request: Request) -> Response:
        values = checked(MemberBody, request.data)
        refuse_owners(self, values["role"])
        made = self.customer.invite_member(values["email"], values["role"], by=self.person)
        return Response({"email": made.email, "role": made.role, "expires_at": made.expires_at}, status=201)


class MemberView(ApiView):
    permissions: ClassVar = {
        "GET": Permission.MEMBERS_READ,
        "PATCH": Permission.MEMBERS_EDIT,
        "DELETE": Permission.MEMBERS_EDIT,
    }

    @described("One member", data=MemberFacts, example=BOB, tag="members")
    def get(self, request: Request, member: int) -> Response:
        return Response(_facts(self._found(member)))

    @described(
        "Change a member's role",
        body=MemberChange,
        sent={"role": "admin"},
        data=MemberFacts,
        example={**BOB, "role": "admin"},
        errors=(422,),
        tag="members",
    )
    def patch(self, request: Request, member: int) -> Response:
        found = self._found(member)
        role = checked(MemberChange, request.data)["role"]
        refuse_owners(self, role, found.role)
        found.change_role(role, by=self.person)
        return Response(_facts(found))

    @described("Remove a member", status=204, errors=(422,), tag="members")
    def delete(self, request: Request, member: int) -> Response:
        found = self._found(member)
        refuse_owners(self, found.role)
        found.remove(by=self.person)
        return Response(status=204)

    def _found(self, number: int) -> Membership:
        found: Membership = get_object_or_404(self.customer.memberships.select_related("user"), pk=number)
        found.customer = self.customer
        return found


class AuditFacts(serializers.Serializer):
    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    who = serializers.CharField(help_text="An e-mail address, `our staff` or `the system`.")
    action = serializers.CharField()
    words = serializers.CharField(help_text="What was done, after `who` in a sentence.")
    subject = serializers.CharField(allow_blank=True)
    before = serializers.DictField(help_text="The values that changed, as they were.")
    after = serializers.DictField(help_text="The same as they became; `api_key`: the key that was used.")
    reason = serializers.CharField(allow_blank=True)
    address = serializers.CharField(
        allow_blank=True,
        help_text="Where it came from; after 90 days its network alone, and nothing of staff.",
    )


class AuditPage(serializers.Serializer):
    changes = AuditFacts(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class AuditView(ApiView):
    permissions: ClassVar = {"GET": Permission.MEMBERS_READ}

    @described(
        "What was changed and by whom, the newest first",
        data=AuditPage,
        example={"changes": [CHANGE], "next_cursor": None},
        parameters=(*FILTERS, CURSOR, LIMIT),
        tag="audit trail",
    )
    def get(self, request: Request) -> Response:
        form = AuditFilterForm(request.query_params)
        if not form.is_valid():
            raise ValidationError(form.errors.as_data())
        found, following = page_of(form.entries_of(self.customer), request, order=("at", "pk"))
        return Response({"changes": [_change(entry) for entry in found], "next_cursor": following})


def refuse_owners(view: ApiView, *roles: str) -> None:
    """A key that may change members says nothing about owners, unless it was made for that."""
    if Role.OWNER in roles and Permission.OWNERS_EDIT not in view.rights:
        raise PermissionDenied(
            f"This key lacks the right {Permission.OWNERS_EDIT.value}, or its member does."
        )


def _facts(member: Membership) -> dict[str, Any]:
    return {
        "id": member.pk,
        "email": member.user.email,
        "role": member.role,
        "since": member.created_at,
    }


def _change(entry: AuditEntry) -> dict[str, Any]:
    before, after = changed(entry)
    return {
        "id": entry.pk,
        "at": entry.at,
        "who": who(entry),
        "action": entry.action,
        "words": act(entry),
        "subject": entry.subject,
        "before": before,
        "after": after,
        "reason": reason(entry),
        "address": address(entry),
    }
