"""Services, their renewals, and what changed them, in the stock admin: to look things up."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.admin import ReadOnlyAdmin
from billing.dunning import outlook
from billing.models import (
    FreeMonths,
    PlanChange,
    Renewal,
    RenewalCharge,
    RenewalKind,
    Subscription,
    SubscriptionCancellation,
)
from billing.renewal_lists import for_outlook, know_invoice
from billing.renewal_standing import what_comes


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ("customer", "plan", "period", "started_at", "ended_at", "goodwill")
    list_select_related = ("customer", "plan")
    list_filter = ("plan",)
    search_fields = ("customer__username", "order__number")

    @admin.display(description="goodwill")
    def goodwill(self, subscription: Subscription) -> str:
        url = reverse("billing:goodwill-show", args=[subscription.customer.username])
        return format_html('<a href="{}">Credits and free months</a>', url)


class RenewalStandingFilter(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [("open", "To be paid"), ("late", "To be paid, its day has come"), ("settled", "Paid")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Renewal]) -> QuerySet[Renewal]:
        if self.value() == "settled":
            return queryset.exclude(settled_at=None)
        if self.value() not in ("open", "late"):
            return queryset
        found = queryset.filter(settled_at=None)
        late = Q(from_on__lte=timezone.localdate(), kind=RenewalKind.PERIOD)
        return found.filter(late) if self.value() == "late" else found


@admin.register(Renewal)
class RenewalAdmin(ReadOnlyAdmin):
    list_display = ("invoice_number", "kind", "subscription", "from_on", "total", "settled_at", "what_comes")
    list_filter = (RenewalStandingFilter, "kind")
    list_per_page = 50
    search_fields = ("subscription__customer__username", "invoices__number")
    date_hierarchy = "from_on"
    readonly_fields = ("invoice_number", "what_comes")

    def get_queryset(self, request: HttpRequest) -> Any:
        """With all that is shown of each row, in as many queries for many as for one."""
        return for_outlook(super().get_queryset(request))

    @admin.display(description="invoice")
    def invoice_number(self, renewal: Renewal) -> str:
        """Its last one, which leads to its page, where payments are recorded."""
        invoice = know_invoice(renewal)
        url = reverse("billing:renewal-show", args=[invoice.number])
        return format_html('<a href="{}">{}</a>', url, invoice.number)

    @admin.display(description="what comes next")
    def what_comes(self, renewal: Renewal) -> str:
        know_invoice(renewal)
        return " ".join(what_comes(renewal, outlook(renewal))) if renewal.is_open else "Nothing"


@admin.register(RenewalCharge)
class RenewalChargeAdmin(ReadOnlyAdmin):
    list_display = ("renewal", "number", "card", "amount", "at", "state", "reason")
    list_select_related = ("renewal__plan", "card")
    list_filter = ("state",)
    search_fields = ("renewal__subscription__customer__username", "intent")
    date_hierarchy = "at"


@admin.register(SubscriptionCancellation)
class SubscriptionCancellationAdmin(ReadOnlyAdmin):
    list_display = ("subscription", "by", "at", "withdrawn_at", "withdrawn_by")
    list_select_related = ("subscription__plan", "subscription__customer", "by", "withdrawn_by")
    search_fields = ("subscription__customer__username",)
    date_hierarchy = "at"


@admin.register(PlanChange)
class PlanChangeAdmin(ReadOnlyAdmin):
    list_display = ("subscription", "version", "period", "by", "at", "ended_at", "outcome", "why")
    list_select_related = ("subscription__plan", "subscription__customer", "version__plan", "by")
    list_filter = ("outcome",)
    search_fields = ("subscription__customer__username",)
    date_hierarchy = "at"


@admin.register(FreeMonths)
class FreeMonthsAdmin(ReadOnlyAdmin):
    list_display = ("subscription", "months", "from_on", "reason", "by", "at", "withdrawn_at")
    list_select_related = ("subscription__plan", "subscription__customer", "by")
    search_fields = ("subscription__customer__username",)
    date_hierarchy = "at"
    exclude = ("submission", "fingerprint")
