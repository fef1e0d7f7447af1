"""Whether the ledger says what the orders, payments and refunds say: computed anew from those, without the ledger."""

from fractions import Fraction

from django.db.models import Q
from django.utils.timezone import localdate

from accounts.models import AuditEntry, Customer
from billing.ledger import balances, open_of
from billing.models import (
    Account,
    CardRefund,
    Coupon,
    Dispute,
    InvoiceKind,
    Order,
    OrderStatus,
    Payment,
    PaymentMethod,
    Refund,
    Renewal,
    RenewalKind,
    ReturnReason,
    Subscription,
)
from billing.models.of_sale import of_customer

TAKEN = ["needs_response", "under_review"]  # as the stand-in has it
NOTHING = dict.fromkeys(Account, 0)


def must_balance() -> None:
    """AssertionError unless everything that came in, went back and is owed stands in the ledger, and nothing else."""
    for customer in Customer.objects.filter(orders__isnull=False).distinct():
        found = balances(customer)
        paid = Payment.objects.filter(of_customer(customer)).values_list("currency", flat=True)
        for currency in {*found, *paid}:
            sums = found.get(currency, NOTHING)
            for account in (Account.CARDS, Account.BANK):
                assert sums[account] == cash_of(customer, currency, account), (account, sums)
            assert sums[Account.DISPUTED] == taken(customer, currency, lost=False)
            assert sums[Account.GOODWILL] == given(customer, currency)
            assert -sums[Account.REVENUE] == sold(customer, currency, "net_minor")
            assert -sums[Account.TAX] == sold(customer, currency, "tax_minor")
            assert sums[Account.CREDIT] <= by_hand(customer) + taken(customer, currency), sums
    for order in Order.objects.with_facts():
        must_owe_what_is_due(order)
        must_cost_what_was_promised(order, 0)
    for renewal in Renewal.objects.all():
        must_owe_what_is_not_paid(renewal)
        must_cost_what_was_promised(renewal, renewal.number)
    for service in Subscription.objects.select_related("order"):
        must_run_as_sold(service)
    for coupon in Coupon.objects.exclude(most_uses=None):
        assert coupon.uses.filter(given_back_at=None).count() <= coupon.most_uses, (
            f"{coupon} was used too often"
        )


def cash_of(customer: Customer, currency: str, account: Account) -> int:
    """What came in less what went back, in minor units; at Stripe, or otherwise."""
    mine, by_card = Q(currency=currency) & of_customer(customer), Q(method=PaymentMethod.CARD)
    mine &= ~Q(method=PaymentMethod.CREDIT)  # which was held before
    if account == Account.BANK:
        by_staff = Refund.objects.filter(of_customer(customer), currency=currency).exclude(
            way__in=["card", "dispute"]
        )
        staff = sum(by_staff.values_list("amount_minor", flat=True))
        return sum(Payment.objects.filter(~by_card, mine).values_list("amount_minor", flat=True)) - staff
    came = sum(Payment.objects.filter(by_card, mine).values_list("amount_minor", flat=True))
    sent = CardRefund.objects.filter(
        of_customer(customer, "payment__"), payment__currency=currency, failed_at=None, sent_at__isnull=False
    )
    return came - sum(sent.values_list("amount_minor", flat=True)) - taken(customer, currency)


def taken(customer: Customer, currency: str, *, lost: bool = True) -> int:
    """What banks took by disputes and did not bring back."""
    disputes = Dispute.objects.filter(of_customer(customer, "payment__"), currency=currency)
    found = disputes.filter(status__in=[*TAKEN, *(["lost"] if lost else [])])
    return sum(found.values_list("amount_minor", flat=True))


def given(customer: Customer, currency: str) -> int:
    """Credits by staff, less what they took back."""
    grants = customer.credit_grants.filter(currency=currency)
    return sum(each.amount_minor - each.taken_back_minor for each in grants)


def by_hand(customer: Customer) -> int:
    """What somebody sent back at Stripe, which can be more than we held."""
    sent = CardRefund.objects.filter(
        of_customer(customer, "payment__"), reason=ReturnReason.BY_HAND, failed_at=None
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
        assert order.status not in (OrderStatus.UNPAID, OrderStatus.ACTIVE), f"{order} has no invoice"
        return
    still_open, credited = open_of(invoice.pk), invoice.credited_minor
    if order.status in (OrderStatus.CANCELLED, OrderStatus.REJECTED):
        assert (still_open, credited) == (0, invoice.total_minor)
        return
    assert invoice.total_minor == order.total_minor
    assert still_open == max(0, order.total_minor - credited - order.paid_minor), (
        still_open,
        order.paid_minor,
    )
    assert not credited or order.status == OrderStatus.ACTIVE
    assert still_open or order.status != OrderStatus.UNPAID, f"{order} is paid and does not start"


def must_owe_what_is_not_paid(renewal: Renewal) -> None:
    invoice = renewal.invoice
    assert invoice, f"{renewal} has no invoice"
    still_open = open_of(invoice.pk)
    assert invoice.total_minor == renewal.total_minor
    assert still_open == max(0, renewal.total_minor - invoice.credited_minor - renewal.paid_minor)
    assert renewal.is_open == bool(still_open), f"{renewal} is open, or is not, against the ledger"


def must_run_as_sold(service: Subscription) -> None:
    """By the version of its order, of an upgrade that was paid, or of a change whose day had come; whatever else it was
    changed to, by a difference of nothing, stands in the audit trail.
    """
    paid = service.renewals.filter(kind=RenewalKind.UPGRADE, taken_back_at=None).exclude(settled_at=None)
    came = [*paid.values_list("version", flat=True)]
    came += service.plan_changes.filter(outcome="taken", period="").values_list("version", flat=True)
    turns = service.plan_changes.filter(outcome="taken").exclude(period="").order_by("ended_at")
    by = [*turns.values_list("renewal__period", flat=True)]
    assert not by or service.period == by[-1], "it is not paid by the period to which it was changed"
    kinds = (RenewalKind.PERIOD, RenewalKind.RETURN)
    last = service.renewals.filter(kind__in=kinds, taken_back_at=None).order_by("number").last()
    behind = service.free_periods.filter(withdrawn_at=None, period=service.periods)
    if last and last.settled_at and not service.ended_at and not behind.exists():
        assert service.renews_on == last.until_on, "what was paid is not what is given"
    changes = AuditEntry.objects.filter(customer=service.customer, action="subscription.change_plan").count()
    assert changes >= len(came), "an upgrade was paid, and does not hold"
    assert changes > len(came) or service.version_id in (service.order.version_id, *came)


def must_cost_what_was_promised(sale: Order | Renewal, period: int) -> None:
    """A coupon takes off what it says, of a period for which it says so; the invoice has that as a line of its own."""
    use, full = sale.coupon_use, sale.amount_minor + sale.discount_minor - unpaid_before(sale)
    if use is None:
        assert sale.discount_minor == 0
    else:
        exact = Fraction(full * use.percent, 100) if use.percent else Fraction(use.amount_minor)
        assert abs(sale.discount_minor - exact) <= Fraction(1, 2), (sale, exact)
        assert 0 < sale.discount_minor < full
        assert period - use.first_period in range(use.periods or 10**6), f"{sale}: not promised for that long"
        came_to_nothing = isinstance(sale, Order) and sale.status in (
            OrderStatus.CANCELLED,
            OrderStatus.REJECTED,
        )
        assert bool(use.given_back_at) == came_to_nothing, (
            f"{sale}: its coupon is counted, or is not, wrongly"
        )
    if sale.invoice:
        off = [line.net_minor for line in sale.invoice.said.lines if line.net_minor < 0]
        assert off == ([-sale.discount_minor] if use else []), (sale, off)
        assert sale.invoice.said.lines[0].net_minor == full


def unpaid_before(sale: Order | Renewal) -> int:
    """What a return asks for besides a period: the part of one that was taken back for the days until then."""
    if isinstance(sale, Order) or sale.kind != RenewalKind.RETURN:
        return 0
    periods = sale.subscription.renewals.filter(
        kind=RenewalKind.PERIOD, number=sale.number, made_at__lt=sale.made_at
    )
    for each in periods.order_by("-made_at"):
        assert each.taken_back_at
        used = (localdate(each.taken_back_at) - each.from_on).days
        whole = (each.until_on - each.from_on).days
        if sale.subscription.free_periods.filter(withdrawn_at=None, from_on=each.from_on).exists():
            break  # those months came in its place
        if used > 0:
            exact = Fraction(min(used, whole) * each.amount_minor, whole)
            assert abs(sale.unpaid_minor - exact) <= Fraction(1, 2), (sale, exact)
            return sale.unpaid_minor
    assert not sale.unpaid_minor
    return 0
