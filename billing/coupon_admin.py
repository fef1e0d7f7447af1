"""Coupons in the stock admin: staff make and change them, and see who used them and what they gave."""

from collections import Counter
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin import AuditedAdmin, ReadOnlyAdmin, VerbAdmin
from billing.coupon_forms import CouponForm
from billing.models import Coupon, CouponUse, Order, Renewal
from billing.money import format_money


@admin.register(Coupon)
class CouponAdmin(AuditedAdmin, VerbAdmin):
    """A change reaches later uses alone: each keeps the terms of its day."""

    form = CouponForm
    list_display = ("code", "value", "periods", "use_count", "most_uses", "valid_until_on", "is_active")
    list_filter = ("is_active",)
    search_fields = ("code",)
    filter_horizontal = ("plans",)
    readonly_fields = ("uses_so_far", "given")
    fields = (
        "code", "percent", "amount_minor", "currency", "periods", "most_uses", "once_each", "valid_from_on",
        "valid_until_on", "plans", "is_active", "uses_so_far", "given",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        in_force = Count("uses", filter=Q(uses__given_back_at=None))
        return super().get_queryset(request).annotate(use_count=in_force)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # its uses refer to it; switch it off instead

    @admin.display(description="uses", ordering="use_count")
    def use_count(self, coupon: Any) -> int:
        return int(coupon.use_count)

    @admin.display(description="uses")
    def uses_so_far(self, coupon: Coupon) -> str:
        if coupon.pk is None:
            return "None yet"
        url = f"{reverse('admin:billing_couponuse_changelist')}?coupon__id__exact={coupon.pk}"
        return format_html('<a href="{}">{}</a>', url, coupon.uses.filter(given_back_at=None).count())

    @admin.display(description="given so far, without tax")
    def given(self, coupon: Coupon) -> str:
        """By currency, in two queries."""
        sums: Counter[str] = Counter()
        for sold in _sold_with():
            mine = sold.filter(coupon_use__coupon=coupon.pk).order_by().values_list("currency")
            sums.update(dict(mine.annotate(Sum("discount_minor"))))
        return (
            ", ".join(format_money(minor, currency) for currency, minor in sorted(sums.items())) or "Nothing"
        )


@admin.register(CouponUse)
class CouponUseAdmin(ReadOnlyAdmin):
    list_display = ("code", "value", "customer", "by", "at", "first_period", "given", "given_back_at")
    list_select_related = ("customer", "by")
    search_fields = ("code", "customer__username")
    date_hierarchy = "at"

    def get_queryset(self, request: HttpRequest) -> Any:
        """With what each took off, in one query for many as for one."""
        orders, renewals = (
            sold.filter(coupon_use=OuterRef("pk")).order_by().values("coupon_use")
            .annotate(sum=Sum("discount_minor")).values("sum")
            for sold in _sold_with()
        )  # fmt: skip
        given = Coalesce(Subquery(orders), 0) + Coalesce(Subquery(renewals), 0)
        return super().get_queryset(request).annotate(given_until_now=given)

    @admin.display(description="given, without tax")
    def given(self, use: Any) -> str:
        return format_money(use.given_until_now, use.currency)


def _sold_with() -> tuple[QuerySet[Any], QuerySet[Any]]:
    """Orders and renewals that did not come to nothing."""
    return Order.objects.filter(coupon_use__given_back_at=None), Renewal.objects.filter(taken_back_at=None)
