"""What is sold and has to be paid, and what came in for it: facts alone. How money comes in is `billing.models.sale`'s."""

from abc import abstractmethod
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import cached_property

from billing.models.card import CardRefund
from billing.models.payment import PaymentMethod
from billing.models.refund import Refund, RefundWay
from billing.money import CurrencyField, format_amount, format_money
from billing.tax import Split, TaxDecision, TaxedPrice, TaxKind, split

if TYPE_CHECKING:
    from accounts.models import Customer, User
    from billing.models.invoice import Invoice
    from billing.models.unpaid_days import UnpaidDays


class SaleConflict(Exception):
    """What is sold is not in the state that the act was meant for. The text is for the person who acted."""


class Sold(models.Model):
    """The part of `Order` and `Renewal` that says what they cost, and what came in."""

    amount_minor = models.PositiveIntegerField(help_text="Price without tax, when it was sold.")
    discount_minor = models.PositiveIntegerField(
        default=0, db_default=0, help_text="What a coupon took off that price; it stands beside it."
    )
    coupon_use = models.ForeignKey(
        "billing.CouponUse",
        models.PROTECT,
        null=True,
        related_name="%(class)ss",
        help_text="What took it off.",
    )
    currency = CurrencyField()
    tax_minor = models.PositiveIntegerField(default=0, db_default=0, help_text="On top of the price.")
    tax_kind = models.CharField(
        max_length=14, choices=TaxKind.choices, default=TaxKind.OFF, db_default=TaxKind.OFF
    )
    tax_rate = models.DecimalField(
        max_digits=5, decimal_places=2, default=0, db_default=0, help_text="In per cent."
    )
    tax_label = models.CharField(max_length=20, blank=True, db_default="")
    tax_country = models.CharField(max_length=2, blank=True, db_default="", help_text="Whose tax it is.")

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="%(class)s_amount_positive"),
            models.CheckConstraint(condition=Q(tax_kind__in=TaxKind.values), name="%(class)s_tax_kind_known"),
            models.CheckConstraint(
                condition=Q(tax_minor=0) | Q(tax_rate__gt=0), name="%(class)s_tax_at_a_rate"
            ),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"), name="%(class)s_currency_form"
            ),
            models.CheckConstraint(
                condition=Q(discount_minor=0, coupon_use=None)
                | Q(discount_minor__gt=0, coupon_use__isnull=False),
                name="%(class)s_discount_of_a_coupon",
            ),
        ]

    if TYPE_CHECKING:
        customer: Any
        customer_id: Any
        checkouts: Any
        objects: Any
        invoices: Any
        payments: Any
        refunds: Any

    @abstractmethod
    def get_absolute_url(self) -> str:
        """Its page for the customer."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What it is called in the audit trail and at Stripe."""

    @property
    @abstractmethod
    def called(self) -> str:
        """The same in a sentence: "order ABCD-EFGH-JK"."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What is sold, in words for who pays it."""

    @property
    @abstractmethod
    def payer_email(self) -> str:
        """To whom Stripe writes about it; empty where nobody is known."""

    @property
    @abstractmethod
    def paid_path(self) -> str:
        """Where the browser comes back to from a page at Stripe."""

    @property
    @abstractmethod
    def reference(self) -> str:
        """What stands as our reference on its invoice."""

    @property
    def covers(self) -> "tuple[date, date] | None":
        """The first and the last day that are sold; None where that is not known yet."""
        return None

    @property
    def unpaid_days(self) -> "UnpaidDays | None":
        """Days before those that nobody had paid, and that it asks for too."""
        return None

    def due_on(self, today: date) -> date:
        """The day on which an invoice of today is to be paid."""
        return today + timedelta(days=settings.INVOICE_DUE_DAYS)

    @property
    @abstractmethod
    def wanted_minor(self) -> int:
        """How much more money would have a use, whether it is due yet or not."""

    @property
    @abstractmethod
    def due_minor(self) -> int:
        """What must come in now."""

    @property
    @abstractmethod
    def is_running(self) -> bool:
        """Whether the service that it is for was given."""

    @property
    def is_over(self) -> bool:
        """Whether it came to nothing."""
        return False

    @property
    def is_to_come(self) -> bool:
        """Whether it is paid, and could still not be given."""
        return False

    @property
    def may_be_refunded(self) -> bool:
        """Whether staff may send back what was paid for it, for a reason of their own."""
        return self.is_running

    @abstractmethod
    def refuse_payment(self) -> None:
        """SaleConflict that says why, where nothing is due."""

    @abstractmethod
    def _locked(self) -> AbstractContextManager[Self]:
        """It with its row locked until the end of the unit of work."""

    @abstractmethod
    def _be_settled(self, *, by: "User | None") -> None:
        """Its invoice is paid: what waits for that starts. A second time changes nothing."""

    @property
    @abstractmethod
    def _may_be_taxed_anew(self) -> bool:
        """Whether it can still cost something else, as long as nothing is paid for it."""

    def _must_be_of_another(self, by: "User") -> None:
        """SaleConflict where `by` may not note money for it."""

    def _look_at_checkouts(self) -> None:
        """What is due has changed: a page at Stripe that still wants the sum of before must end."""
        from billing.tasks import look_at_checkout

        for checkout in self.checkouts.filter(ended_at=None):
            self.checkouts.filter(pk=checkout.pk).update(next_look_at=timezone.now())
            look_at_checkout.delay_on_commit(str(checkout.pk))

    def _note_reference(self, reference: str) -> None:
        """Money came in under this reference."""

    @property
    def total_minor(self) -> int:
        """What is to be paid: the price, and the tax on it."""
        return self.amount_minor + self.tax_minor

    @property
    def list_minor(self) -> int:
        """The price before a coupon, without tax."""
        return self.amount_minor + self.discount_minor

    @property
    def discount(self) -> str:
        """ "Coupon SPRING, 20 %: 11.80 USD off 59.00 USD"; empty where none is."""
        if not self.discount_minor:
            return ""
        off, full = (format_money(minor, self.currency) for minor in (self.discount_minor, self.list_minor))
        return f"{self.coupon_use}: {off} off {full}"

    @property
    def invoice(self) -> "Invoice | None":
        """What asks for its price, from when it is to be paid on; the last, where one was taken back."""
        invoices = self.invoices.with_credited().filter(corrects=None)
        found: Invoice | None = invoices.order_by("-edition").first()
        return found

    @property
    def received_minor(self) -> int:
        """All that ever came in."""
        return sum(payment.amount_minor for payment in self.payments.all())

    @property
    def paid_minor(self) -> int:
        """What came in and did not go back, nor is on its way back to a card, in the currency of the sale."""
        kept = sum(payment.kept_minor for payment in self.payments.all() if payment.currency == self.currency)
        if not kept:
            return 0
        back = [refund for refund in self.sent_back_by_staff if refund.currency == self.currency]
        return max(0, kept - sum(refund.amount_minor for refund in back))

    @property
    def paid_by_credit_minor(self) -> int:
        """What of it we had held for the customer."""
        return sum(each.amount_minor for each in self.payments.all() if each.method == PaymentMethod.CREDIT)

    @property
    def due_amount(self) -> str:
        return format_amount(self.due_minor, self.currency)

    @property
    def due(self) -> str:
        return format_money(self.due_minor, self.currency)

    @property
    def paid(self) -> str:
        return format_money(self.paid_minor, self.currency)

    @property
    def price(self) -> str:
        """Without tax."""
        return format_money(self.amount_minor, self.currency)

    @property
    def total(self) -> str:
        return format_money(self.total_minor, self.currency)

    @property
    def taxed(self) -> TaxedPrice | None:
        """The price with its tax; None where the operator charges none."""
        if self.tax_kind == TaxKind.OFF:
            return None
        decision = TaxDecision(TaxKind(self.tax_kind), self.tax_rate, self.tax_label, self.tax_country)
        return TaxedPrice(Split(self.amount_minor, self.tax_minor), self.currency, decision)

    @cached_property
    def sent_back_by_staff(self) -> list[Refund]:
        """What went back in other ways than to a card from here; asked for once."""
        return [refund for refund in self.refunds.all() if refund.way != RefundWay.CARD]

    @property
    def card_refunds(self) -> list[CardRefund]:
        """What goes back to cards, or went."""
        return [refund for payment in self.payments.all() for refund in payment.card_refunds.all()]


def must_not_be_member(customer: "Customer", by: "User") -> None:
    """SaleConflict where `by` is one: nobody gives themselves something."""
    if customer.memberships.filter(user=by).exists():
        text = "You are a member of this customer. Somebody else has to do this. Nothing was changed."
        raise SaleConflict(text)


def decided(net_minor: int, decision: TaxDecision) -> dict[str, Any]:
    """A decision about the tax on a net amount, by the names of a sale's fields."""
    return {
        "tax_minor": split(net_minor, decision.rate).tax,
        "tax_kind": decision.kind,
        "tax_rate": decision.rate,
        "tax_label": decision.label,
        "tax_country": decision.country,
    }
