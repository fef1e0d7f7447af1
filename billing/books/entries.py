"""Entries of the ledger as staff read them: each with what caused it and where that stands, their sums by account, and what
a customer owed after each.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import Case, F, Q, QuerySet, Sum, When
from django.urls import reverse

from accounts.models import Customer
from billing.books.forms import DaysForm
from billing.models import Account, Invoice, LedgerEntry, Payment
from billing.models.ledger import CAUSES
from billing.money import exact_amount, format_money

OF_THE_CUSTOMER = (Account.RECEIVABLE, Account.CREDIT)  # what they owe, less what we hold for them
COLUMNS = (
    "entry", "time", "customer", "kind", "debit", "credit", "amount_minor", "amount", "currency", "invoice", "cause",
)  # fmt: skip
COLUMNS_OF_A_CUSTOMER = (*COLUMNS, "moved_minor", "moved", "balance_minor", "balance")
AT_ONCE = 2000


class AccountSum(NamedTuple):
    """What was moved on one account in one currency, in minor units."""

    currency: str
    account: Account
    debits: int
    credits: int

    @property
    def words(self) -> list[str]:
        """Debits, credits, and debits less credits."""
        amounts = (self.debits, self.credits, self.debits - self.credits)
        return [format_money(amount, self.currency) for amount in amounts]


def everybodys(**at: Any) -> QuerySet[LedgerEntry]:
    """The entries of all customers that fit these conditions."""
    return LedgerEntry.objects.filter(**at)


def none() -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.none()


def with_causes(entries: "QuerySet[LedgerEntry]") -> "QuerySet[LedgerEntry]":
    """With all that a row of them shows, and in the order of their times."""
    known = entries.select_related("customer", "invoice", *CAUSES, "refund__order")
    return known.defer("invoice__document", "document__document").order_by("at", "id")


def sums(entries: "QuerySet[LedgerEntry]") -> list[AccountSum]:
    """By currency and account, in one query."""
    debits: dict[tuple[str, str], int] = {}
    credits_: dict[tuple[str, str], int] = {}
    moved = entries.order_by().values_list("currency", "debit", "credit").annotate(Sum("amount_minor"))
    for currency, debit, credit, amount in moved:
        debits[currency, debit] = debits.get((currency, debit), 0) + amount
        credits_[currency, credit] = credits_.get((currency, credit), 0) + amount
    order = {account: number for number, account in enumerate(Account)}
    keys = sorted({*debits, *credits_}, key=lambda key: (key[0], order[Account(key[1])]))
    return [AccountSum(key[0], Account(key[1]), debits.get(key, 0), credits_.get(key, 0)) for key in keys]


def moved_minor(*accounts: Account) -> Sum:
    """For `annotate` and `aggregate`: debits less credits of these accounts together, in minor units."""
    on, off = Q(debit__in=accounts), Q(credit__in=accounts)
    moved = Case(When(on & ~off, then=F("amount_minor")), When(off & ~on, then=-F("amount_minor")), default=0)
    return Sum(moved, default=0)


def balance_before(
    customer: Customer, currency: str, days: DaysForm, entry: LedgerEntry | None = None
) -> int:
    """What the customer owed before this entry, or, where none is given, before these days; below zero where we held
    more.
    """
    before = Q(at__lt=entry.at) | Q(at=entry.at, id__lt=entry.pk) if entry else Q(at__lt=days.at["at__gte"])
    earlier = customer.ledger_entries.order_by().filter(before, currency=currency)
    return int(earlier.aggregate(sum=moved_minor(*OF_THE_CUSTOMER))["sum"])


def with_balance(entries: Iterable[LedgerEntry], balance: int) -> Iterator[tuple[LedgerEntry, int, int]]:
    """Each with how much more the customer owed by it, and what they owed after it; all of one customer and currency, oldest
    first.
    """
    for entry in entries:
        more = int(entry.debit in OF_THE_CUSTOMER) - int(entry.credit in OF_THE_CUSTOMER)
        balance += more * entry.amount_minor
        yield entry, more * entry.amount_minor, balance


def cause_of(entry: LedgerEntry) -> tuple[str, str]:
    """What an entry is of, in words, and the address of its page for staff; an empty one where it has none."""
    name = next(name for name in CAUSES if getattr(entry, f"{name}_id"))
    cause = getattr(entry, name)
    if admin.site.is_registered(type(cause)):
        return _words(cause), reverse(f"admin:billing_{cause._meta.model_name}_change", args=[cause.pk])
    order = getattr(cause, "order", None)
    return _words(cause), reverse("billing:review-show", args=[order.number]) if order else ""


def cells(entry: LedgerEntry) -> list[Any]:
    """A line of a file: see `COLUMNS`."""
    return [
        entry.pk,
        entry.at.isoformat(timespec="seconds"),
        entry.customer.username,
        entry.kind,
        entry.debit,
        entry.credit,
        entry.amount_minor,
        exact_amount(entry.amount_minor, entry.currency),
        entry.currency,
        entry.invoice.number if entry.invoice else "",
        cause_of(entry)[0],
    ]


def lines_with_balance(customer: Customer, currency: str, days: DaysForm) -> Iterator[list[Any]]:
    """Of a file: see `COLUMNS_OF_A_CUSTOMER`."""
    before = balance_before(customer, currency, days)
    found = with_causes(customer.ledger_entries.filter(currency=currency, **days.at))
    for entry, moved, balance in with_balance(found.iterator(AT_ONCE), before):
        amounts = (moved, exact_amount(moved, currency), balance, exact_amount(balance, currency))
        yield [*cells(entry), *amounts]


def _words(cause: Any) -> str:
    """ "Invoice INV-2026-00001", "Payment R1"."""
    if isinstance(cause, Invoice):
        return f"{cause.get_kind_display()} {cause.number}"
    if isinstance(cause, Payment):
        return f"Payment by {cause.get_method_display().lower()} {cause.reference}".strip()
    known = getattr(cause, "refund", "") or getattr(cause, "reference", "")
    return f"{cause._meta.verbose_name.capitalize()} {known}".strip()
