"""Who owes what since when, from the ledger alone: what of each invoice was to be paid at the end of a day."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.db import connection

from billing.books.entries import moved_minor
from billing.books.forms import midnight
from billing.models import Account, LedgerEntry
from billing.money import exact_amount, format_amount

# (what it is called, the fewest and the most days after an invoice was to be paid)
AGES: tuple[tuple[str, int | None, int | None], ...] = (
    ("Not due", None, 0), ("1 to 30 days", 1, 30), ("31 to 60 days", 31, 60), ("61 to 90 days", 61, 90),
    ("Over 90 days", 91, None),
)  # fmt: skip
_KEY = re.compile(r"[a-z0-9-]{1,63} [A-Z]{3}")
COLUMNS = ("customer", "invoice", "issued_on", "due_on", "age", "days_late", "open_minor", "open", "currency")


class Owed(NamedTuple):
    """By one customer, or, where `customer` is empty, by all, in one currency: minor units by age, and how many invoices."""

    customer: str
    currency: str
    invoices: int
    minor: list[int]

    @property
    def by_age(self) -> list[tuple[str, str]]:
        """What it is called with the amount, and their sum last."""
        names = (*(name for name, _, _ in AGES), "Together")
        amounts = (*self.minor, sum(self.minor))
        return [(name, format_amount(each, self.currency)) for name, each in zip(names, amounts, strict=True)]

    @property
    def key(self) -> str:
        """By which the next page begins."""
        return f"{self.customer} {self.currency}"


def age_of(due_on: date, on: date) -> str:
    """ "31 to 60 days"."""
    late = (on - due_on).days
    return next(name for name, _, most in AGES if most is None or late <= most)


def owed(on: date, after: str, limit: int) -> tuple[list[Owed], list[Owed]]:
    """Of all customers together, by currency; and of those who owe something, by username and currency, from behind that
    key. In one query.
    """
    ages = ", ".join(
        f"COALESCE(SUM(o.minor) FILTER (WHERE {_between(least, most)}), 0)" for _, least, most in AGES
    )
    days = [on] * (2 * len(AGES) - 2)
    query = _OWED.format(ages=ages, limit=int(limit))
    with connection.cursor() as cursor:
        cursor.execute(
            query, [_end_of(on), *days, *days, *(after.split() if _KEY.fullmatch(after) else ("", ""))]
        )
        found = [Owed(row[0], row[1], row[2], [int(minor) for minor in row[3:]]) for row in cursor.fetchall()]
    return [each for each in found if not each.customer], [each for each in found if each.customer]


def open_lines(on: date, **of: Any) -> Iterator[list[Any]]:
    """Every invoice that was open, by customer and by when it was to be paid: see `COLUMNS`. `of` filters entries."""
    entries = LedgerEntry.objects.filter(at__lt=_end_of(on), invoice__isnull=False, **of)
    about = ("invoice__customer__username", "invoice__number", "invoice__issued_on", "invoice__due_on")
    found = (
        entries.order_by()
        .values("invoice_id", "currency", *about)
        .annotate(open=moved_minor(Account.RECEIVABLE))
    )
    found = found.exclude(open=0).order_by(
        "invoice__customer__username", "invoice__due_on", "invoice__number"
    )
    for *which, due_on, open_minor, currency in found.values_list(*about, "open", "currency").iterator(2000):
        yield [
            *which, due_on, age_of(due_on, on), max(0, (on - due_on).days), open_minor,
            exact_amount(open_minor, currency), currency,
        ]  # fmt: skip


# Only what stands in this module is ever put into the text of it.
_OWED = """
WITH o AS MATERIALIZED (
  SELECT invoice_id, SUM(CASE WHEN debit = 'receivable' THEN amount_minor ELSE -amount_minor END) AS minor
  FROM billing_ledgerentry WHERE invoice_id IS NOT NULL AND at < %s
  GROUP BY invoice_id HAVING SUM(CASE WHEN debit = 'receivable' THEN amount_minor ELSE -amount_minor END) <> 0
)
(SELECT '', i.currency, COUNT(*), {ages} FROM o JOIN billing_invoice i ON i.id = o.invoice_id GROUP BY 1, 2 ORDER BY 2)
UNION ALL
(SELECT c.username, i.currency, COUNT(*), {ages}
FROM o JOIN billing_invoice i ON i.id = o.invoice_id JOIN accounts_customer c ON c.id = i.customer_id
WHERE (c.username, i.currency) > (%s, %s) GROUP BY 1, 2 ORDER BY 1, 2 LIMIT {limit})
"""


def _between(least: int | None, most: int | None) -> str:
    bounds = [f"%s - i.due_on >= {least}"] if least is not None else []
    bounds += [f"%s - i.due_on <= {most}"] if most is not None else []
    return " AND ".join(bounds)


def _end_of(day: date) -> Any:
    return midnight(day + timedelta(days=1))
