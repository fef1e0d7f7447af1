"""Whether the ledger says what the orders, payments and refunds say: computed anew from those, without the ledger."""

from accounts.models import Customer
from billing.ledger import balances, open_of
from billing.models import (
    Account,
    CardRefund,
    Invoice,
    InvoiceKind,
    Order,
    OrderStatus,
    Payment,
    Refund,
    ReturnReason,
)

NOTHING = dict.fromkeys(Account, 0)


def must_balance() -> None:
    """AssertionError unless everything that came in, went back and is owed stands in the ledger, and nothing else."""
    for customer in Customer.objects.filter(orders__isnull=False).distinct():
        found = balances(customer)
        for currency, sums in found.items():
            assert sum(sums.values()) == 0
            assert sums[Account.CARDS] + sums[Account.BANK] == cash_of(customer, currency), sums
            assert -sums[Account.REVENUE] == sold(customer, currency, "net_minor")
            assert -sums[Account.TAX] == sold(customer, currency, "tax_minor")
            assert sums[Account.CREDIT] <= by_hand(customer), sums
    for order in Order.objects.with_facts():
        must_owe_what_is_due(order)


def cash_of(customer: Customer, currency: str) -> int:
    """What came in less what went back, in minor units."""
    mine = {"currency": currency, "order__customer": customer}
    came = sum(Payment.objects.filter(**mine).values_list("amount_minor", flat=True))
    cards = CardRefund.objects.filter(
        payment__currency=currency, payment__order__customer=customer, failed_at=None
    ).exclude(sent_at=None)
    staff = sum(Refund.objects.filter(**mine).values_list("amount_minor", flat=True))
    return came - sum(cards.values_list("amount_minor", flat=True)) - staff


def by_hand(customer: Customer) -> int:
    """What somebody sent back at Stripe, which can be more than we held."""
    sent = CardRefund.objects.filter(
        payment__order__customer=customer, reason=ReturnReason.BY_HAND, failed_at=None
    )
    return sum(sent.values_list("amount_minor", flat=True))


def sold(customer: Customer, currency: str, field: str) -> int:
    """Invoices less credit notes, in minor units."""
    return sum(
        (-1 if kind == InvoiceKind.CREDIT_NOTE else 1) * amount
        for kind, amount in customer.invoices.filter(currency=currency).values_list("kind", field)
    )


def must_owe_what_is_due(order: Order) -> None:
    invoice = order.invoice
    if invoice is None:
        assert order.status != OrderStatus.ACTIVE, f"{order} is active without an invoice"
        return
    still_open = open_of([invoice.pk]).get(invoice.pk, 0)
    if order.status in (OrderStatus.CANCELLED, OrderStatus.REJECTED):
        assert still_open == 0, still_open
        assert Invoice.objects.filter(corrects=invoice).count() == 1
    else:
        assert still_open == max(0, order.total_minor - order.paid_minor), (
            still_open,
            order.status,
            order.paid_minor,
        )
        assert not Invoice.objects.filter(corrects=invoice).exists()
