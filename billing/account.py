"""How a customer stands with us: what is to be paid, and what we hold for it."""

from typing import NamedTuple

from accounts.models import Customer
from billing.ledger import balances
from billing.models import Account
from billing.money import format_money


class Standing(NamedTuple):
    """Sums in words, one for each currency; empty lists where there are none."""

    due: list[str]
    held: list[str]
    held_minor: dict[str, int]  # by currency


def account_of(customer: Customer) -> Standing:
    """By the ledger, in one query."""
    sums = balances(customer)
    held = {currency: -each[Account.CREDIT] for currency, each in sums.items()}
    return Standing(_in_words(sums, Account.RECEIVABLE, 1), _in_words(sums, Account.CREDIT, -1), held)


def _in_words(sums: dict[str, dict[Account, int]], account: Account, sign: int) -> list[str]:
    amounts = ((sign * each[account], currency) for currency, each in sorted(sums.items()))
    return [format_money(amount, currency) for amount, currency in amounts if amount > 0]
