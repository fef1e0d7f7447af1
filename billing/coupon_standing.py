"""What a customer reads about the coupon of a service that runs."""

from dataclasses import dataclass

from billing.models import PeriodQuote, Renewal, Subscription
from billing.models.couponed import is_untouched
from billing.renewal_standing import RunningService


@dataclass(frozen=True)
class CouponStanding:
    """`words`: "Coupon SPRING, 20 %: for 2 more years"; `may_be_dropped`: nothing was sold with it yet."""

    words: str
    may_be_dropped: bool


def coupon_of(service: RunningService, renewal: Renewal | None) -> CouponStanding | None:
    """None where there is none, or it is over; `renewal` is the one that is to be paid."""
    subscription = service.subscription
    use = subscription.coupon_use
    if use is None:
        return None
    left = use.left_from(subscription.periods)
    if renewal and renewal.coupon_use_id == use.pk:
        renewal.coupon_use = use
    announced = renewal if renewal and is_untouched(renewal) else None
    if left == 0 and not (announced and announced.coupon_use_id == use.pk):
        return None
    unit = service.next_period.removesuffix("ly")
    if left is None:
        words = f"for every {unit} to come"
    elif left:
        words = f"for {left} more {unit}{'s' if left > 1 else ''}"
    else:
        words = "for the renewal that is announced"
    price = subscription.price_of(subscription.periods, service.next_version, service.next_period)
    if left != 0 and not price["discount_minor"]:
        words += ", but not for this plan or price"
    sold = announced.number if announced else subscription.periods
    return CouponStanding(f"{use}: {words}", use.first_period >= sold)


def coupon_then(service: Subscription, quote: PeriodQuote) -> str:
    """What becomes of its coupon when it is paid by another period, in words; empty where none holds. Coupons are counted in
    periods, however long these are.
    """
    use = service.coupon_use
    if use is None or use.given_back_at or not use.holds_for(quote.number):
        return ""
    unit, left = quote.period.removesuffix("ly"), use.left_from(quote.number)
    if not quote.discount_minor:
        return (
            f"{use}: it does not fit this price, so nothing is taken off, and its periods go by all the same."
        )
    if left is None:
        return f"{use}: it goes on, and is taken off every {unit} to come."
    which = f"{left} {unit}s" if left > 1 else unit
    return f"{use}: it is counted in periods, so it is taken off the next {which}; then the full price holds."
