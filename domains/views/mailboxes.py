from typing import Any, Literal

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, customer_page
from billing.entitlements import Storage, storage_of
from domains.bulk_form import BulkAddForm
from domains.forms import (
    MailboxAddForm,
    MailboxChangeForm,
    MailboxInviteForm,
    MailboxLimitForm,
    MailboxPasswordForm,
    MailboxSuspendForm,
)
from domains.mailbox_search import MOST_COUNTED, MailboxSearch
from domains.models import BulkVerb, Domain, Mailbox
from domains.models.send_raise import sending_of
from domains.models.sending import plan_sends


@customer_page(Permission.MAILBOXES_READ)
@require_safe
def mailbox_list(request: Any, domain: str) -> HttpResponse:
    found = domain_of(request, domain, storage=storage_of("customer"))
    return list_of(request, MailboxSearch(found, request.GET))


def list_of(request: Any, search: MailboxSearch, bulk_form: BulkAddForm | None = None) -> HttpResponse:
    """The list, of a domain with its `storage`; with a `bulk_form` that was refused, 422 and what was chosen."""
    found: Any = search.domain
    context = {
        "domain": found,
        "search": search,
        "page": search.page(),
        "deleted": search.deleted(),
        "most_counted": MOST_COUNTED,
        "effective": found.server.sync.effective if found.server else 0,
        "list_url": found.mailboxes_url,
        "bulk_verbs": BulkVerb.choices,
        "bulk_form": bulk_form,
        "storage": Storage.of(found.storage),
    }
    return render(request, "domains/mailbox_list.html", context, status=422 if bulk_form else 200)


@customer_page(Permission.MAILBOXES_EDIT)
def mailbox_add(request: Any, domain: str) -> HttpResponse:
    found = domain_of(request, domain)
    form = MailboxAddForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and (mailbox := form.run(found.add_mailbox, by=request.user)):
        return redirect(mailbox)
    context = {"domain": found, "form": form}
    return render(request, "domains/mailbox_add.html", context, status=422 if form.is_bound else 200)


@customer_page(Permission.MAILBOXES_READ)
@require_safe
def mailbox_page(request: Any, domain: str, username: str) -> HttpResponse:
    """The page; to htmx, which asks again until the mailbox is live, the part of it that says so."""
    mailbox = mailbox_of(request, domain, username)
    template = "domains/_mailbox_live.html" if request.htmx else "domains/mailbox_page.html"
    response = render(request, template, page_context(mailbox))
    patch_vary_headers(response, ["HX-Request"])
    return response


@customer_page(Permission.MAILBOXES_EDIT)
def mailbox_change(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="live")
    initial = {"quota_mb": mailbox.quota_mb, "name": mailbox.name}
    form = MailboxChangeForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid() and form.run(mailbox.change, by=request.user) is not None:
        return redirect(mailbox)
    context = {"mailbox": mailbox, "form": form}
    return render(request, "domains/mailbox_change.html", context, status=422 if form.is_bound else 200)


@customer_page(Permission.MAILBOXES_EDIT)
def mailbox_limit(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="live")
    initial = {"limit": mailbox.sends_per_day}
    form = MailboxLimitForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid() and form.run(mailbox.limit_sends, by=request.user) is not None:
        return redirect(mailbox)
    context = {"mailbox": mailbox, "form": form, "plan_sends": plan_sends(request.customer)}
    return render(request, "domains/mailbox_limit.html", context, status=422 if form.is_bound else 200)


@customer_page(Permission.MAILBOXES_EDIT)
def mailbox_password(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="live")
    form = MailboxPasswordForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and form.run(mailbox.set_password, by=request.user) is not None:
        messages.success(request, "The password is changed. Mail programs ask for the new one from now on.")
        return redirect(mailbox)
    context = {"mailbox": mailbox, "form": form}
    return render(request, "domains/mailbox_password.html", context, status=422 if form.is_bound else 200)


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def mailbox_suspend(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="live")
    form = MailboxSuspendForm(request.POST)
    if form.is_valid() and form.run(mailbox.suspend, by=request.user) is not None:
        return redirect(mailbox)
    return render(request, "domains/mailbox_page.html", page_context(mailbox, suspend_form=form), status=422)


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def mailbox_unsuspend(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="live")
    try:
        mailbox.unsuspend(by=request.user)
    except ValidationError as refusal:
        return refused(request, mailbox, refusal)
    return redirect(mailbox)


@customer_page(Permission.MAILBOXES_EDIT)
def mailbox_delete(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username)
    if request.method != "POST":
        if mailbox.deleted_at:
            return redirect(mailbox)  # which says so
        return render(request, "domains/mailbox_delete.html", {"mailbox": mailbox})
    try:
        if mailbox.delete(by=request.user):
            messages.success(
                request, f"{mailbox} was deleted. For 30 days its page can restore it with its mail."
            )
    except ValidationError as refusal:
        return refused(request, mailbox, refusal)
    return redirect(mailbox.domain)


@customer_page(Permission.MAILBOXES_EDIT)
@require_POST
def mailbox_restore(request: Any, domain: str, username: str) -> HttpResponse:
    mailbox = mailbox_of(request, domain, username, of="to_restore")
    try:
        if mailbox.restore(by=request.user):
            messages.success(request, f"{mailbox} is back, with its mail and its password.")
    except ValidationError as refusal:
        return refused(request, mailbox, refusal)
    return redirect(mailbox)


def refused(request: Any, mailbox: Mailbox, refusal: ValidationError) -> HttpResponse:
    context = page_context(mailbox, refusal=refusal.messages)
    return render(request, "domains/mailbox_page.html", context, status=422)


def page_context(mailbox: Mailbox, **more: Any) -> dict[str, Any]:
    """What the page of a mailbox shows."""
    forms = {"suspend_form": MailboxSuspendForm(), "invite_form": MailboxInviteForm()}
    facts = {"invitation": mailbox.invitation, "sending": sending_of(mailbox)}
    return {"mailbox": mailbox, **facts, **forms, **more}


def domain_of(request: Any, name: str, **beside: Any) -> Domain:
    """The customer's live domain of this name, with its server, and annotated with what is wanted `beside`."""
    domains = request.customer.domains.live().select_related("customer__placement__server__sync")
    found: Domain = get_object_or_404(domains.annotate(**beside), name=name)
    return found


def mailbox_of(
    request: Any, domain: str, name: str, *, of: Literal["named", "live", "to_restore"] = "named"
) -> Mailbox:
    """The mailbox with this local part or address: the live one; else, or first for `to_restore`, the one
    that was deleted last and can be restored, or of several the one that the button names. Http404 without.
    """
    found = domain_of(request, domain)
    local_part, _, of_domain = name.partition("@")
    if of_domain not in ("", found.name):
        raise Http404
    if of == "live":
        mailboxes = found.mailboxes.live().named(local_part)
    elif of == "to_restore":
        mailboxes = found.mailboxes.to_restore(local_part, request.POST.get("which", ""))
    else:
        mailboxes = found.mailboxes.named(local_part)
    mailbox: Mailbox = get_object_or_404(mailboxes)
    mailbox.domain = found  # with its server, already read
    return mailbox
