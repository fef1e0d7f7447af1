"""What staff do about FraudRecord on the review page of an order."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from accounts.access import staff_page
from billing import fraudrecord
from billing.access import find_order_for_staff
from billing.fraud_forms import ReportFileForm
from billing.models import OrderConflict
from billing.review_views import refused, review_page


@staff_page(right="billing.add_fraudreport")
@require_POST
def report_file(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    form = ReportFileForm(request.POST, order=order)
    if not fraudrecord.is_on():
        return refused(request, number, OrderConflict("FraudRecord is switched off here: it has no key."))
    if not form.is_valid():
        return review_page(request, order, fraud=form)
    report = {"kind": form.cleaned_data["type"], "severity": form.cleaned_data["severity"]}
    order.file_report(**report, text=form.cleaned_data["text"], by=request.user)
    messages.success(request, "The report is filed. It is sent to FraudRecord within seconds.")
    return redirect("billing:review-show", order.number)
