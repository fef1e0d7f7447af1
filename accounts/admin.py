from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from accounts import audit, lifting
from accounts.audit_words import act
from accounts.factor_forms import FactorLiftAskForm
from accounts.factors import factors_of
from accounts.models import (
    AuditEntry,
    Customer,
    CustomerSuspension,
    FactorLift,
    Membership,
    Notice,
    SuspensionCause,
    User,
)
from foundation.lines import one_line
from foundation.unit_of_work import unit_of_work

REASON: dict[str, Any] = {
    "label": "Reason",
    "max_length": 500,
    "validators": [one_line],
    "help_text": "Why you do this. The members of the customer read it on their page of changes.",
}


class ReadOnlyAdmin(admin.ModelAdmin):
    """Facts: seen and searched, never edited by hand."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VerbAdmin(admin.ModelAdmin):
    """Forms whose saving calls a verb: the page's transaction is a unit of work, which Django's own one joins."""

    def changeform_view(self, *args: Any, **kwargs: Any) -> Any:
        with unit_of_work():
            return super().changeform_view(*args, **kwargs)


class NothingByHand(VerbAdmin):
    """Rows that change through verbs alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReasonForm(forms.ModelForm):
    reason = forms.CharField(**REASON)


class ReasonActionForm(ActionForm):
    reason = forms.CharField(**REASON, required=False)  # `response_action` asks for it, and says why


class ReasonedAdmin(admin.ModelAdmin):
    """What staff do here to a customer's things has a reason, which stands in each audit entry that comes of it. Name
    the `fields` of the page.
    """

    form: Any = ReasonForm
    action_form = ReasonActionForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The reason comes last, for those who can change something; some rows keep one as a field of their own."""
        if any(field.name == "reason" for field in self.model._meta.fields):
            return self.fields
        fields = [name for name in self.fields or () if name != "reason"]
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        editable = set(fields) - set(self.get_readonly_fields(request, obj))
        return [*fields, "reason"] if may and editable else fields

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Where nothing can be changed there is no reason to give."""
        if "reason" not in self.get_fields(request, obj):
            kwargs["form"] = forms.ModelForm
        return super().get_form(request, obj, change, **kwargs)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with audit.because(request.POST.get("reason", "")):
            return super().changeform_view(request, *args, **kwargs)

    def response_action(self, request: Any, queryset: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            request.reason = forms.CharField(**REASON).clean(request.POST.get("reason", ""))
        except ValidationError as error:
            self.message_user(
                request, f"Nothing was done. Reason: {' '.join(error.messages)}", messages.ERROR
            )
            return redirect(request.get_full_path())
        with audit.because(request.reason):
            return super().response_action(request, queryset, *args, **kwargs)


class AuditedAdmin(admin.ModelAdmin):
    """What is edited by hand stands in the audit trail, beside what verbs did."""

    def construct_change_message(self, request: Any, form: Any, formsets: Any, add: bool = False) -> Any:
        changed = [name for name in form.changed_data if name != "reason"]
        request.by_hand = {
            "before": {name: _plain(form.initial.get(name)) for name in changed},
            "after": {name: _plain(form.cleaned_data[name]) for name in changed},
        }
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        self._record("add", request, obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        if request.by_hand["after"]:
            self._record("change", request, obj)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: Any, queryset: Any) -> Any:
        with transaction.atomic():
            for obj in queryset:
                audit.record(f"{obj._meta.model_name}.delete", by=request.user, subject=str(obj))
            return super().log_deletions(request, queryset)

    def _record(self, verb: str, request: Any, obj: Any) -> None:
        customer = obj if isinstance(obj, Customer) else None
        action = f"{obj._meta.model_name}.{verb}"
        audit.record(action, by=request.user, customer=customer, subject=str(obj), **request.by_hand)


def _plain(value: Any) -> Any:
    """A form's value as the audit trail keeps it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    return [str(each) for each in value] if isinstance(value, Iterable) else str(value)


@admin.register(User)
class UserAdmin(ReasonedAdmin, AuditedAdmin):
    list_display = ("email", "name", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    fields = (
        "email", "name", "is_active", "is_staff", "is_superuser", "groups", "second_factor", "last_login", "date_joined",
    )  # fmt: skip
    readonly_fields = ("email", "second_factor", "last_login", "date_joined")
    filter_horizontal = ("groups",)

    @admin.display(description="second factor")
    def second_factor(self, obj: User) -> str:
        """What there is, and the way to take a lost one off."""
        held = ", ".join(factors_of(obj).values())
        url = f"{reverse('admin:accounts_factorlift_add')}?user={obj.pk}"
        return format_html('{} · <a href="{}">It is lost</a>', held, url) if held else "none"

    def get_readonly_fields(self, request: Any, obj: Any = None) -> Any:
        """Only a superuser makes staff of people, so that no other member of staff raises their own rights."""
        rights = () if request.user.is_superuser else ("is_staff", "is_superuser", "groups")
        return (*self.readonly_fields, *rights)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(admin.TabularInline):
    """To look at: members come, change and go by the verbs of the customer's own pages alone."""

    model = Membership
    extra = 0
    fields = readonly_fields = ("user", "role", "created_at")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("user", "customer").order_by("created_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Customer)
class CustomerAdmin(ReasonedAdmin, AuditedAdmin):
    list_display = ("username", "name", "created_at", "activated_at", "ended_at")
    search_fields = ("username", "name", "members__email")
    fields = ("username", "name", "created_at", "activated_at", "ended_at")
    readonly_fields = ("username", "created_at", "activated_at", "ended_at")
    inlines = (MembershipInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(CustomerSuspension)
class CustomerSuspensionAdmin(ReasonedAdmin, VerbAdmin):
    """Adding one suspends the customer; the action lifts it. Both go through the customer's verbs, and never touch one for
    money.
    """

    form = forms.ModelForm  # its reason is a field of its own
    list_display = ("customer", "cause", "stops", "reason", "at", "until", "lifted_at")
    list_filter = ("cause",)
    search_fields = ("customer__username", "reason")
    raw_id_fields = ("customer",)
    fields = ("customer", "stops", "reason", "until")
    readonly_fields = ("cause",)
    actions = ("lift",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.fields, *self.readonly_fields) if obj else self.fields

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: Any, obj: CustomerSuspension, form: Any, change: bool) -> None:
        made = obj.customer.suspend(reason=obj.reason, stops=obj.stops, until=obj.until, by=request.user)
        obj.pk = made.pk

    @admin.action(description="Lift these suspensions", permissions=["add"])
    def lift(self, request: Any, queryset: Any) -> None:
        chosen = queryset.select_related("customer")
        for suspension in chosen.filter(cause=SuspensionCause.STAFF)[:200]:
            suspension.customer.lift_suspension(by=request.user)
        if chosen.filter(cause=SuspensionCause.UNPAID).exists():
            text = "What is stopped until an invoice is paid was not lifted."
            self.message_user(request, text, messages.WARNING)


@admin.register(FactorLift)
class FactorLiftAdmin(ReasonedAdmin, VerbAdmin):
    """Adding one begins the delay after which somebody's second factor comes off; the action stops it."""

    form = FactorLiftAskForm
    fields = ("user", "reason")
    list_display = ("user", "state", "reason", "by", "at", "due_at")
    list_select_related = ("user", "by")
    search_fields = ("user__email", "reason")
    raw_id_fields = ("user",)
    actions = ("stop",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.by = request.user
        return form

    def save_model(self, request: Any, obj: FactorLift, form: Any, change: bool) -> None:
        obj.pk = lifting.ask_lift(obj.user, reason=obj.reason, by=request.user).pk

    @admin.display(description="state")
    def state(self, obj: FactorLift) -> str:
        return obj.status

    @admin.action(description="Stop these", permissions=["add"])
    def stop(self, request: Any, queryset: Any) -> None:
        for lift in queryset.select_related("user")[:200]:
            lifting.stop_lift(lift, by=request.user)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "act", "by", "by_staff", "customer", "address")
    list_select_related = ("by", "customer")
    search_fields = ("action", "subject", "by__email", "customer__username")
    date_hierarchy = "at"

    @admin.display(description="what")
    def act(self, entry: AuditEntry) -> str:
        return act(entry)


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ("kind", "subject_id", "created_at", "attempts", "next_attempt_at", "sent_at")
    search_fields = ("kind", "subject_id")
