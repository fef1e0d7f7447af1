"""What a price is with a coupon and without, before anything is sold, in words."""

from dataclasses import dataclass

from billing.models.coupon import Coupon
from billing.money import format_money
from billing.tax import TaxedPrice


@dataclass(frozen=True)
class CouponPrice:
    """`full_minor`: without the coupon and without tax; `taxed`: the same with tax, None where there is none."""

    coupon: Coupon
    full_minor: int
    currency: str
    period: str
    taxed: TaxedPrice | None = None

    @property
    def off_minor(self) -> int:
        return self.coupon.off(self.full_minor, self.currency)

    @property
    def off(self) -> str:
        return format_money(self.off_minor, self.currency)

    @property
    def full(self) -> str:
        return format_money(self.full_minor, self.currency)

    @property
    def per(self) -> str:
        """`year` or `month`."""
        return self.period.removesuffix("ly")

    @property
    def how_long(self) -> str:
        """ "For the first 2 years; then the full price." """
        count = self.coupon.periods
        if count is None:
            return f"For every {self.per}."
        times = f"the first {self.per}" if count == 1 else f"the first {count} {self.per}s"
        return f"For {times}; then the full price."
