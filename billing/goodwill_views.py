"""What staff give a customer for a reason, on one page."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.access import asks_again, staff_page
from accounts.models import Customer
from billing import crediting
from billing.account import account_of
from billing.free_periods import free_months_of, give_free_months
from billing.goodwill_forms import CreditGrantForm, FreeMonthsForm
from billing.models import CreditGrant, FreeMonths, SaleConflict
from billing.submissions import read_submission

SHOWN = 50


@staff_page(right="billing.view_creditgrant")
@require_safe
def goodwill_show(request: Any, customer: str) -> HttpResponse:
    return _page(request, _find(customer))


@staff_page(right="billing.add_creditgrant")
@require_POST
@asks_again(form_on="../")
def credit_grant(request: Any, customer: str) -> HttpResponse:
    found = _find(customer)
    form = CreditGrantForm(request.POST, currency=_currency(found))
    if not form.is_valid():
        return _page(request, found, credit=form)
    wish = {"amount_minor": form.cleaned_data["amount"], "reason": form.cleaned_data["reason"]}
    submission = read_submission(form.cleaned_data, request.POST)
    try:
        crediting.grant_credit(found, **wish, currency=form.currency, submission=submission, by=request.user)
    except SaleConflict as conflict:
        return _page(request, found, conflict=str(conflict))
    except ValidationError as error:
        form.add_error(None, error)
        return _page(request, found, credit=form)
    messages.success(request, "The credit is given. The customer gets a mail.")
    return redirect("billing:goodwill-show", found.username)


@staff_page(right="billing.change_creditgrant")
@require_POST
@asks_again(form_on="../../../")
def credit_take_back(request: Any, customer: str, grant: int) -> HttpResponse:
    found = _find(customer)
    credit = get_object_or_404(found.credit_grants, pk=grant)
    try:
        if credit.take_back(by=request.user):
            messages.success(request, "What was left of the credit is taken back. The customer gets a mail.")
        else:
            messages.info(request, "Nothing is left of that credit. Nothing was changed.")
    except SaleConflict as conflict:
        return _page(request, found, conflict=str(conflict))
    return redirect("billing:goodwill-show", found.username)


@staff_page(right="billing.add_freemonths")
@require_POST
@asks_again(form_on="../")
def free_months_give(request: Any, customer: str) -> HttpResponse:
    found, form = _find(customer), FreeMonthsForm(request.POST)
    running = get_object_or_404(found.subscriptions, ended_at=None)
    if not form.is_valid():
        return _page(request, found, free=form)
    wish = {name: form.cleaned_data[name] for name in ("months", "reason")}
    submission = read_submission(form.cleaned_data, request.POST)
    try:
        give_free_months(running, **wish, submission=submission, by=request.user)
    except (SaleConflict, ValidationError) as error:
        return _page(request, found, conflict=" ".join(getattr(error, "messages", [str(error)])))
    messages.success(request, "The months are free. The customer gets a mail.")
    return redirect("billing:goodwill-show", found.username)


@staff_page(right="billing.change_freemonths")
@require_POST
@asks_again(form_on="../../../")
def free_months_withdraw(request: Any, customer: str, free: int) -> HttpResponse:
    found = _find(customer)
    given = get_object_or_404(FreeMonths, pk=free, subscription__customer=found)
    try:
        if given.withdraw(by=request.user):
            messages.success(request, "They are withdrawn. The customer gets a mail.")
    except (SaleConflict, ValidationError) as error:
        return _page(request, found, conflict=" ".join(getattr(error, "messages", [str(error)])))
    return redirect("billing:goodwill-show", found.username)


def _find(username: str) -> Customer:
    return get_object_or_404(Customer, username=username)


def _currency(customer: Customer) -> str:
    """In which its service is sold, or what it ordered last."""
    last: Any = customer.subscriptions.order_by("-started_at").first()
    last = last or customer.orders.order_by("-placed_at").first()
    return last.currency if last else str(CreditGrant._meta.get_field("currency").get_default())


def _page(
    request: Any,
    customer: Customer,
    *,
    conflict: str = "",
    credit: forms.Form | None = None,
    free: forms.Form | None = None,
) -> HttpResponse:
    running = customer.subscriptions.filter(ended_at=None).select_related("plan").first()
    given = free_months_of(customer).with_facts().select_related("subscription", "by")
    context = {
        "customer": customer,
        "conflict": conflict,
        "account": account_of(customer),
        "credits": customer.credit_grants.with_left().select_related("by").order_by("-at")[:SHOWN],
        "running": running,
        "free_months": given[:SHOWN],
        "free_form": free or FreeMonthsForm(),
        "credit_form": credit or CreditGrantForm(currency=_currency(customer)),
    }
    status = 409 if conflict else 422 if credit or free else 200
    return render(request, "billing/goodwill_show.html", context, status=status)
