"""Ending a service, at the end of what is paid or at once, and letting it go on after all."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from accounts.access import Permission, asks_again, customer_page
from billing.invoice_document import in_words
from billing.models import Subscription
from billing.models.unpaid_days import UnpaidDays


class SubscriptionCancelForm(forms.Form):
    """When it ends; at once wants the customer's name, because mail stops then."""

    when = forms.ChoiceField(
        label="When does it end?",
        choices=[("end", "When what is paid is over"), ("now", "Now")],
        initial="end",
        widget=forms.RadioSelect,
    )
    name = forms.CharField(label="To end it now, type the customer's username", required=False, max_length=64)

    def __init__(self, data: Any = None, *, subscription: Subscription) -> None:
        super().__init__(data)
        self.subscription = subscription
        renewal = subscription.open_renewal
        self.must_be_now = bool(renewal and renewal.has_begun)
        if self.must_be_now or subscription.cancellation:
            self.fields["when"].choices = [("now", "Now")]  # type: ignore[attr-defined]
            self.fields["when"].initial = "now"
            self.fields["name"].required = True
            self.fields["name"].error_messages["required"] = self.name_is_missing

    @property
    def name_is_missing(self) -> str:
        return f"Type {self.subscription.customer.username} to end the service now."

    @property
    def unpaid_days(self) -> UnpaidDays | None:
        """What is paid with it where the service ends now and is had back."""
        renewal = self.subscription.open_renewal if self.must_be_now else None
        if not renewal or self.subscription.free_to_come:
            return None
        return UnpaidDays.of(renewal, timezone.localdate())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        is_named = cleaned.get("name", "").strip() == self.subscription.customer.username
        if cleaned.get("when") == "now" and not is_named and not self.has_error("name"):
            self.add_error("name", self.name_is_missing)
        return cleaned


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@asks_again
def subscription_cancel(request: Any) -> HttpResponse:
    """Also while something is stopped, for nobody is held."""
    running = get_object_or_404(request.customer.subscriptions.select_related("plan"), ended_at=None)
    running.customer = request.customer
    form = SubscriptionCancelForm(request.POST if request.method == "POST" else None, subscription=running)
    if form.is_valid():
        try:
            if not running.cancel(by=request.user, at_once=form.cleaned_data["when"] == "now"):
                messages.info(request, "That is so already. Nothing was changed.")
            return redirect("billing:billing-show", request.customer.username)
        except ValidationError as refusal:
            form.add_error(None, refusal)
    context = {"subscription": running, "form": form, "unpaid": form.unpaid_days}
    status = 422 if form.is_bound else 200
    return render(request, "billing/subscription_cancel.html", context, status=status)


@customer_page(Permission.ORDERS_EDIT, before_activation=True)
@require_POST
def subscription_go_on(request: Any) -> HttpResponse:
    running = request.customer.subscriptions.filter(ended_at=None).first()
    try:
        if running and running.go_on(by=request.user):
            words = f"The service goes on, and is renewed on {in_words(running.renews_on)}."
            messages.success(request, words)
    except ValidationError as refusal:
        messages.error(request, refusal.messages[0])
    return redirect("billing:billing-show", request.customer.username)
