from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, customer_page
from accounts.models import Customer
from domains.dns import hosts
from domains.dns.ownership import VALUE
from domains.dns_watch import AskedTooOften, count_asking
from domains.forms import DomainAddForm, DomainDeleteForm
from domains.models import Domain, OwnershipKey, add_domain, open_claim

PAGE = 50
DELETED_SHOWN = 20


@customer_page(Permission.DOMAINS_READ)
@require_safe
def domain_list(request: Any) -> HttpResponse:
    """Live domains, page by page; beside their first page the deleted ones, with pages of their own."""
    after, deleted_after = (request.GET.get(name, "")[:253] for name in ("after", "deleted_after"))
    counted = Count("mailboxes", filter=Q(mailboxes__deleted_at=None))
    live = request.customer.domains.live().select_related("customer", "dns_check")
    domains, more = _page(live.annotate(mailbox_count=counted), after)
    restorable = request.customer.domains.restorable().select_related("customer")
    deleted, deleted_more = ([], "") if after else _page(restorable, deleted_after)
    context = {"domains": domains, "after": after, "more": more, "deleted": deleted}
    context |= {"deleted_after": deleted_after, "deleted_more": deleted_more}
    context["list_url"] = reverse("domains:domain-list", args=[request.customer.username])
    return render(request, "domains/domain_list.html", context)


@customer_page(Permission.DOMAINS_EDIT)
def domain_add(request: Any) -> HttpResponse:
    form = DomainAddForm(
        request.POST if request.method == "POST" else None,
        customer=request.customer,
        initial={"domain": _ordered_name(request.customer)},
    )
    if form.is_valid():
        try:
            return redirect(add_domain(request.customer, form.cleaned_data["domain"], by=request.user))
        except ValidationError as refusal:
            claim = open_claim(request.customer, form.name)  # it is proved
            form.refuse(claim.refusal if claim else refusal)
    label = OwnershipKey.of(request.customer).label
    record_name = f"{label}.{form.name}" if form.name else label
    context = {"form": form, "record_name": record_name, "record_value": VALUE}
    return render(request, "domains/domain_add.html", context, status=422 if form.is_bound else 200)


@customer_page(Permission.DOMAINS_READ)
@require_safe
def domain_page(request: Any, domain: str) -> HttpResponse:
    found = _named(request, domain)
    deleted = found.mailboxes.restorable().order_by("-deleted_at")[:DELETED_SHOWN]
    return render(request, "domains/domain_page.html", {"domain": found, "deleted_mailboxes": deleted})


@customer_page(Permission.DOMAINS_EDIT)
@require_POST
def domain_check(request: Any, domain: str) -> HttpResponse:
    found = get_object_or_404(_with_server(request).live(), name=domain)
    try:
        count_asking(found)
    except AskedTooOften as often:
        answer = render(
            request, "domains/domain_page.html", {"domain": found, "refusal": [often]}, status=429
        )
        answer["Retry-After"] = often.wait
        return answer
    found.check_dns(by_hand=True)
    return redirect(found)


@customer_page(Permission.DOMAINS_EDIT)
def domain_delete(request: Any, domain: str) -> HttpResponse:
    found = _named(request, domain)
    if found.deleted_at and request.method != "POST":
        return redirect(found)  # which says so
    form = DomainDeleteForm(request.POST if request.method == "POST" else None, name=found.name)
    if form.is_valid():
        if found.delete(by=request.user):
            messages.success(
                request, f"{found} was deleted. For 30 days its page can restore it with everything in it."
            )
        return redirect(request.customer)
    context = {"domain": found, "form": form, "mailbox_count": found.mailboxes.live().count()}
    return render(request, "domains/domain_delete.html", context, status=422 if form.is_bound else 200)


@customer_page(Permission.DOMAINS_EDIT)
@require_POST
def domain_restore(request: Any, domain: str) -> HttpResponse:
    found = get_object_or_404(_with_server(request).to_restore(domain, request.POST.get("which", "")))
    try:
        if found.restore(by=request.user):
            messages.success(request, f"{found} is back as it was.")
    except ValidationError as refusal:
        return render(
            request, "domains/domain_page.html", {"domain": found, "refusal": refusal.messages}, status=422
        )
    return redirect(found)


@customer_page(Permission.DOMAINS_READ)
@require_safe
def domain_zone(request: Any, domain: str) -> HttpResponse:
    """All records as lines for a BIND zone file."""
    found = get_object_or_404(_with_server(request).live(), name=domain)
    return _file(hosts.bind(found.records), "text/plain", f"{found}.zone")


@customer_page(Permission.DOMAINS_READ)
@require_safe
def domain_csv(request: Any, domain: str) -> HttpResponse:
    found = get_object_or_404(_with_server(request).live(), name=domain)
    return _file(hosts.table(found.records), "text/csv", f"{found}.csv")


@customer_page(Permission.DOMAINS_READ)
@require_safe
def domain_dkim(request: Any, domain: str) -> HttpResponse:
    found = get_object_or_404(_with_server(request).live(), name=domain)
    record = next(record for record in found.records if record.kind == "dkim")
    parts = {"chunks": hosts.chunks(record.value), "quoted": hosts.quoted(record.value)}
    context = {"domain": found, "key": found.dkim_key, "record": record}
    return render(request, "domains/domain_dkim.html", context | parts)


def _file(text: str, content_type: str, name: str) -> HttpResponse:
    disposition = f'attachment; filename="{name}"'
    return HttpResponse(
        text, content_type=f"{content_type}; charset=utf-8", headers={"Content-Disposition": disposition}
    )


def _page(domains: Any, after: str) -> tuple[list[Domain], str]:
    """The domains whose names come after this one, PAGE at most, and after which name there are more ("": none)."""
    found = list(domains.filter(name__gt=after).order_by("name", "-deleted_at")[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].name if len(found) > PAGE else ""


def _ordered_name(customer: Customer) -> str:
    """The domain that the last order is for, until the customer has it."""
    order = customer.orders.first()
    if order is None or customer.domains.live().filter(name=order.domain).exists():
        return ""
    return order.domain


def _with_server(request: Any) -> Any:
    return request.customer.domains.select_related("dns_check", "customer__placement__server__sync")


def _named(request: Any, name: str) -> Domain:
    """The customer's live domain of this name, else the deleted one that can be restored; Http404 without
    either.
    """
    return get_object_or_404(_with_server(request).named(name))
