"""What a customer pays: how it stands, and its invoices and credit notes, as a list, each as a page and as PDF, and all of a
year in one file.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet, prefetch_related_objects
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import Permission, customer_page
from billing import invoice_pdf as drawing
from billing.account import account_of
from billing.coupon_forms import CouponUseForm
from billing.coupon_standing import coupon_of
from billing.invoice_movements import movements
from billing.kept_cards import default_card_of, know_default_card
from billing.models import Invoice
from billing.refund_standing import refund_words
from billing.renewal_standing import attempts_of, next_renewal, open_invoice, running_service, standing_of
from billing.renewal_views import lead_to_stripe
from billing.return_views import ended_service
from billing.zip_stream import zip_stream

PAGE = 50
NEWEST = 5  # on the page of how it stands
CREDITS = 20  # of which something is left, on the same page
A_YEAR = 200  # documents in one file; each takes the time of a page


@customer_page(Permission.ORDERS_READ)
@require_safe
def billing_show(request: Any) -> HttpResponse:
    return show_billing(request)


def show_billing(request: Any, coupon_form: CouponUseForm | None = None, status: int = 200) -> HttpResponse:
    """The page of how it stands; `coupon_form` is what was sent and refused."""
    newest = request.customer.invoices.with_standing().select_related(
        "renewal__plan", "renewal__former__plan"
    )
    invoices = _of(request.customer, newest.order_by("-issued_at", "-number")[:NEWEST])
    service = running_service(request.customer)
    ended = None if service else ended_service(request.customer)
    to_pay = open_invoice(service, invoices) if service else ended and ended.invoice
    account = account_of(request.customer)
    if to_pay:
        to_pay.held_minor = account.held_minor.get(to_pay.currency, 0)
    standing = standing_of(to_pay) if to_pay else None
    is_cancelled = bool(service and service.is_cancelled)
    renews = service and not to_pay and not is_cancelled and not request.customer.ended_at
    context = {
        "service": service and service.subscription,
        "free_months": service.subscription.free_to_come if service else [],
        "storage": service and service.storage,
        "ended": ended,
        "is_cancelled": is_cancelled,
        "change": service and service.change,
        "next": next_renewal(service) if service and renews else None,
        "coupon": coupon_of(service, to_pay.renewal if to_pay else None) if service else None,
        "coupon_form": coupon_form or CouponUseForm(),
        "standing": standing,
        "account": account,
        "credits": request.customer.credit_grants.some_left()[:CREDITS] if account.held else [],
        "invoices": invoices,
    }
    answer = render(request, "billing/billing_show.html", context, status=status)
    return lead_to_stripe(answer, standing)


@customer_page(Permission.ORDERS_READ)
@require_safe
def invoice_list(request: Any) -> HttpResponse:
    after = request.GET.get("after", "")
    found = _of(request.customer, _older_than(request.customer.invoices.with_standing(), after)[: PAGE + 1])
    context = {
        "invoices": found[:PAGE],
        "years": request.customer.invoices.dates("issued_on", "year", order="DESC"),
        "after": after,
        "more": found[PAGE - 1].number if len(found) > PAGE else "",
        "list_url": request.path,
    }
    return render(request, "billing/invoice_list.html", context)


@customer_page(Permission.ORDERS_READ)
@require_safe
def invoice_show(request: Any, invoice: str) -> HttpResponse:
    found = _invoice(request, invoice)
    renewal = None if found.corrects_id else found.renewal
    standing = standing_of(found)
    context = {
        "invoice": found,
        "document": found.said,
        "credit_notes": _credit_notes(found),
        "movements": movements(found),
        "refunds": [] if found.corrects_id else refund_words(found.sale),
        "standing": standing,
        "attempts": attempts_of(renewal) if renewal else [],
    }
    return lead_to_stripe(render(request, "billing/invoice_show.html", context), standing)


@customer_page(Permission.ORDERS_READ)
@require_safe
@never_cache
def invoice_pdf(request: Any, invoice: str) -> HttpResponse:
    found = _invoice(request, invoice)
    answer = HttpResponse(drawing.invoice_pdf(found.said), content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="{found.number}.pdf"'
    return answer


@customer_page(Permission.ORDERS_READ)
@require_safe
@never_cache
def invoice_year(request: Any, year: str) -> HttpResponseBase:
    """All of a year as PDF, drawn while they are sent: no more than one is in memory."""
    of_year = request.customer.invoices.filter(issued_on__year=int(year)).order_by("issued_at", "number")
    count = of_year.count()
    if not count:
        raise Http404
    if count > A_YEAR:
        words = (
            f"{year} has {count} documents, and one file takes {A_YEAR} at most. Fetch them from the list."
        )
        messages.error(request, words)
        return redirect(reverse("billing:invoice-list", args=[request.customer.username]))
    answer = StreamingHttpResponse(zip_stream(_files(of_year)), content_type="application/zip")
    name = f"{request.customer.username}-invoices-{year}.zip"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _invoice(request: Any, number: str) -> Invoice:
    sold = ("order", "renewal__plan", "renewal__former__plan", "renewal__subscription")
    invoices = request.customer.invoices.with_standing().with_held()
    invoices = invoices.annotate(card_facts=default_card_of("customer"))
    found: Any = get_object_or_404(invoices.select_related("corrects", *sold), number=number)
    if found.renewal:
        found.renewal.subscription.customer = request.customer
        know_default_card(request.customer, found.card_facts)
    if found.credited_minor:
        prefetch_related_objects([found], "credit_notes")
    for of_customer in (found, found.corrects, found.order, *_credit_notes(found)):
        if of_customer:
            of_customer.customer = request.customer
    return found


def _credit_notes(invoice: Invoice) -> list[Invoice]:
    """Not asked for where there are none."""
    return list(invoice.credit_notes.all()) if invoice.credited_minor else []


def _older_than(invoices: "QuerySet[Invoice]", number: str) -> "QuerySet[Invoice]":
    """Newest first, from behind the one of that number, if it is one of these."""
    newest_first = invoices.order_by("-issued_at", "-number")
    at = invoices.filter(number=number).values_list("issued_at", flat=True).first() if number else None
    if at is None:
        return newest_first
    return newest_first.filter(Q(issued_at__lt=at) | Q(issued_at=at, number__lt=number))


def _of(customer: Any, invoices: "QuerySet[Invoice]") -> list[Invoice]:
    """These, which are all of that customer, and know it."""
    found = list(invoices)
    for invoice in found:
        invoice.customer = customer
    return found


def _files(invoices: "QuerySet[Invoice]") -> Iterator[tuple[str, Any, bytes]]:
    for invoice in invoices:  # no cursor stays open where somebody breaks the download off
        yield f"{invoice.number}.pdf", invoice.issued_on, drawing.invoice_pdf(invoice.said)
