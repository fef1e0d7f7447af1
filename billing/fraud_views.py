"""What staff do about FraudRecord on the review page of an order."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from accounts.access import staff_page
from billing.access import find_order_for_staff
from billing.exempting import end_exemption, exempt_customer, exemption_of
from billing.fraud_forms import ExemptForm, ReportFileForm, ReportWithdrawForm
from billing.fraudrecord import why_off
from billing.models import OrderConflict, ReportState
from billing.reporting import file_report, withdraw_report
from billing.review_views import refused, review_page
from billing.screening import ask_again


@staff_page(right="billing.change_fraudcheck")
@require_POST
def check_ask(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    try:
        asked = ask_again(order, by=request.user)
    except OrderConflict as conflict:
        return refused(request, number, conflict)
    said = "FraudRecord is asked again. Load this page anew in a few seconds."
    messages.success(request, said if asked else "FraudRecord is being asked already.")
    return redirect("billing:review-show", order.number)


@staff_page(right="billing.add_fraudexemption")
@require_POST
def exemption_add(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    form = ExemptForm(request.POST)
    if not form.is_valid():
        return review_page(request, order, fraud=form)
    try:
        made = exempt_customer(order.customer, reason=form.cleaned_data["reason"], by=request.user)
    except OrderConflict as conflict:
        return refused(request, number, conflict)
    said = f"{order.customer.username} is exempt. Orders that wait only because of FraudRecord go on within seconds."
    messages.success(request, said if made else f"{order.customer.username} was exempt before.")
    return redirect("billing:review-show", order.number)


@staff_page(right="billing.add_fraudexemption")
@require_POST
def exemption_end(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    exemption = exemption_of(order)
    ended = exemption and end_exemption(exemption.customer, by=request.user)
    said = "The exemption is over. What it let through stays as it is."
    messages.success(request, said if ended else "There was no exemption.")
    return redirect("billing:review-show", order.number)


@staff_page(right="billing.add_fraudreport")
@require_POST
def report_file(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    if off := why_off(order.country):
        return refused(request, number, OrderConflict(off))
    form = ReportFileForm(request.POST, order=order)
    if not form.is_valid():
        return review_page(request, order, fraud=form)
    report = {"kind": form.cleaned_data["type"], "severity": form.cleaned_data["severity"]}
    try:
        filed = file_report(order, **report, text=form.cleaned_data["text"], by=request.user)
    except OrderConflict as conflict:
        return refused(request, number, conflict)
    if filed.state != ReportState.WAITING:
        messages.info(
            request, f"This very report was filed before and is not sent again. {filed.state.label}"
        )
    elif filed.attempts and filed.problem:
        messages.info(
            request, "This very report was filed before. It waits, because FraudRecord cannot be reached."
        )
    else:
        messages.success(request, "The report is filed. It is sent to FraudRecord within seconds.")
    return redirect("billing:review-show", order.number)


@staff_page(right="billing.add_fraudreport")
@require_POST
def report_withdraw(request: Any, number: str) -> HttpResponse:
    order = find_order_for_staff(number)
    form = ReportWithdrawForm(request.POST)
    if not form.is_valid():
        if "which" in form.errors:  # a hidden field: nobody could mend it
            return refused(request, number, OrderConflict("There is no such report. Nothing was changed."))
        return review_page(request, order, fraud=form)
    report = get_object_or_404(order.fraud_reports, pk=form.cleaned_data["which"])
    try:
        withdraw_report(report, reason=form.cleaned_data["reason"], by=request.user)
    except OrderConflict as conflict:
        return refused(request, number, conflict)
    messages.success(request, ReportState.WITHDRAWING.label if report.code else ReportState.WITHDRAWN.label)
    return redirect("billing:review-show", order.number)
