from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts import audit, lifting
from accounts.factor_forms import FactorLiftAskForm
from accounts.factors import factors_of
from accounts.models import AuditEntry, Customer, CustomerSuspension, FactorLift, Membership, Notice, User
from foundation.unit_of_work import unit_of_work


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


class AuditedAdmin(admin.ModelAdmin):
    """What is edited by hand stands in the audit trail, beside what verbs did: which fields, not their values."""

    def log_addition(self, request: Any, obj: Any, message: Any) -> Any:
        self._record("add", request, obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        self._record("change", request, obj, message)
        return super().log_change(request, obj, message)

    def _record(self, verb: str, request: Any, obj: Any, message: Any) -> None:
        customer = obj if isinstance(obj, Customer) else None
        after = {"by_hand": message}
        action = f"{obj._meta.model_name}.{verb}"
        audit.record(action, by=request.user, customer=customer, subject=str(obj), after=after)


@admin.register(User)
class UserAdmin(AuditedAdmin):
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
    model = Membership
    extra = 0
    raw_id_fields = ("user",)
    readonly_fields = ("created_at",)


@admin.register(Customer)
class CustomerAdmin(AuditedAdmin):
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
class CustomerSuspensionAdmin(VerbAdmin):
    """Adding one suspends the customer; the action lifts it. Both go through the customer's verbs."""

    list_display = ("customer", "stops", "reason", "at", "until", "lifted_at")
    search_fields = ("customer__username", "reason")
    raw_id_fields = ("customer",)
    fields = ("customer", "stops", "reason", "until")
    actions = ("lift",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: Any, obj: CustomerSuspension, form: Any, change: bool) -> None:
        made = obj.customer.suspend(reason=obj.reason, stops=obj.stops, until=obj.until, by=request.user)
        obj.pk = made.pk

    @admin.action(description="Lift these suspensions", permissions=["add"])
    def lift(self, request: Any, queryset: Any) -> None:
        for suspension in queryset.select_related("customer")[:200]:
            suspension.customer.lift_suspension(by=request.user)


@admin.register(FactorLift)
class FactorLiftAdmin(VerbAdmin):
    """Adding one begins the delay after which somebody's second factor comes off; the action stops it."""

    form = FactorLiftAskForm
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
    list_display = ("at", "action", "subject", "by", "customer", "address")
    list_select_related = ("by", "customer")
    search_fields = ("action", "subject", "by__email", "customer__username")
    date_hierarchy = "at"


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ("kind", "subject_id", "created_at", "attempts", "next_attempt_at", "sent_at")
    search_fields = ("kind", "subject_id")
