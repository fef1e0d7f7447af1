"""The calendar of what is paid by the period."""

from calendar import monthrange
from datetime import date

from billing.models.plan import Period

MONTHS = {Period.MONTHLY: 1, Period.YEARLY: 12}


def period_start(anchor: date, period: str, number: int, free_months: int = 0) -> date:
    """The first day of period `number` with `free_months` ahead of it; that of number 0 begins on `anchor`. A month that
    lacks the anchor's day lends its last: 31 January, 28 February, 31 March.
    """
    months = anchor.year * 12 + anchor.month - 1 + number * MONTHS[Period(period)] + free_months
    year, month = divmod(months, 12)
    return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))
