"""Renewals that somebody asked for, an upgrade or a return: where one is not paid in time nothing is stopped for it, and it
is taken back.
"""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts import audit, notices
from billing.models.sale import Sale


class RenewalKind(models.TextChoices):
    """What is sold by it. The last two somebody asked for."""

    PERIOD = "period", "Next period"
    UPGRADE = "upgrade", "Change of plan"
    RETURN = "return", "Return"


_CALLED = {
    RenewalKind.PERIOD: "renewal",
    RenewalKind.UPGRADE: "change of plan",
    RenewalKind.RETURN: "restart of the service",
}


class Lapsing(Sale):
    """The part of `Renewal` that is about its kind."""

    kind = models.CharField(
        max_length=7,
        choices=RenewalKind.choices,
        default=RenewalKind.PERIOD,
        db_default=RenewalKind.PERIOD,
    )
    former = models.ForeignKey(
        "billing.PlanVersion",
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="In whose place an upgrade is.",
    )

    class Meta(Sale.Meta):
        abstract = True

    if TYPE_CHECKING:
        is_open: Any
        last_on: Any
        made_at: Any
        subscription: Any
        take_back_unpaid: Any

    @property
    def may_lapse(self) -> bool:
        """Whether somebody asked for it: not paid, it stops nothing, and is taken back after the day `pay_by`."""
        return self.kind != RenewalKind.PERIOD

    @property
    def kind_words(self) -> str:
        """What its customer calls it: "renewal"."""
        return _CALLED[RenewalKind(self.kind)]

    @property
    def pay_by(self) -> date:
        """The last day on which one that lapses can be paid."""
        days = timedelta(days=settings.CHANGE_DUE_DAYS)
        return min(timezone.localdate(self.made_at) + days, self.last_on)

    def lapse(self) -> bool:
        """Take it back, because it was not paid in time, and tell the customer; false where it is not the time."""
        with self._locked() as renewal:
            if not renewal.is_open or not renewal.may_lapse or timezone.localdate() <= renewal.pay_by:
                return False
            renewal.take_back_unpaid()
            audit.record("renewal.lapse", by=None, customer=renewal.customer, subject=renewal.label)
            notices.send_notice("renewal.lapsed", renewal.pk)
            renewal.subscription.step_soon()
            return True
