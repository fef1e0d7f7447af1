"""Changing the plan of a subscription: at once for the difference where the new one is as dear or dearer, otherwise from the
first day that is not sold yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Count, Q
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer
from billing import signals
from billing.models.lapsing import RenewalKind
from billing.models.plan_change import ChangeOutcome, PlanChange
from billing.models.sale import EDITIONS
from billing.money import format_money
from billing.proration import for_days_left
from billing.stripe_amounts import least
from billing.tax import TaxedPrice, split

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.changing_period import PeriodQuote
    from billing.models.plan import PlanVersion

Quote = TypeVar("Quote", "PlanQuote", "PeriodQuote")


class PriceChanged(Exception):
    """What was shown before is not what it costs now. Nothing was changed."""


@dataclass(frozen=True)
class PlanQuote:
    """What it costs to take `version`: `now` for what is left of what is paid, `period` for the one that begins on
    `next_on`, in place of `instead_minor` without tax. It holds from `on`: today, or where it is cheaper from `next_on`.
    """

    version: "PlanVersion"
    now: TaxedPrice
    period: TaxedPrice
    instead_minor: int
    on: date
    next_on: date

    @property
    def is_at_once(self) -> bool:
        return self.on < self.next_on

    @property
    def total_minor(self) -> int:
        return self.now.amounts.total


class Changing(models.Model):
    """The part of `Subscription` that is about its plan."""

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        _locked_to_end: Any
        _take_period: Any
        amount_minor: Any
        cancellation: Any
        currency: Any
        customer: Any
        ended_at: Any
        get_period_display: Any
        objects: Any
        open_renewal: Any
        period: Any
        periods: Any
        plan: Any
        plan_changes: Any
        renewals: Any
        price_of: Any
        starts_on: Any
        step_soon: Any
        version: Any
        version_id: Any

    @property
    def planned_change(self) -> "PlanChange | None":
        """The one that waits for its day."""
        planned = self.plan_changes.filter(ended_at=None)
        found: PlanChange | None = planned.select_related("version__plan", "renewal").first()
        return found

    def plan_quote(self, version: "PlanVersion") -> PlanQuote:
        """ValidationError where the tax cannot be decided."""
        from billing.models.billing_details import details_of
        from billing.taxing import decide

        decision = decide(details_of(self.customer).buyer)
        price, today = version.price(self.period) or 0, timezone.localdate()
        number = self._periods_paid()
        then, instead = (self.price_of(number, each)["amount_minor"] for each in (version, self.version))
        starts = self._starts_from(today)
        now = split(for_days_left(max(0, price - self.amount_minor), today, starts), decision.rate)
        if now.total < least(self.currency):  # no card could pay it
            now = split(0, decision.rate)
        return PlanQuote(
            version=version,
            now=TaxedPrice(now, self.currency, decision),
            period=TaxedPrice(split(then, decision.rate), self.currency, decision),
            instead_minor=instead,
            on=today if price >= self.amount_minor and today < starts[-1] else starts[-1],
            next_on=starts[-1],
        )

    def _starts_from(self, today: date) -> list[date]:
        """The first days of what is left of the periods that are paid, and last the first day after them. Months for nothing
        count like the period behind which they come.
        """
        number = self._periods_paid()
        starts = [self.starts_on(number)]
        while starts[0] > today:
            number -= 1
            starts.insert(0, self.starts_on(number))
        return starts

    def why_not_change(self, version: "PlanVersion") -> str:
        """Why the plan cannot be changed to this version now, in words for the customer; empty where it can."""
        from billing.fitting import too_much

        if why := self._why_not_now():
            return why
        if version.price(self.period) is None or version.currency != self.currency:
            return f"{version.plan.name} is not sold {self.get_period_display().lower()} in {self.currency}. Write to us."
        if words := too_much(self.customer, version):
            return f"{version.plan.name} is too small for what you use. {' '.join(words)}"
        return ""

    def _why_not_now(self) -> str:
        """Why nothing of it can be changed now, whatever to."""
        renewal, change = self.open_renewal, self.planned_change
        if self.ended_at:
            return "The service has ended."
        if self.cancellation:
            return "The service is cancelled. Let it go on first, then change it."
        if renewal and renewal.kind == RenewalKind.UPGRADE:
            return f"The change to {renewal.plan.name} is not paid yet. Pay it, or take it back first."
        if renewal and renewal.has_begun:
            return "The period that has begun is not paid yet. Pay its invoice first."
        if change:
            return f"A change to {change.to} is planned. Take that back first, then choose anew."
        if self._was_sold_too_often():
            return "What was sold for it was taken back too often. Write to us to have it changed."
        return ""

    def _was_sold_too_often(self) -> bool:
        """Whether upgrades, or renewals of the next period, were taken back as often as may be: each is an invoice."""
        paid = self._periods_paid()
        of_now = Q(kind=RenewalKind.UPGRADE, number=paid - 1) | Q(kind=RenewalKind.PERIOD, number=paid)
        tried = self.renewals.filter(of_now).exclude(taken_back_at=None)
        often = tried.order_by().values("kind").annotate(times=Count("pk")).filter(times__gte=EDITIONS)
        return bool(often.exists())

    def change_plan(self, version: "PlanVersion", *, total_minor: int, by: "User") -> bool:
        """Take this version; false where it is that already, or on the way to it. What was announced of the next period is
        taken back, and sold anew by the clock.

        `total_minor` is what the customer was told that it costs now: PriceChanged where that is not so. ValidationError
        with `why_not_change`, or as `Renewal.take_back_unpaid` has it.
        """
        with self._locked_to_end() as own:
            if own._is_on_the_way_to(version):
                return False
            if why := own.why_not_change(version):
                raise ValidationError(why, code="refused")
            quote = own._as_shown(lambda: own.plan_quote(version), total_minor)
            if not quote.is_at_once:
                own._plan_for_later(quote, by=by)
            elif quote.total_minor:
                own._sell_upgrade(quote, by=by)
            else:
                own._take_version(version, by=by)
                notices.send_notice("plan.changed", own.pk)
            own.step_soon()
            return True

    def keep_plan(self, *, by: "User") -> bool:
        """Take back a change that is planned, or an upgrade or a return that is not paid; false where there is none.
        ValidationError where it is too late for that.
        """
        with self._locked_to_end() as own:
            renewal, change = own.open_renewal, own.planned_change
            if renewal and renewal.may_lapse:
                renewal.take_back_unpaid()
                is_return, plan = renewal.kind == RenewalKind.RETURN, renewal.plan
                act = "subscription.stay_ended" if is_return else "subscription.keep_plan"
            elif change:
                own._withdraw(change, by=by)
                act, plan = f"subscription.keep_{'period' if change.period else 'plan'}", change.version.plan
            else:
                return False
            audit.record(act, by=by, customer=own.customer, subject=plan.name)
            own.step_soon()
            return True

    def take_planned_change(self) -> bool:
        """Let it take effect, where its day has come and its period was sold; not while the service is to be had back."""
        with self._locked_to_end() as own:
            change, renewal = own.planned_change, own.open_renewal
            if not change or not change.renewal or timezone.localdate() < change.on:
                return False
            if renewal and renewal.kind == RenewalKind.RETURN:
                return False
            own._end_change(change, ChangeOutcome.TAKEN)
            if change.period:
                own._take_period(change.renewal)
            else:
                own._take_version(change.version, by=None)
                notices.send_notice("plan.changed", own.pk)
            return True

    def _change_that_fits(self) -> "PlanChange | None":
        """The planned one, now that its period is sold. Where it does not fit it is dropped, and the customer told."""
        from billing.fitting import too_much

        change: PlanChange | None = self.plan_changes.filter(ended_at=None).first()  # mostly there is none
        if change and not change.period and (words := too_much(self.customer, change.version)):
            self._end_change(change, ChangeOutcome.DROPPED, why=" ".join(words))
            name = change.version.plan.name
            audit.record("subscription.drop_change", by=None, customer=self.customer, subject=name)
            notices.send_notice("plan.change_dropped", change.pk)
            return None
        return change

    def _as_shown(self, quote: Callable[[], Quote], total_minor: int) -> Quote:
        """What it costs once what was announced of the next period is taken back, as it is here. PriceChanged where that is
        not what was shown.
        """
        if renewal := self.open_renewal:
            renewal.take_back_unpaid()
            self.refresh_from_db()
        found = quote()
        if found.total_minor != total_minor:
            raise PriceChanged
        return found

    def _is_on_the_way_to(self, version: "PlanVersion") -> bool:
        renewal, change = self.open_renewal, self.planned_change
        if renewal and renewal.kind == RenewalKind.UPGRADE:
            return bool(renewal.version_id == version.pk)
        if change and not change.period:
            return bool(change.version_id == version.pk)
        return bool(self.version_id == version.pk)

    def _sell_upgrade(self, quote: PlanQuote, *, by: "User") -> None:
        from billing.invoicing import issue_first
        from billing.models.billing_details import details_of
        from billing.models.sold import decided

        net = quote.now.amounts.net
        made = self.renewals.create(
            kind=RenewalKind.UPGRADE, number=self.periods - 1, former=self.version, plan=quote.version.plan,
            version=quote.version, period=self.period, from_on=quote.on, until_on=quote.next_on, amount_minor=net,
            currency=self.currency, **decided(net, quote.now.decision),
        )  # fmt: skip
        after = {"total": made.total, "until": quote.next_on.isoformat()}
        about = {"customer": self.customer, "subject": quote.version.plan.name}
        audit.record("subscription.upgrade", by=by, after=after, **about)
        issue_first(made, details_of(self.customer))

    def _plan_for_later(self, quote: PlanQuote, *, by: "User") -> None:
        made = self.plan_changes.create(version=quote.version, by=by)
        after = {"on": quote.on.isoformat(), "price": made.price}
        about = {"customer": self.customer, "subject": quote.version.plan.name}
        audit.record("subscription.downgrade", by=by, after=after, **about)
        notices.send_notice("plan.change_planned", made.pk)

    def _withdraw(self, change: "PlanChange", *, by: "User | None") -> None:
        if renewal := change.renewal:
            if not renewal.is_open or renewal.has_begun:
                text = f"The period from {change.on:%-d %B %Y} on is sold with {change.to} already."
                raise ValidationError(text, code="sold")
            renewal.take_back_unpaid()
        self._end_change(change, ChangeOutcome.WITHDRAWN, by=by)

    def _end_change(
        self, change: "PlanChange", outcome: ChangeOutcome, *, by: "User | None" = None, why: str = ""
    ) -> None:
        planned = PlanChange.objects.filter(pk=change.pk, ended_at=None)
        planned.update(ended_at=timezone.now(), outcome=outcome, ended_by=by, why=why[:500])
        if change.period:
            type(self).objects.filter(pk=self.pk).update(coming_period="")

    def _take_version(self, version: "PlanVersion", *, by: "User | None") -> None:
        """What the customer may use, and what each further period costs, are this version's from now on."""
        price = version.price(self.period)
        type(self).objects.filter(pk=self.pk).update(plan=version.plan, version=version, amount_minor=price)
        before = {"plan": self.plan.name, "price": format_money(self.amount_minor, self.currency)}
        self.refresh_from_db()
        after = {"plan": version.plan.name, "price": format_money(self.amount_minor, self.currency)}
        about = {"customer": self.customer, "subject": version.plan.name}
        audit.record("subscription.change_plan", by=by, before=before, after=after, **about)
        signals.plan_changed.send(Customer, customer=self.customer)

    def _periods_paid(self) -> int:
        """How many were sold, without one that is announced."""
        renewal = self.open_renewal
        return int(self.periods) - int(bool(renewal and renewal.kind == RenewalKind.PERIOD))
