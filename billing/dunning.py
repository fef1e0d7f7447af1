"""What comes next of a renewal that is to be paid: when its card is charged, when its customer is told what stops, and when
that is stopped. Nothing here asks Stripe or changes a row.

Days count from the day on which the renewal is to be paid (`Renewal.due_day`). A step never comes sooner than its settings
say after the one that announces it, however late that was.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from django.conf import settings
from django.utils import timezone

from billing import card_payments, declines
from billing.kept_cards import default_card
from billing.models import CardOnFile, DunningKind, Renewal

DAY = timedelta(days=1)
MOST_A_DAY = 3  # cards that are tried for one renewal
_ANNOUNCED_BY = {
    DunningKind.SENDING_STOPPED: DunningKind.SENDING_ANNOUNCED,
    DunningKind.RECEIVING_STOPPED: DunningKind.RECEIVING_ANNOUNCED,
}


@dataclass(frozen=True)
class Outlook:
    """`card`: the one that is charged, None where there is none or Stripe cannot take the sum; `charge_on`: the day of the
    next attempt with it, if there is one.
    """

    renewal: Renewal
    card: CardOnFile | None
    charge_on: date | None

    @cached_property
    def days(self) -> dict[DunningKind, date]:
        """All steps that are still to come, by their days."""
        days = {} if self.renewal.may_lapse else _days(self.renewal)
        if self.charge_on or self.renewal.charges.exists():
            days.pop(DunningKind.REMINDED, None)  # what came of the charge is told instead
        return days

    @property
    def step(self) -> DunningKind | None:
        """The next one; None once all are taken."""
        return next(iter(self.days), None)

    @property
    def step_on(self) -> date | None:
        return next(iter(self.days.values()), None)

    @property
    def next_on(self) -> date | None:
        return min((day for day in (self.charge_on, self.step_on) if day), default=None)


def outlook(renewal: Renewal, *, by_card: bool | None = None) -> Outlook:
    """What comes next, as things stand now. `by_card`: whether what is due can be charged, where that is known already."""
    by_card = card_payments.may_pay(renewal) if by_card is None else by_card
    card = default_card(renewal.customer) if by_card else None
    return Outlook(renewal, card, _charge_on(renewal, card) if card else None)


def _charge_on(renewal: Renewal, card: CardOnFile) -> date | None:
    """A card that was never tried for it is charged at once; one that was declined for good not again."""
    today = timezone.localdate()
    all_of_them = [
        each for each in renewal.charges.all() if each.ended_at and each.reason != declines.NOT_DUE
    ]
    tried = [each for each in all_of_them if each.card_id == card.pk]
    if not tried:
        many = sum(timezone.localdate(each.at) == today for each in all_of_them) >= MOST_A_DAY
        return max(renewal.due_day, today + DAY) if many else renewal.due_day
    retries = [] if renewal.may_lapse else settings.RENEWAL_RETRY_DAYS
    if tried[-1].is_final or len(tried) > len(retries):
        return None
    gap = retries[len(tried) - 1] - (retries[len(tried) - 2] if len(tried) > 1 else 0)
    return max(renewal.due_day + DAY * retries[len(tried) - 1], timezone.localdate(tried[-1].at) + DAY * gap)


def _days(renewal: Renewal) -> dict[DunningKind, date]:
    """The steps that were not taken yet, in their order."""
    taken = {DunningKind(step.kind): timezone.localdate(step.at) for step in renewal.steps.all()}
    notice = settings.DUNNING_NOTICE_DAYS
    sending, receiving = settings.DUNNING_STOP_SENDING_DAYS, settings.DUNNING_STOP_RECEIVING_DAYS
    planned = {
        DunningKind.REMINDED: 0,
        DunningKind.SENDING_ANNOUNCED: sending - notice,
        DunningKind.SENDING_STOPPED: sending,
        DunningKind.RECEIVING_ANNOUNCED: receiving - notice,
        DunningKind.RECEIVING_STOPPED: receiving,
        DunningKind.HANDED_OVER: settings.DUNNING_HAND_OVER_DAYS,
    }
    found: dict[DunningKind, date] = {}
    earliest = renewal.due_day
    for kind, day in planned.items():
        on = max(renewal.due_day + DAY * day, earliest)
        if announced := _ANNOUNCED_BY.get(kind):
            told_on = taken.get(announced) or max(found[announced], timezone.localdate())
            on = max(on, told_on + DAY * notice)
        if kind in taken:
            continue
        found[kind] = earliest = on
    return found
