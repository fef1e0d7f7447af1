"""The page of staff about a renewal: how it stands, and money that came in for it."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts import audit
from accounts.access import staff_page
from billing.access import find_renewal_for_staff
from billing.forms import PaymentRecordForm, ServiceEndForm
from billing.invoice_movements import movements
from billing.models import Invoice, SaleConflict
from billing.renewal_standing import attempts_of, standing_of
from billing.submissions import read_submission


@staff_page(right="billing.view_renewal")
@require_safe
def renewal_show(request: Any, invoice: str) -> HttpResponse:
    return _page(request, find_renewal_for_staff(invoice))


@staff_page(right="billing.add_payment")
@require_POST
def renewal_payment_record(request: Any, invoice: str) -> HttpResponse:
    """Money that came in otherwise than by card. What completes the sum lifts what was stopped."""
    found, form = find_renewal_for_staff(invoice), PaymentRecordForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form)
    wanted = {name: form.cleaned_data[name] for name in ("method", "reference", "amount_minor", "currency")}
    submission = read_submission(form.cleaned_data, request.POST)
    try:
        found.sale.record_payment(**wanted, submission=submission, by=request.user)
    except SaleConflict as conflict:
        return _page(request, find_renewal_for_staff(invoice), conflict=str(conflict))
    except ValidationError as error:
        form.add_error(None, error)
        return _page(request, find_renewal_for_staff(invoice), form)
    messages.success(request, "The payment is recorded.")
    return redirect("billing:renewal-show", found.number)


@staff_page(right="billing.change_subscription")
@require_POST
def renewal_service_end(request: Any, invoice: str) -> HttpResponse:
    """Where nobody pays: the service ends, and the invoice is taken back. Nothing is deleted."""
    found, form = find_renewal_for_staff(invoice), ServiceEndForm(request.POST)
    renewal: Any = found.renewal
    if not form.is_valid():
        return _page(request, found, end_form=form)
    try:
        with audit.because(form.cleaned_data["reason"]):
            ended = renewal.has_begun and renewal.subscription.cancel(by=request.user, at_once=True)
    except ValidationError as error:
        return _page(request, find_renewal_for_staff(invoice), conflict=error.messages[0])
    if not ended:
        return _page(
            request,
            find_renewal_for_staff(invoice),
            conflict="It is paid, or its period has not begun yet. Nothing was changed.",
        )
    messages.success(request, "The service has ended, and the customer is told.")
    return redirect("billing:renewal-show", found.number)


def _page(
    request: Any,
    invoice: Invoice,
    form: PaymentRecordForm | None = None,
    *,
    end_form: ServiceEndForm | None = None,
    conflict: str = "",
) -> HttpResponse:
    renewal: Any = invoice.renewal
    standing = standing_of(invoice)
    initial = {"currency": invoice.currency, "amount": renewal.due_amount}
    context = {
        "invoice": invoice,
        "renewal": renewal,
        "standing": standing,
        "attempts": attempts_of(renewal),
        "steps": renewal.steps.all(),
        "movements": movements(invoice),
        "conflict": conflict,
        "form": form or (PaymentRecordForm(initial=initial) if standing or renewal.is_over else None),
        "end_form": (end_form or ServiceEndForm()) if standing and renewal.has_begun else None,
    }
    status = 409 if conflict else 422 if form or end_form else 200
    return render(request, "billing/renewal_show.html", context, status=status)
