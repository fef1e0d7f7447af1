"""Days of a period that nobody paid: the service was had on them, and then it ended."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from django.db.models import F
from django.utils import timezone

from billing.models.lapsing import RenewalKind
from billing.money import format_money, part_of

if TYPE_CHECKING:
    from billing.models.renewal import Renewal
    from billing.models.subscription import Subscription


@dataclass(frozen=True)
class UnpaidDays:
    """From the first day to the last; what they cost without tax, in minor units."""

    from_on: date
    last_on: date
    net_minor: int
    currency: str

    @property
    def net(self) -> str:
        return format_money(self.net_minor, self.currency)

    @classmethod
    def of(cls, renewal: "Renewal", until: date) -> "UnpaidDays | None":
        """Those of an unpaid renewal before this day: their part of its price, all of it at most. None where none are."""
        whole = (renewal.until_on - renewal.from_on).days
        used = min((until - renewal.from_on).days, whole)
        if used <= 0 or not (net := part_of(renewal.amount_minor, used, whole)):
            return None
        return cls(renewal.from_on, renewal.from_on + timedelta(days=used - 1), net, renewal.currency)


def unpaid_days(subscription: "Subscription", number: int) -> UnpaidDays | None:
    """Those of the period of this number, whose renewal had begun when it was taken back, because the service ended; none
    where free months came in its place.
    """
    begun = subscription.renewals.filter(
        kind=RenewalKind.PERIOD, number=number, taken_back_at__date__gt=F("from_on")
    )
    last = begun.order_by("made_at").last()
    if last is None or last.taken_back_at is None:
        return None
    instead = subscription.free_periods.filter(withdrawn_at=None, period=number, from_on__gte=last.from_on)
    return None if instead.exists() else UnpaidDays.of(last, timezone.localdate(last.taken_back_at))
