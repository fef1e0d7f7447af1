"""Paying a subscription by another period, monthly or yearly: from the first day that is not sold yet, at the price of the
version that its customer has.
"""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models

from accounts import audit, notices
from billing.models.plan import Period
from billing.models.plan_change import ChangeOutcome
from billing.money import format_money
from billing.periods import MONTHS
from billing.tax import TaxedPrice, split

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.renewal import Renewal


@dataclass(frozen=True)
class PeriodQuote:
    """What the period of this `number` costs, which begins `on` and is the first to be paid by `period`, with what a coupon
    takes off; nothing is due before. `year_minor` is what twelve months cost by it, without a coupon and with the tax of
    today, and `year_before_minor` what they cost by the period of now.
    """

    period: Period
    number: int
    price: TaxedPrice
    discount_minor: int
    on: date
    year_minor: int
    year_before_minor: int

    @property
    def total_minor(self) -> int:
        return self.price.amounts.total

    @property
    def saved_minor(self) -> int:
        """In a year; negative where it costs more."""
        return self.year_before_minor - self.year_minor

    @property
    def more_minor(self) -> int:
        """The other way round."""
        return -self.saved_minor


class ChangingPeriod(models.Model):
    """The part of `Subscription` that is about how often it is paid."""

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        _as_shown: Any
        _end_change: Any
        _locked_to_end: Any
        _periods_paid: Any
        _was_sold_too_often: Any
        _why_not_now: Any
        amount_minor: Any
        anchor_months: Any
        anchor_number: Any
        currency: Any
        customer: Any
        get_period_display: Any
        objects: Any
        period: Any
        periods: Any
        plan: Any
        plan_changes: Any
        planned_change: Any
        price_of: Any
        starts_on: Any
        step_soon: Any
        version: Any

    @property
    def other_period(self) -> Period | None:
        """By which it could be paid too; None where its version is not sold by that."""
        other = Period(self.period).other
        return other if self.version.price(other) else None

    @property
    def other_price_minor(self) -> int:
        """Of that period, without tax and before a coupon; 0 where it is not sold by it."""
        return self.version.price(Period(self.period).other) or 0

    def period_quote(self, period: Period) -> PeriodQuote:
        """ValidationError where the tax cannot be decided."""
        from billing.models.billing_details import details_of
        from billing.taxing import decide

        decision = decide(details_of(self.customer).buyer)
        number = self._periods_paid()
        price = self.price_of(number, self.version, period)
        before, after = (
            split(amount, decision.rate).total * (12 // MONTHS[Period(by)])
            for amount, by in ((self.amount_minor, self.period), (self.version.price(period) or 0, period))
        )
        return PeriodQuote(
            period=period,
            number=number,
            price=TaxedPrice(split(price["amount_minor"], decision.rate), self.currency, decision),
            discount_minor=price["discount_minor"],
            on=self.starts_on(number),
            year_minor=after,
            year_before_minor=before,
        )

    def why_not_period(self, period: Period) -> str:
        """Why it cannot be paid by this period from the next on, in words for the customer; empty where it can."""
        if why := self._why_not_now():
            return str(why)
        if period != self.period and period != self.other_period:
            return f"{self.plan.name}, as you have it, is not sold {period.label.lower()}. Write to us."
        return ""

    def change_period(self, period: Period, *, total_minor: int, by: "User") -> bool:
        """Pay by this period from the next on; false where it is so already, or planned. What was announced of the next
        period is taken back, and sold anew by the clock.

        `total_minor` is what the customer was told that the first one costs: PriceChanged where that is not so.
        ValidationError with `why_not_period`, or as `Renewal.take_back_unpaid` has it.
        """
        with self._locked_to_end() as own:
            change = own.planned_change
            if period == ((change and change.period) or own.period):
                return False
            if why := own.why_not_period(period):
                raise ValidationError(why, code="refused")
            quote = own._as_shown(lambda: own.period_quote(period), total_minor)
            made = own.plan_changes.create(version=own.version, period=period, by=by)
            after = {"period": period, "on": quote.on.isoformat(), "price": made.price}
            audit.record(
                "subscription.change_period", by=by, customer=own.customer, subject=own.plan.name, after=after
            )
            notices.send_notice("plan.period_planned", made.pk)
            own.step_soon()
            return True

    def _count_by(self, period: Period) -> None:
        """Sell the next period by this one, and count those after it from there. The day of the month stays: 31 January, 28
        February, and a year later 29 February.
        """
        months = self.anchor_months + (self.periods - self.anchor_number) * MONTHS[Period(self.period)]
        anew = {"coming_period": period, "anchor_number": self.periods, "anchor_months": months}
        type(self).objects.filter(pk=self.pk).update(**anew)
        self.refresh_from_db(fields=[*anew])

    def _take_period(self, renewal: "Renewal") -> None:
        """The period of this renewal has begun: it is paid as that was sold from now on."""
        price = renewal.version.price(renewal.period)
        before = {"period": self.period, "price": format_money(self.amount_minor, self.currency)}
        type(self).objects.filter(pk=self.pk).update(period=renewal.period, amount_minor=price)
        self.refresh_from_db()
        after = {"period": self.period, "price": format_money(self.amount_minor, self.currency)}
        name = self.plan.name
        audit.record(
            "subscription.take_period", by=None, customer=self.customer, subject=name, before=before, after=after
        )  # fmt: skip

    def _drop_planned_period(self, *, by: "User | None") -> None:
        """Nothing is paid by another period any more, though that was sold."""
        change = self.planned_change
        if change and change.period:
            self._end_change(change, ChangeOutcome.WITHDRAWN, by=by)
