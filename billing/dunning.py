"""What comes next of a renewal that is to be paid: when its card is charged, when its customer is told what stops, and when
that is stopped. Nothing here asks Stripe or changes a row.

Days count from the day on which the renewal is to be paid. A step never comes sooner than its settings say after the one
that announces it, however late that was.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from django.conf import settings
from django.utils import timezone

from billing import card_payments
from billing.kept_cards import default_card
from billing.models import CardOnFile, ChargeState, DunningKind, Renewal

DAY = timedelta(days=1)
_ANNOUNCED_BY = {
    DunningKind.SENDING_STOPPED: DunningKind.SENDING_ANNOUNCED,
    DunningKind.RECEIVING_STOPPED: DunningKind.RECEIVING_ANNOUNCED,
}


@dataclass(frozen=True)
class Outlook:
    """`card`: the one that is charged, None where there is none or Stripe cannot take the sum; `charge_on`: the day of the
    next attempt with it, if there is one; `step` is the next one, taken on
    `step_on`, None once all are; `days` has all steps that are still to come, by their days.
    """

    card: CardOnFile | None
    charge_on: date | None
    step: DunningKind | None
    step_on: date | None
    days: dict[DunningKind, date]

    @property
    def next_on(self) -> date | None:
        return min((day for day in (self.charge_on, self.step_on) if day), default=None)


def outlook(renewal: Renewal) -> Outlook:
    """What comes next, as things stand now."""
    card = default_card(renewal.customer) if card_payments.may_pay(renewal) else None
    charge_on = _charge_on(renewal, card) if card else None
    days = _days(renewal)
    if renewal.charges.exists() or charge_on:
        days.pop(DunningKind.REMINDED, None)  # what came of the charge is told instead
    step, step_on = next(iter(days.items()), (None, None))
    return Outlook(card, charge_on, step, step_on, days)


def _charge_on(renewal: Renewal, card: CardOnFile) -> date | None:
    """A card that was never tried for it is charged at once; one that was declined for good not again."""
    tried = [each for each in renewal.charges.all() if each.ended_at]
    if not tried:
        return renewal.from_on
    last, first = tried[-1], renewal.from_on
    if last.card_id != card.pk:
        return max(first, timezone.localdate())
    if last.is_final or last.state == ChargeState.PAID:
        return None
    retries = settings.RENEWAL_RETRY_DAYS
    if len(tried) > len(retries):
        return None
    gap = retries[len(tried) - 1] - (retries[len(tried) - 2] if len(tried) > 1 else 0)
    return max(first + DAY * retries[len(tried) - 1], timezone.localdate(last.at) + DAY * gap)


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
    earliest = renewal.from_on
    for kind, day in planned.items():
        on = max(renewal.from_on + DAY * day, earliest)
        if announced := _ANNOUNCED_BY.get(kind):
            told_on = taken.get(announced) or max(found[announced], timezone.localdate())
            on = max(on, told_on + DAY * notice)
        if kind in taken:
            continue
        found[kind] = earliest = on
    return found
