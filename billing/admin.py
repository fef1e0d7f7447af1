"""Orders and money in the stock admin: to look things up. Work is done on the review pages."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin import AuditedAdmin, ReadOnlyAdmin, VerbAdmin
from billing import coupon_admin, renewal_admin  # noqa: F401 they register what they show
from billing.canned_texts import KNOWN
from billing.countries import COUNTRIES
from billing.models import (
    BillingDetails,
    CannedText,
    CardOnFile,
    CardRefund,
    CardSetup,
    Checkout,
    CreditGrant,
    Dispute,
    FraudExemption,
    FraudReport,
    Invoice,
    LedgerEntry,
    Order,
    Payment,
    Plan,
    PlanVersion,
    StorageUsage,
    StripeEvent,
    TaxRate,
)
from billing.models.plan import Terms


@admin.register(Plan)
class PlanAdmin(AuditedAdmin, VerbAdmin):
    list_display = ("name", "slug", "storage_mb", "mailboxes", "domains", "prices", "is_open", "sold")
    list_filter = ("is_open",)
    search_fields = ("name", "slug")
    fieldsets = (
        (None, {"fields": ("slug", "name", "description", "is_open", "position")}),
        (
            "Terms",
            {
                "fields": tuple(field.name for field in Terms._meta.get_fields()),
                "description": "They are those of what is sold from now on. What was sold stays as it is, and so do its "
                "renewals.",
            },
        ),
    )

    @admin.display(description="versions")
    def sold(self, plan: Plan) -> str:
        url = f"{reverse('admin:billing_planversion_changelist')}?plan__id__exact={plan.pk}"
        return format_html('<a href="{}">Versions</a>', url)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what was sold refers to it; close it for orders instead


@admin.register(PlanVersion)
class PlanVersionAdmin(ReadOnlyAdmin):
    list_display = ("plan", "number", "made_at", "prices", "storage_mb", "mailboxes", "domains", "running")
    list_select_related = ("plan",)
    list_filter = ("plan",)
    ordering = ("plan__position", "plan__slug", "-number")

    def get_queryset(self, request: HttpRequest) -> Any:
        """With how many services run on each."""
        running = Count("subscriptions", Q(subscriptions__ended_at=None))
        return super().get_queryset(request).annotate(running=running)

    @admin.display(description="services that run on it")
    def running(self, version: Any) -> int:
        return int(version.running)


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ("number", "review", "customer", "plan", "total", "placed_at", "status")
    list_filter = ("plan", "period")
    search_fields = ("number", "customer__username", "email", "name", "domain")
    date_hierarchy = "placed_at"
    exclude = ("submission", "fingerprint")

    def get_queryset(self, request: HttpRequest) -> Any:
        return Order.objects.with_facts()

    @admin.display(description="review page")
    def review(self, order: Order) -> str:
        return format_html('<a href="{}">Review</a>', reverse("billing:review-show", args=[order.number]))


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ("order", "renewal", "method", "card", "reference", "amount_minor", "currency", "by", "at")
    list_select_related = ("order", "renewal__plan", "by")
    search_fields = (
        "order__number", "reference", "order__customer__username", "renewal__subscription__customer__username",
    )  # fmt: skip
    date_hierarchy = "at"
    exclude = ("submission", "fingerprint")


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    list_display = (
        "number",
        "kind",
        "customer",
        "order",
        "renewal",
        "total",
        "issued_on",
        "due_on",
        "refund",
    )
    list_select_related = ("customer", "order", "renewal__plan")
    list_filter = ("kind",)
    search_fields = ("number", "order__number", "customer__username")
    date_hierarchy = "issued_on"

    def get_list_display(self, request: HttpRequest) -> Any:
        may_refund = request.user.has_perm("billing.add_refund")
        return [name for name in self.list_display if name != "refund" or may_refund]

    def get_queryset(self, request: HttpRequest) -> Any:
        """With whether each is the last invoice of what it is of: a refund is about that one."""
        of_the_same = Q(order=OuterRef("order")) | Q(renewal=OuterRef("renewal"))
        later = Invoice.objects.filter(of_the_same, corrects=None, edition__gt=OuterRef("edition"))
        return super().get_queryset(request).annotate(is_last=~Exists(later))

    @admin.display(description="refund")
    def refund(self, invoice: Any) -> str:
        if invoice.corrects_id or not invoice.is_last:
            return ""
        return format_html(
            '<a href="{}">Send money back</a>', reverse("billing:refund-give", args=[invoice.number])
        )


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "customer", "kind", "debit", "credit", "amount", "invoice")
    list_select_related = ("customer", "invoice")
    list_filter = ("kind", "debit", "credit")
    search_fields = ("customer__username", "invoice__number")
    date_hierarchy = "at"


@admin.register(Checkout)
class CheckoutAdmin(ReadOnlyAdmin):
    list_display = ("order", "renewal", "amount_minor", "currency", "by", "at", "ended_at")
    list_select_related = ("order", "renewal__plan", "by")
    search_fields = ("order__number", "session")
    exclude = ("url",)


@admin.register(CardOnFile)
class CardOnFileAdmin(ReadOnlyAdmin):
    list_display = ("customer", "__str__", "expires_on", "is_default", "added_at", "removed_at")
    list_select_related = ("customer",)
    search_fields = ("customer__username", "method", "stripe_customer", "last4")


@admin.register(CardSetup)
class CardSetupAdmin(ReadOnlyAdmin):
    list_display = ("customer", "by", "at", "ended_at")
    list_select_related = ("customer", "by")
    search_fields = ("customer__username", "session")
    exclude = ("url",)


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    list_display = ("dispute", "case", "payment", "amount", "reason", "status_words", "due_at", "closed_at")
    list_select_related = ("payment",)
    list_filter = ("status", "reason")
    search_fields = ("dispute", "payment__reference")
    date_hierarchy = "opened_at"

    @admin.display(description="case")
    def case(self, dispute: Dispute) -> str:
        return format_html('<a href="{}">Case</a>', reverse("billing:dispute-show", args=[dispute.dispute]))


@admin.register(CreditGrant)
class CreditGrantAdmin(ReadOnlyAdmin):
    list_display = ("customer", "amount", "reason", "by", "at", "taken_back_minor")
    list_select_related = ("customer", "by")
    search_fields = ("customer__username",)
    date_hierarchy = "at"
    exclude = ("submission", "fingerprint")


@admin.register(CardRefund)
class CardRefundAdmin(ReadOnlyAdmin):
    list_display = ("payment", "amount", "reason", "at", "sent_at", "failed_at", "problem")
    list_select_related = ("payment",)
    list_filter = ("reason",)
    search_fields = ("payment__order__number", "payment__reference", "refund")


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    list_display = ("event", "kind", "about", "received_at", "outcome", "attempts")
    list_filter = ("outcome", "kind")
    search_fields = ("event", "about")
    date_hierarchy = "received_at"
    show_facets = admin.ShowFacets.ALWAYS  # how many there are of each kind


@admin.register(FraudReport)
class FraudReportAdmin(ReadOnlyAdmin):
    list_display = ("order", "kind", "severity", "by", "at", "sent_at", "problem")
    list_select_related = ("order", "by")
    search_fields = ("order__number", "code")


@admin.register(FraudExemption)
class FraudExemptionAdmin(ReadOnlyAdmin):
    list_display = ("customer", "reason", "by", "at")
    list_select_related = ("customer", "by")
    search_fields = ("customer__username", "reason")


@admin.register(CannedText)
class CannedTextAdmin(AuditedAdmin):
    """Texts that staff send often, to be inserted on the review page of an order."""

    list_display = ("title", "kind")
    list_filter = ("kind",)
    search_fields = ("title", "text")
    fieldsets = ((None, {"fields": ("title", "kind", "text"), "description": f"Placeholders: {KNOWN}"}),)


@admin.register(BillingDetails)
class BillingDetailsAdmin(ReadOnlyAdmin):
    list_display = (
        "customer",
        "company",
        "country",
        "vat_id",
        "vat_is_valid",
        "vat_checked_at",
        "changed_at",
    )
    list_select_related = ("customer",)
    list_filter = ("vat_is_valid",)
    search_fields = ("customer__username", "company", "vat_id")


@admin.register(TaxRate)
class TaxRateAdmin(AuditedAdmin):
    """Staff add what comes; what has begun stands."""

    list_display = ("country", "rate", "label", "from_on")
    search_fields = ("country",)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "country":
            return forms.ChoiceField(choices=COUNTRIES)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: TaxRate | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.has_begun)

    def has_delete_permission(self, request: HttpRequest, obj: TaxRate | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not (obj and obj.has_begun)


@admin.register(StorageUsage)
class StorageUsageAdmin(ReadOnlyAdmin):
    list_display = ("customer", "bytes_used", "at")
    list_select_related = ("customer",)
    search_fields = ("customer__username",)
