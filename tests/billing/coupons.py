"""Coupons as staff make them."""

from typing import Any

from billing.models import Coupon, Plan


def coupon(code: str = "SPRING-20", *, plans: tuple[str, ...] = (), **terms: Any) -> Coupon:
    """20 % off two periods, as often as anybody likes, unless the terms say otherwise."""
    given = {"percent": 20, "periods": 2} | terms
    if "amount_minor" in terms:
        given["percent"] = None
    made = Coupon(code=code, **given)
    made.full_clean()
    made.save()
    made.plans.set(Plan.objects.filter(slug__in=plans))
    return made
