"""What a customer reads about the coupon of a service that runs."""

from dataclasses import dataclass

from billing.models import Renewal
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
    unit = subscription.period.removesuffix("ly")
    if left is None:
        words = f"for every {unit} to come"
    elif left:
        words = f"for {left} more {unit}{'s' if left > 1 else ''}"
    else:
        words = "for the renewal that is announced"
    if left != 0 and not subscription.price_of(subscription.periods, service.next_version)["discount_minor"]:
        words += ", but not for this plan or price"
    sold = announced.number if announced else subscription.periods
    return CouponStanding(f"{use}: {words}", use.first_period >= sold)
