"""The page of staff on which money of an invoice is sent back."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.access import asks_again, staff_page
from billing.access import find_invoice_for_staff
from billing.invoice_movements import movements
from billing.models import Invoice, SaleConflict
from billing.refund_forms import RefundGiveForm
from billing.refund_standing import refund_words
from billing.submissions import read_submission


@staff_page(right="billing.add_refund")
@require_http_methods(["GET", "HEAD", "POST"])
@asks_again
def refund_give(request: Any, invoice: str) -> HttpResponse:
    found = find_invoice_for_staff(invoice)
    if request.method != "POST":
        return _page(request, found)
    form = RefundGiveForm(request.POST, sale=found.sale)
    if not form.is_valid():
        return _page(request, found, form)
    submission = read_submission(form.cleaned_data, request.POST)
    try:
        made = found.sale.refund(**form.wish, submission=submission, by=request.user)
    except SaleConflict as conflict:
        return _page(request, find_invoice_for_staff(invoice), conflict=str(conflict))
    except ValidationError as error:
        form.add_error(None, error)
        return _page(request, find_invoice_for_staff(invoice), form)
    messages.success(request, f"{made.amount} go back. The customer gets a mail.")
    return redirect("billing:refund-give", found.number)


def _page(
    request: Any, invoice: Invoice, form: RefundGiveForm | None = None, *, conflict: str = ""
) -> HttpResponse:
    sale = invoice.sale
    most_minor = sale.refundable_minor
    context = {
        "invoice": invoice,
        "sale": sale,
        "most_minor": most_minor,
        "conflict": conflict,
        "refunds": refund_words(sale, for_staff=True),
        "movements": movements(invoice),
        "form": form or (RefundGiveForm(sale=sale, most_minor=most_minor) if most_minor else None),
    }
    status = 409 if conflict else 422 if form else 200
    return render(request, "billing/refund_give.html", context, status=status)
