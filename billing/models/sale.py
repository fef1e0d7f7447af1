"""What is sold and has to be paid: an order, or a renewal of what an order started. How money comes in for it, and goes
back where it must not stay.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts import audit, notices
from billing.models.card import CardRefund, ReturnReason
from billing.models.payment import Payment, PaymentMethod, Refund
from billing.money import CurrencyField, format_amount, format_money
from billing.submissions import Submission
from billing.tax import Split, TaxDecision, TaxedPrice, TaxKind, split

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.invoice import Invoice


EDITIONS = 6  # invoices of one sale, each in the place of the one before


class SaleConflict(Exception):
    """What is sold is not in the state that the act was meant for. The text is for the person who acted."""


class Sale(models.Model):
    """The part of `Order` and `Renewal` that is about their money."""

    amount_minor = models.PositiveIntegerField(help_text="Price without tax, when it was sold.")
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
        ]

    if TYPE_CHECKING:
        customer: Any
        customer_id: Any
        checkouts: Any
        objects: Any
        invoices: Any
        payments: Any

    def get_absolute_url(self) -> str:
        """Its page for the customer."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """What it is called in the audit trail and at Stripe."""
        raise NotImplementedError

    @property
    def called(self) -> str:
        """The same in a sentence: "order ABCD-EFGH-JK"."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """What is sold, in words for who pays it."""
        raise NotImplementedError

    @property
    def payer_email(self) -> str:
        """To whom Stripe writes about it; empty where nobody is known."""
        raise NotImplementedError

    @property
    def paid_path(self) -> str:
        """Where the browser comes back to from a page at Stripe."""
        raise NotImplementedError

    @property
    def reference(self) -> str:
        """What stands as our reference on its invoice."""
        raise NotImplementedError

    @property
    def covers(self) -> "tuple[date, date] | None":
        """The first and the last day that are sold; None where that is not known yet."""
        return None

    def due_on(self, today: date) -> date:
        """The day on which an invoice of today is to be paid."""
        return today + timedelta(days=settings.INVOICE_DUE_DAYS)

    @property
    def wanted_minor(self) -> int:
        """How much more money would have a use, whether it is due yet or not."""
        raise NotImplementedError

    @property
    def due_minor(self) -> int:
        """What must come in now."""
        raise NotImplementedError

    @property
    def is_running(self) -> bool:
        """Whether the service that it is for was given."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Whether it came to nothing."""
        return False

    def refuse_payment(self) -> None:
        """SaleConflict that says why, where nothing is due."""
        raise NotImplementedError

    def _locked(self) -> AbstractContextManager[Self]:
        """It with its row locked until the end of the unit of work."""
        raise NotImplementedError

    def _be_settled(self, *, by: "User | None") -> None:
        """Its invoice is paid: what waits for that starts. A second time changes nothing."""
        raise NotImplementedError

    def _must_be_of_another(self, by: "User") -> None:
        """SaleConflict where `by` may not note money for it."""

    def _note_reference(self, reference: str) -> None:
        """Money came in under this reference."""

    @property
    def total_minor(self) -> int:
        """What is to be paid: the price, and the tax on it."""
        return self.amount_minor + self.tax_minor

    @property
    def invoice(self) -> "Invoice | None":
        """What asks for its price, from when it is to be paid on; the last, where one was taken back."""
        found: Invoice | None = self.invoices.filter(corrects=None).order_by("-edition").first()
        return found

    @property
    def received_minor(self) -> int:
        """All that ever came in."""
        return sum(payment.amount_minor for payment in self.payments.all())

    @property
    def paid_minor(self) -> int:
        """What came in and does not go back to a card by itself, in the currency of the sale."""
        return sum(payment.kept_minor for payment in self.payments.all() if payment.currency == self.currency)

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

    @property
    def sent_back_by_staff(self) -> "Iterable[Refund]":
        """What staff sent back in other ways than to a card."""
        return ()

    @property
    def card_refunds(self) -> list[CardRefund]:
        """What goes back to cards, or went."""
        return [refund for payment in self.payments.all() for refund in payment.card_refunds.all()]

    def record_payment(
        self,
        *,
        method: str,
        reference: str,
        amount_minor: int,
        currency: str,
        submission: Submission,
        by: "User",
    ) -> Payment:
        """Note money that came in. What completes the sum starts what waits for it, in the same transaction.

        The same submission again returns the payment it made. ValidationError by field, or SaleConflict.
        """
        from billing import ledger
        from billing.invoicing import issue_invoice

        with self._locked() as sale:
            if earlier := submission.earlier(sale.payments.all(), at="at"):
                return earlier
            sale._must_be_of_another(by)
            sale._check_payment(amount_minor, currency)
            payment: Payment = sale.payments.create(
                method=method, reference=reference, amount_minor=amount_minor, currency=currency, by=by,
                submission=submission.token, fingerprint=submission.fingerprint,
            )  # fmt: skip
            after = {"amount": format_money(amount_minor, currency), "method": method, "reference": reference}
            audit.record("payment.record", by=by, customer=sale.customer, subject=sale.label, after=after)
            invoice = issue_invoice(sale)
            ledger.post_payment(payment, invoice, amount_minor)
            sale._look_at_checkouts()
            sale._note_reference(reference)
            if invoice.is_settled:
                sale._be_settled(by=by)
            return payment

    def receive_card_payment(self, *, intent: str, card: str, amount_minor: int, currency: str) -> bool:
        """Note money that Stripe took, under its id of the payment; false where it is noted already.

        What completes the sum starts what waits for it; what is not needed, or not any more, goes back.
        """
        from billing import ledger
        from billing.invoicing import issue_invoice

        with self._locked() as sale:
            if sale.payments.filter(method=PaymentMethod.CARD, reference=intent).exists():
                return False
            wanted = sale.wanted_minor if currency == sale.currency else 0
            back = min(amount_minor, max(0, amount_minor - wanted))
            payment = sale.payments.create(
                method=PaymentMethod.CARD, reference=intent, card=card, amount_minor=amount_minor,
                currency=currency,
            )  # fmt: skip
            after = {"amount": format_money(amount_minor, currency), "card": card, "reference": intent}
            if back:
                after["to_be_sent_back"] = format_money(back, currency)
                sale._send_back(payment, back)
            audit.record("payment.receive", by=None, customer=sale.customer, subject=sale.label, after=after)
            invoice = issue_invoice(sale) if wanted else None
            ledger.post_payment(payment, invoice, amount_minor - back)
            if invoice and invoice.is_settled:
                sale._be_settled(by=None)
            return True

    def note_refund_by_hand(
        self, payment: Payment, *, refund: str, amount_minor: int, next_look_at: datetime
    ) -> bool:
        """Note money that somebody sent back at Stripe, under its id of the refund; false where that is known. Of a service
        that runs it is credited; otherwise it is owed again.
        """
        from billing import ledger
        from billing.invoicing import credit

        with self._locked() as sale:
            if CardRefund.objects.filter(refund=refund).exists():
                return False
            made = CardRefund.objects.create(
                payment=payment, amount_minor=amount_minor, reason=ReturnReason.BY_HAND, refund=refund,
                sent_at=timezone.now(), next_try_at=next_look_at,
            )  # fmt: skip
            after = {"amount": made.amount, "card": payment.card, "reference": refund}
            audit.record("refund.find", by=None, customer=sale.customer, subject=sale.label, after=after)
            invoice = sale.invoice
            lacks = ledger.settled(invoice) - sale.paid_minor if invoice else 0
            if invoice and sale.is_running and lacks > 0:
                credit(invoice, lacks)
            ledger.post_card_refund(made)
            notices.send_notice("order.sent_back", made.pk)
            notices.send_notice("refund.found", made.pk)
            sale._look_at_checkouts()
            return True

    def tax_anew(self, decision: TaxDecision, *, by: "User | None") -> bool:
        """Decide the tax again; false where nothing changes, it is over, or something was paid for it: then what was known
        at the time holds. So does what was told of a price without tax. An invoice that is open is taken back, and another
        issued; ValidationError where that was done too often, for a machine false.
        """
        from billing.invoicing import is_out_of_date, issue_anew

        with self._locked() as sale:
            if not sale._may_be_taxed_anew or sale.payments.exists() or sale.tax_kind == TaxKind.OFF:
                return False
            before, after = sale.taxed, decided(sale.amount_minor, decision)
            is_same = all(getattr(sale, name) == value for name, value in after.items())
            if is_same and not is_out_of_date(sale):
                return False
            if sale.invoice and sale.invoice.edition >= EDITIONS:
                if by is None:
                    return False
                text = f"The invoice of the {sale.called} was issued {EDITIONS} times. Write to us."
                raise ValidationError(text, code="editions")
            type(sale).objects.filter(pk=sale.pk).update(**after)
            sale.refresh_from_db()
            audit.record(
                "order.tax", by=by, customer=sale.customer, subject=sale.label,
                before=_as_facts(before), after=_as_facts(sale.taxed),
            )  # fmt: skip
            issue_anew(sale)
            sale._look_at_checkouts()
            sale._tell_of_tax()
            return True

    def take_back(self, refund: CardRefund) -> None:
        """Money that was to go back to a card is ours again; what is paid by it starts. The row is locked."""
        from billing import ledger

        ledger.post_return(CardRefund.objects.get(pk=refund.pk))
        self._start_if_paid()

    def _start_if_paid(self) -> None:
        if (invoice := self.invoice) and invoice.is_settled:
            self._be_settled(by=None)

    def _send_back(self, payment: Payment, amount_minor: int) -> None:
        from billing.tasks import send_card_refund

        refund = CardRefund.objects.create(
            payment=payment, amount_minor=amount_minor, reason=self._return_reason
        )
        send_card_refund.delay_on_commit(str(refund.pk))

    @property
    def _may_be_taxed_anew(self) -> bool:
        """Whether it can still cost something else, as long as nothing is paid for it."""
        raise NotImplementedError

    def _tell_of_tax(self) -> None:
        """It costs something else now; its invoice is mailed anyway."""

    @property
    def _return_reason(self) -> ReturnReason:
        return ReturnReason.PAID

    def _look_at_checkouts(self) -> None:
        """What is due has changed: a page at Stripe that still wants the sum of before must end."""
        from billing.tasks import look_at_checkout

        for checkout in self.checkouts.filter(ended_at=None):
            self.checkouts.filter(pk=checkout.pk).update(next_look_at=timezone.now())
            look_at_checkout.delay_on_commit(str(checkout.pk))

    def _check_payment(self, amount_minor: int, currency: str) -> None:
        self.refuse_payment()
        if currency != self.currency:
            raise ValidationError(
                {"currency": f"This is to be paid in {self.currency}. Nothing was recorded."}
            )
        if amount_minor > self.due_minor:
            more = f"More than the {self.due} that is due. Record what is due, and send the rest back."
            raise ValidationError({"amount": more})


def decided(net_minor: int, decision: TaxDecision) -> dict[str, Any]:
    """A decision about the tax on a net amount, by the names of a sale's fields."""
    return {
        "tax_minor": split(net_minor, decision.rate).tax,
        "tax_kind": decision.kind,
        "tax_rate": decision.rate,
        "tax_label": decision.label,
        "tax_country": decision.country,
    }


def _as_facts(taxed: TaxedPrice | None) -> dict[str, str]:
    return {"tax": taxed.decision.words, "total": taxed.total} if taxed else {}
