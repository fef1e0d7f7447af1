"""Send limits by staff: of a mailbox raised for a time, of a customer in sum."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReasonedAdmin, ReasonForm, VerbAdmin
from domains.admin.hosting import run_on_each
from domains.models import CustomerSending, SendRaise


class SendRaiseForm(forms.ModelForm):
    """Asks the verb's questions before it is called."""

    class Meta:
        model = SendRaise
        fields = ("mailbox", "sends_per_day", "until", "reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if {"mailbox", "sends_per_day", "until"} <= data.keys():
            data["mailbox"].check_raise(data["sends_per_day"], data["until"])
        return data

    def validate_unique(self) -> None:
        """Another one that is open is replaced."""

    def validate_constraints(self) -> None:
        """Likewise."""


@admin.register(SendRaise)
class SendRaiseAdmin(ReasonedAdmin, VerbAdmin):
    """Adding one raises the send limit of a mailbox until its end, and replaces an earlier one; the action ends it."""

    form = SendRaiseForm
    fields = SendRaiseForm.Meta.fields
    list_display = ("mailbox", "sends_per_day", "until", "reason", "by", "at", "lifted_at")
    list_select_related = ("mailbox__domain", "by")
    search_fields = ("mailbox__local_part", "mailbox__domain__name")
    raw_id_fields = ("mailbox",)
    actions = ("end",)

    def save_model(self, request: Any, obj: SendRaise, form: Any, change: bool) -> None:
        data = form.cleaned_data
        facts = {"until": data["until"], "reason": data["reason"]}
        made = data["mailbox"].raise_sends(data["sends_per_day"], by=request.user, **facts)
        obj.pk, obj.by = made.pk, made.by

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and obj is None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="End now", permissions=["change"])
    def end(self, request: Any, raises: QuerySet[SendRaise]) -> None:
        run_on_each(request, raises, "end")


class CustomerSendingForm(ReasonForm):
    class Meta:
        model = CustomerSending
        fields = ("customer", "sends_per_day_in_sum")

    def clean_customer(self) -> Any:
        customer = self.cleaned_data["customer"]
        if self.instance.pk and self.instance.customer_id != customer.pk:
            raise ValidationError("This is the row of another customer.")
        return customer


@admin.register(CustomerSending)
class CustomerSendingAdmin(ReasonedAdmin, VerbAdmin):
    """A limit on what all mailboxes of a customer send together, beside that of each; and what they sent."""

    form = CustomerSendingForm
    fields = CustomerSendingForm.Meta.fields
    list_display = ("customer", "sends_per_day_in_sum", "sent", "sent_this_hour", "sent_reported_at")
    list_select_related = ("customer",)
    search_fields = ("customer__username",)
    raw_id_fields = ("customer",)

    def save_model(self, request: Any, obj: CustomerSending, form: Any, change: bool) -> None:
        wanted = form.cleaned_data["sends_per_day_in_sum"]
        CustomerSending.limit(form.cleaned_data["customer"], wanted, by=request.user)
        obj.pk = CustomerSending.objects.get(customer=obj.customer).pk

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
