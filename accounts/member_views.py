"""Members of a customer: who they are, inviting, changing, removing, leaving."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, asks_again, customer_page, may
from accounts.member_forms import MemberChangeForm, MemberInviteForm
from accounts.models import Invitation, Membership
from accounts.models.invitation import find_invitation
from accounts.models.membership import manages, role_in

PAGE = 50


@customer_page(Permission.MEMBERS_READ)
@require_safe
def member_list(request: Any) -> HttpResponse:
    return _list(request)


@customer_page(Permission.MEMBERS_EDIT)
@asks_again
def member_invite(request: Any) -> HttpResponse:
    form = MemberInviteForm(request.POST if request.method == "POST" else None, of=request.role)
    if form.is_valid() and (invitation := form.run(request.customer.invite_member, by=request.user)):
        messages.success(
            request, f"{invitation.email} is invited. The link in the mail holds for seven days."
        )
        return redirect("accounts:member-list", request.customer.username)
    return render(
        request, "accounts/member_invite.html", {"form": form}, status=422 if form.is_bound else 200
    )


@customer_page(Permission.MEMBERS_READ)
@require_safe
def member_page(request: Any, member: int) -> HttpResponse:
    return _page(request, _member(request, member))


@customer_page(Permission.MEMBERS_EDIT)
@require_POST
@asks_again(form_on="../")
def member_change(request: Any, member: int) -> HttpResponse:
    found = _member(request, member, to_manage=True)
    form = MemberChangeForm(request.POST, of=request.role)
    if form.is_valid() and form.run(found.change_role, by=request.user) is not None:
        return redirect("accounts:member-list", request.customer.username)
    found.refresh_from_db(fields=["role"])
    return _page(request, found, form)


@customer_page(Permission.MEMBERS_EDIT)
@require_POST
@asks_again(form_on="../")
def member_remove(request: Any, member: int) -> HttpResponse:
    found = _member(request, member, to_manage=True)
    try:
        if found.remove(by=request.user):
            messages.success(request, f"{found.user.email} is no member any more.")
    except ValidationError as refusal:
        return _page(request, found, refusal=refusal.messages)
    if found.user == request.user:
        return redirect("accounts:home")
    return redirect("accounts:member-list", request.customer.username)


@customer_page(Permission.MEMBERS_READ, before_activation=True)
@require_POST
def member_leave(request: Any) -> HttpResponse:
    own = get_object_or_404(request.customer.memberships, user=request.user)
    try:
        own.remove(by=request.user)
    except ValidationError as refusal:
        return _list(request, refusal=refusal.messages)
    messages.success(request, f"You have left {request.customer.name}.")
    return redirect("accounts:home")


@customer_page(Permission.MEMBERS_EDIT)
@require_POST
@asks_again(form_on="../../../")
def invitation_resend(request: Any, invitation: str) -> HttpResponse:
    found = _invitation(request, invitation)
    try:
        again = found.resend(by=request.user)
    except ValidationError as refusal:
        return _list(request, refusal=refusal.messages)
    text = "The invitation was mailed again; the former link is dead."
    messages.success(request, text if again else "It was mailed just now. Wait a minute.")
    return redirect("accounts:member-list", request.customer.username)


@customer_page(Permission.MEMBERS_EDIT)
@require_POST
def invitation_revoke(request: Any, invitation: str) -> HttpResponse:
    found = _invitation(request, invitation)
    try:
        if found.revoke(by=request.user):
            messages.success(request, f"The invitation of {found.email} is revoked; its link is dead.")
    except ValidationError as refusal:
        return _list(request, refusal=refusal.messages)
    return redirect("accounts:member-list", request.customer.username)


@login_not_required
@never_cache
@require_safe
def invitation_page(request: Any, secret: str) -> HttpResponse:
    """What the link in the mail leads to; looking changes nothing, as programs look at links too."""
    return _invitation_page(request, secret, _by_secret(secret))


@never_cache
def invitation_accept(request: Any, secret: str) -> HttpResponse:
    invitation = _by_secret(secret)
    if not invitation.is_for(request.user):
        raise PermissionDenied(f"This invitation is for {invitation.email}. Sign in with that address.")
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        invitation.accept(by=request.user)
    except ValidationError as error:
        refusal = error.messages if error.code == "blocked" else None  # the page itself says of the others
        return _invitation_page(request, secret, invitation, refusal, status=422)
    return redirect(invitation.customer)


def _list(request: Any, refusal: list[str] | None = None) -> HttpResponse:
    after = int(request.GET.get("after", "0")[:18]) if request.GET.get("after", "0").isdecimal() else 0
    members = list(
        request.customer.memberships.select_related("user").filter(pk__gt=after).order_by("pk")[: PAGE + 1]
    )
    may_edit = may(request.role, Permission.MEMBERS_EDIT)
    context = {
        "members": members[:PAGE],
        "after": after,
        "more": str(members[PAGE - 1].pk) if len(members) > PAGE else "",
        "may_edit": may_edit,
        "invitations": list(request.customer.invitations.pending()[:PAGE]) if may_edit else [],
        "offer": request.customer.ownership_offers.pending()
        .select_related("offered_by", "offered_to")
        .first(),
        "refusal": refusal,
    }
    return render(request, "accounts/member_list.html", context, status=422 if refusal else 200)


def _page(
    request: Any, member: Membership, form: MemberChangeForm | None = None, refusal: list[str] | None = None
) -> HttpResponse:
    context = {
        "member": member,
        "may_manage": manages(request.role, member.role),
        "form": form or MemberChangeForm(initial={"role": member.role}, of=request.role),
        "refusal": refusal,
    }
    return render(request, "accounts/member_page.html", context, status=422 if form or refusal else 200)


def _member(request: Any, pk: int, *, to_manage: bool = False) -> Membership:
    """One of the customer's members; PermissionDenied where the person's role has no say about this one."""
    member = get_object_or_404(request.customer.memberships.select_related("user"), pk=pk)
    member.customer = request.customer
    if to_manage and not manages(request.role, member.role):
        raise PermissionDenied("Only an owner changes or removes owners. Ask an owner of this customer.")
    return member


def _invitation(request: Any, pk: str) -> Invitation:
    invitation = get_object_or_404(request.customer.invitations, pk=pk)
    if not manages(request.role, invitation.role):
        raise PermissionDenied("Only an owner invites owners. Ask an owner of this customer.")
    return invitation


def _by_secret(secret: str) -> Invitation:
    invitation = find_invitation(secret)
    if invitation is None:
        raise Http404
    return invitation


def _invitation_page(
    request: Any, secret: str, invitation: Invitation, refusal: list[str] | None = None, status: int = 200
) -> HttpResponse:
    user = request.user
    over = invitation.status == "invited" and not invitation.stands
    context = {
        "secret": secret,
        "invitation": invitation,
        "customer": invitation.customer,
        "refusal": refusal,
        "status": "revoked" if over else invitation.status,
        "is_for_user": user.is_authenticated and invitation.is_for(user),
        "is_member": user.is_authenticated and role_in(invitation.customer_id, user.pk),
    }
    return render(request, "accounts/invitation_page.html", context, status=status)
