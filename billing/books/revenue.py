"""What running services bring in by the month, without tax, and how that came to be.

A service that is paid by the month counts with its price, one that is paid by the year with a twelfth of it, rounded down to
a whole minor unit for each service: so every sum is exact in these. A new price counts from the first day of the period that
is sold at it, an upgrade from when it is paid; what was agreed and not yet sold counts now. Prices are those before
coupons, which run out; what they gave stands with them.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils import timezone

from billing.money import exact_amount, format_amount

MONTHS = 24
COLUMNS = (
    "month", "currency", "services", "monthly_minor", "monthly", "new_minor", "new", "ended_minor", "ended",
    "changed_minor", "changed",
)  # fmt: skip


class Month(NamedTuple):
    """How it stood at its end, or stands now, and what it brought, in minor units of its currency."""

    first: date
    currency: str
    services: int
    minor: int
    new: int
    ended: int
    changed: int

    @property
    def amounts(self) -> list[str]:
        return [
            format_amount(minor, self.currency) for minor in (self.minor, self.new, self.ended, self.changed)
        ]


def months() -> list[Month]:
    """The last MONTHS, newest first, each once for every currency that there is; in two queries."""
    moved, standing = _moved(), _running()
    currencies = sorted({*standing, *(currency for _, currency in moved)})
    now = {currency: standing.get(currency, (0, 0)) for currency in currencies}
    found, first = [], timezone.localdate().replace(day=1)
    for _ in range(MONTHS):
        for currency in currencies:
            services, minor = now[currency]
            began, over, new, ended, changed = moved.get((first, currency), (0, 0, 0, 0, 0))
            found.append(Month(first, currency, services, minor, new, ended, changed))
            now[currency] = (services - began + over, minor - new + ended - changed)
        first = (first - timedelta(days=1)).replace(day=1)
    return found


def lines() -> Iterator[list[Any]]:
    """Of a file: see `COLUMNS`."""
    for month in months():
        sums = (month.minor, month.new, month.ended, month.changed)
        amounts = [amount for each in sums for amount in (each, exact_amount(each, month.currency))]
        yield [month.first.isoformat()[:7], month.currency, month.services, *amounts]


def _running() -> dict[str, tuple[int, int]]:
    """By currency: how many services run now, and what they bring in a month."""
    with connection.cursor() as cursor:
        cursor.execute(_RUNNING)
        return {currency: (services, int(minor)) for currency, services, minor in cursor.fetchall()}


def _moved() -> dict[tuple[date, str], tuple[int, ...]]:
    """By month and currency: how many services began and ended, and what new, ended and changed ones were worth."""
    values: Any = {"zone": settings.TIME_ZONE, "today": timezone.localdate(), "now": timezone.now()}
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, values)
        return {(month, currency): tuple(map(int, sums)) for month, currency, *sums in cursor.fetchall()}


_RUNNING = """
SELECT currency, COUNT(*), SUM(CASE WHEN period = 'yearly' THEN amount_minor / 12 ELSE amount_minor END)
FROM billing_subscription WHERE ended_at IS NULL GROUP BY currency
"""
# What each service was worth from when on: as its order says, as each period does that was sold, or an upgrade that was
# paid, and as it stands now, or did at its end.
_MOVED = """
WITH worth AS (
  SELECT s.id, s.currency, (s.started_at AT TIME ZONE %(zone)s)::date AS day, 0 AS number, o.placed_at AS at,
    (o.amount_minor + o.discount_minor) / CASE WHEN o.period = 'yearly' THEN 12 ELSE 1 END AS minor
  FROM billing_subscription s JOIN billing_order o ON o.id = s.order_id
  UNION ALL
  SELECT s.id, s.currency, r.from_on, r.number, r.made_at,
    (r.amount_minor + r.discount_minor - r.unpaid_minor) / CASE WHEN r.period = 'yearly' THEN 12 ELSE 1 END
  FROM billing_renewal r JOIN billing_subscription s ON s.id = r.subscription_id
  WHERE r.kind <> 'upgrade' AND r.taken_back_at IS NULL AND r.from_on <= %(today)s
    AND (s.ended_at IS NULL OR r.from_on <= (s.ended_at AT TIME ZONE %(zone)s)::date)
  UNION ALL
  SELECT s.id, s.currency, (r.settled_at AT TIME ZONE %(zone)s)::date, r.number, r.made_at,
    CASE WHEN r.period = 'yearly' THEN v.yearly_minor / 12 ELSE v.monthly_minor END
  FROM billing_renewal r JOIN billing_subscription s ON s.id = r.subscription_id
    JOIN billing_planversion v ON v.id = r.version_id
  WHERE r.kind = 'upgrade' AND r.taken_back_at IS NULL AND r.settled_at IS NOT NULL
  UNION ALL
  SELECT id, currency, (COALESCE(ended_at, %(now)s) AT TIME ZONE %(zone)s)::date, 2147483647, %(now)s,
    CASE WHEN period = 'yearly' THEN amount_minor / 12 ELSE amount_minor END
  FROM billing_subscription
), step AS (
  SELECT day, currency, minor AS new, 0 AS ended, 0 AS changed, 1 AS began, 0 AS over FROM worth WHERE number = 0
  UNION ALL
  SELECT day, currency, 0, 0, minor - LAG(minor) OVER (PARTITION BY id ORDER BY number, at), 0, 0 FROM worth
  UNION ALL
  SELECT (ended_at AT TIME ZONE %(zone)s)::date, currency, 0,
    CASE WHEN period = 'yearly' THEN amount_minor / 12 ELSE amount_minor END, 0, 0, 1
  FROM billing_subscription WHERE ended_at IS NOT NULL
)
SELECT DATE_TRUNC('month', day)::date, currency, SUM(began), SUM(over), SUM(new), SUM(ended), COALESCE(SUM(changed), 0)
FROM step GROUP BY 1, 2
"""
