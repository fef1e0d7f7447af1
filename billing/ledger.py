"""Posting to the ledger and reading balances from it; each cause is posted once, whoever tells of it how often.

| What happens | Debit | Credit |
|---|---|---|
| an invoice is issued | receivable | revenue, tax |
| money comes in | cards or bank | credit |
| it pays an invoice | credit | receivable |
| a credit note is issued | revenue, tax | receivable |
| what had paid it is the customer's again | receivable | credit |
| money goes back | credit | cards or bank |
| money that was to go back did not arrive | cards | credit |
| a bank takes disputed money | disputed | cards |
| the dispute is won, and it comes back | cards | disputed |
| the dispute is lost: a credit note, and | credit | disputed |
| staff give credit | goodwill | credit |
| what is left of it is taken back | credit | goodwill |
"""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection
from django.db.models import Case, F, OuterRef, Q, Subquery, Sum, When
from django.db.models.functions import Coalesce

from billing.models.card import CardRefund, ReturnReason
from billing.models.ledger import Account, EntryKind, LedgerEntry
from billing.models.of_sale import of_customer
from billing.models.payment import Payment, PaymentMethod
from billing.models.refund import Refund, RefundWay

if TYPE_CHECKING:
    from accounts.models import Customer
    from billing.models.credit_grant import CreditGrant
    from billing.models.dispute import Dispute
    from billing.models.invoice import Invoice


def post_document(document: "Invoice") -> None:
    """What an invoice asks for, or a credit note takes back."""
    invoice, entries = document.corrects or document, []
    for kind, account, amount in (
        (EntryKind.SALE, Account.REVENUE, document.net_minor),
        (EntryKind.TAX, Account.TAX, document.tax_minor),
    ):
        sides = (Account.RECEIVABLE, account) if document is invoice else (account, Account.RECEIVABLE)
        entries.append(_entry(document, kind, *sides, amount, document=document, invoice=invoice))
    _write(entries)


def post_payment(payment: Payment, invoice: "Invoice | None", pays_minor: int) -> None:
    """Money came in, and `pays_minor` of it pay the invoice; the rest is held for the customer. Credit was held before."""
    entries = []
    if payment.method != PaymentMethod.CREDIT:
        whence, amount = _where(payment), payment.amount_minor
        entries.append(_entry(payment, EntryKind.PAYMENT, whence, Account.CREDIT, amount, payment=payment))
    if invoice and invoice.currency == payment.currency:
        settles = _entry(
            payment, EntryKind.SETTLE, Account.CREDIT, Account.RECEIVABLE, pays_minor,
            payment=payment, invoice=invoice,
        )  # fmt: skip
        entries.append(settles)
    _write(entries)


def post_grant(grant: "CreditGrant") -> None:
    """Staff gave credit."""
    _post(grant, EntryKind.GRANT, Account.GOODWILL, Account.CREDIT, grant.amount_minor, grant=grant)


def post_grant_taken_back(grant: "CreditGrant", amount_minor: int) -> None:
    """Staff took back what was left of it."""
    _post(grant, EntryKind.REVOKE, Account.CREDIT, Account.GOODWILL, amount_minor, grant=grant)


def post_release(note: "Invoice") -> None:
    """What had paid the part of an invoice that a credit note takes back is the customer's again."""
    invoice = note.corrects
    if invoice is None:
        return
    more = -open_of(invoice.pk)
    _post(note, EntryKind.RELEASE, Account.RECEIVABLE, Account.CREDIT, more, document=note, invoice=invoice)


def post_card_refund(refund: CardRefund) -> None:
    """Money went back to a card. What we sent was held for the customer; where somebody sent by hand what had paid the
    invoice, that is owed again.
    """
    payment = refund.payment
    if refund.reason == ReturnReason.BY_HAND and (invoice := _paid_by(payment)):
        again = settled(invoice) - payment.sale.paid_minor
        _post(
            payment,
            EntryKind.RELEASE,
            Account.RECEIVABLE,
            Account.CREDIT,
            again,
            card_refund=refund,
            invoice=invoice,
        )
    _post(payment, EntryKind.REFUND, Account.CREDIT, _where(payment), refund.amount_minor, card_refund=refund)


def post_return(refund: CardRefund) -> None:
    """Money does not go back to a card, or has come back from there; what the invoice lacks of it pays that."""
    payment = refund.payment
    if refund.ledger_entries.filter(kind=EntryKind.REFUND).exists():
        _post(
            payment,
            EntryKind.RETURN,
            _where(payment),
            Account.CREDIT,
            refund.amount_minor,
            card_refund=refund,
        )
    if invoice := _paid_by(payment):
        again = min(open_of(invoice.pk), payment.sale.paid_minor - settled(invoice))
        _post(
            payment,
            EntryKind.SETTLE,
            Account.CREDIT,
            Account.RECEIVABLE,
            again,
            card_refund=refund,
            invoice=invoice,
        )


def post_owed_again(refund: Refund, invoice: "Invoice", amount_minor: int) -> None:
    """Staff send back what had paid a part of an invoice, which is owed again."""
    _post(
        refund,
        EntryKind.RELEASE,
        Account.RECEIVABLE,
        Account.CREDIT,
        amount_minor,
        refund=refund,
        invoice=invoice,
    )


def post_refund(refund: Refund) -> None:
    """Staff sent money back, or a bank kept it; what goes to cards is posted when Stripe took it."""
    if refund.way == RefundWay.CARD:
        return
    whence = Account.DISPUTED if refund.way == RefundWay.DISPUTE else Account.BANK
    _post(refund, EntryKind.REFUND, Account.CREDIT, whence, refund.amount_minor, refund=refund)


def post_dispute(dispute: "Dispute") -> None:
    """A bank took the disputed money."""
    amount = dispute.amount_minor
    _post(dispute, EntryKind.DISPUTE, Account.DISPUTED, Account.CARDS, amount, dispute=dispute)


def post_dispute_returned(dispute: "Dispute") -> None:
    """It came back, where it had been taken."""
    if dispute.ledger_entries.filter(kind=EntryKind.DISPUTE).exists():
        amount = dispute.amount_minor
        _post(dispute, EntryKind.REGAIN, Account.CARDS, Account.DISPUTED, amount, dispute=dispute)


def open_of(invoice: UUID) -> int:
    """What is still to be paid of it; below zero where more was paid than is owed."""
    return _balance(Account.RECEIVABLE, "invoice_id = %s", invoice)


def open_of_outer() -> Coalesce:
    """For `annotate` of invoices: what is still to be paid of each."""
    rows = LedgerEntry.objects.filter(invoice=OuterRef("pk")).order_by().values("invoice")
    return Coalesce(Subquery(rows.annotate(open=_sum(Account.RECEIVABLE)).values("open")), 0)


def held_outer() -> Coalesce:
    """For `annotate` of invoices: what we hold for the customer of each, in its currency."""
    rows = LedgerEntry.objects.filter(customer=OuterRef("customer"), currency=OuterRef("currency"))
    held = rows.order_by().values("customer").annotate(held=-_sum(Account.CREDIT)).values("held")
    return Coalesce(Subquery(held), 0)


def settled(invoice: "Invoice") -> int:
    """How much of what came in pays this invoice now."""
    paid = invoice.ledger_entries.filter(kind__in=(EntryKind.SETTLE, EntryKind.RELEASE)).order_by()
    return -int(paid.aggregate(sum=_sum(Account.RECEIVABLE))["sum"])


def free_credit(customer: "Customer", currency: str) -> int:
    """What we hold for a customer and is not on its way back to a card."""
    held = -_balance(Account.CREDIT, "customer_id = %s AND currency = %s", customer.pk, currency)
    if held <= 0:
        return held
    going = CardRefund.objects.filter(
        of_customer(customer, "payment__"), payment__currency=currency, sent_at=None, failed_at=None
    )
    return held - int(going.aggregate(sum=Sum("amount_minor", default=0))["sum"])


def balances(customer: "Customer") -> dict[str, dict[Account, int]]:
    """The sum of each account of a customer, by currency: debits less credits."""
    found: dict[str, dict[Account, int]] = {}
    moved = customer.ledger_entries.order_by().values_list("currency", "debit", "credit")
    for currency, debit, credit, amount in moved.annotate(Sum("amount_minor")):
        sums = found.setdefault(currency, dict.fromkeys(Account, 0))
        sums[Account(debit)] += amount
        sums[Account(credit)] -= amount
    return found


def _balance(account: Account, where: str, *values: Any) -> int:
    """The sum of an account's entries. As SQL: each charge asks twice, and building it anew takes ten times as long."""
    query = f"""SELECT coalesce(sum(CASE %s WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0)
        FROM billing_ledgerentry WHERE {where}"""  # noqa: S608 conditions from above
    with connection.cursor() as cursor:
        cursor.execute(query, [account.value, *values])
        return int(cursor.fetchone()[0])


def _sum(account: Account) -> Sum:
    sign = Case(
        When(Q(debit=account), then=F("amount_minor")),
        When(Q(credit=account), then=-F("amount_minor")),
        default=0,
    )
    return Sum(sign, default=0)


def _paid_by(payment: Payment) -> "Invoice | None":
    """The invoice that money of this payment can pay."""
    invoice = payment.sale.invoice
    return invoice if invoice and invoice.currency == payment.currency else None


def _where(payment: Payment) -> Account:
    return Account.CARDS if payment.method == PaymentMethod.CARD else Account.BANK


def _post(of: Any, kind: EntryKind, debit: Account, credit: Account, amount_minor: int, **cause: Any) -> None:
    _write([_entry(of, kind, debit, credit, amount_minor, **cause)])


def _entry(
    of: Any, kind: EntryKind, debit: Account, credit: Account, amount_minor: int, **cause: Any
) -> LedgerEntry:
    return LedgerEntry(
        customer_id=of.customer_id, kind=kind, debit=debit, credit=credit, amount_minor=amount_minor,
        currency=of.currency, **cause,
    )  # fmt: skip


def _write(entries: list[LedgerEntry]) -> None:
    """Those whose cause has them not already, and that post something."""
    posting = [entry for entry in entries if entry.amount_minor > 0]
    LedgerEntry.objects.bulk_create(posting, ignore_conflicts=True)
