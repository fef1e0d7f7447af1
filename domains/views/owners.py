"""Pages by which the owner of a mailbox sets its password, and those by which they are invited to."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Permission, customer_page
from domains.forms import MailboxInviteForm, MailboxPasswordForm
from domains.models.mailbox_invitation import find_invitation, find_ready, invite_owner
from domains.views.mailboxes import mailbox_of, page_context

READY = "mailbox_ready"  # in the session: the id of the mailbox whose password was just set


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def mailbox_invite(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="live")
    form = MailboxInviteForm(request.POST)
    if form.is_valid():
        try:
            invite_owner(mailbox, form.cleaned_data["invite"], by=request.user)
            return redirect(mailbox)
        except ValidationError as refusal:
            form.add_error(None, refusal)
    return render(request, "domains/mailbox_page.html", page_context(mailbox, invite_form=form), status=422)


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def mailbox_uninvite(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="live")
    if mailbox.invitation:
        mailbox.invitation.revoke(by=request.user)
    return redirect(mailbox)


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def owner_password(request: Any, token: str) -> HttpResponse:
    """Looking at it uses nothing up, because mail scanners look too."""
    invitation = find_invitation(token)
    if invitation is None:
        return render(request, "domains/owner_link_over.html", status=404)
    form = MailboxPasswordForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and form.run(invitation.accept):
        request.session[READY] = str(invitation.mailbox_id)
        return redirect("domains:owner-ready")
    context = {"mailbox": invitation.mailbox, "form": form}
    return render(request, "domains/owner_password.html", context, status=422 if form.is_bound else 200)


@login_not_required
@never_cache
@require_safe
def owner_ready(request: Any) -> HttpResponse:
    """What to enter into mail programs, in the browser that has just set the password."""
    mailbox = find_ready(request.session.get(READY, ""))
    if mailbox is None:
        raise Http404
    return render(request, "domains/owner_ready.html", {"mailbox": mailbox})
