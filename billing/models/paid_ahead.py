"""A next period that is paid before its first day, and all of whose money goes back before that: it is not given."""

from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import F
from django.utils import timezone

from accounts import notices
from billing.models.lapsing import Lapsing, RenewalKind
from billing.models.plan_change import PlanChange
from billing.models.sold import SaleConflict

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.renewal import Renewal


class PaidAhead(Lapsing):
    """The part of `Renewal` that is about a period that has not begun."""

    class Meta(Lapsing.Meta):
        abstract = True

    if TYPE_CHECKING:
        from_on: Any
        number: Any
        plan: Any
        subscription_id: Any
        taken_back_at: Any

    @property
    def is_to_come(self) -> bool:
        """Whether it is paid, has not begun, and no period was sold after it."""
        is_given = self.kind == RenewalKind.PERIOD and not self.is_open and not self.is_over
        has_begun = timezone.localdate() >= self.from_on
        return is_given and not has_begun and bool(self.subscription.periods == self.number + 1)

    @property
    def ends_without_it(self) -> date:
        """The first day that is not given where it is not: after free months behind it, if there are some."""
        first: date = self.subscription.starts_on(self.number)
        return first

    @property
    def upgrades_for_it(self) -> "list[Renewal]":
        """Changes to a dearer plan that were paid for this period too."""
        upgrades = self.subscription.renewals.filter(kind=RenewalKind.UPGRADE, taken_back_at=None)
        paid = upgrades.filter(settled_at__isnull=False, until_on__gt=self.from_on)
        return list(paid.select_related("plan"))

    def _gives_up(self, amount_minor: int, *, end_service: bool) -> bool:
        locked = type(self.subscription).objects.select_for_update(no_key=True)  # before series of invoices
        self.subscription = locked.get(pk=self.subscription_id)
        if not self.is_to_come:
            return super()._gives_up(amount_minor, end_service=end_service)
        if amount_minor < self.paid_minor - self.paid_by_credit_minor:
            return False
        if change := self.subscription.open_renewal:  # its price is for the days up to the end of this period
            text = f"The {change.kind_words} is not paid yet. Do this once it is paid, or taken back."
            raise SaleConflict(f"{text} Nothing was changed.")
        return True

    def _give_up(self, *, end_service: bool, by: "User") -> None:
        from billing.invoicing import credit

        if self.invoice:
            credit(self.invoice)  # what credit paid of it is the customer's again
        self.taken_back_at = timezone.now()
        type(self).objects.filter(pk=self.pk).update(taken_back_at=self.taken_back_at)
        self._let_period_be_sold()
        running = self.subscription
        if running.ended_at:
            return
        if running.cancellation:
            notices.send_notice("subscription.cancelled", running.pk)  # it ends sooner than they were told
        elif end_service:
            running.cancel(by=by)
        running.step_soon()

    def _let_period_be_sold(self) -> None:
        """Its period is not sold any more: a change of plan that was to begin with it waits for the next, and free months
        behind it begin on its first day.
        """
        from billing.models.free_months import bring_forward

        subscriptions = type(self.subscription).objects.filter(pk=self.subscription_id)
        subscriptions.update(periods=F("periods") - 1)
        if PlanChange.objects.filter(renewal=self.pk, ended_at=None).update(renewal=None):
            subscriptions.update(coming_period="")
        self.subscription.refresh_from_db()
        bring_forward(self.subscription)
