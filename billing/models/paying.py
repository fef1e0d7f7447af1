"""How money comes in for an order, and goes back where it must not stay."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import audit, notices
from billing.models.card import CardRefund, ReturnReason
from billing.models.kept_card import CardOnFile
from billing.models.payment import Payment, PaymentMethod
from billing.models.status import OrderStatus
from billing.money import format_amount, format_money
from billing.submissions import Submission
from billing.tax import Split, TaxDecision, TaxedPrice, TaxKind, split

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.invoice import Invoice


def decided(net_minor: int, decision: TaxDecision) -> dict[str, Any]:
    """A decision about the tax on a net amount, by the names of an order's fields."""
    return {
        "tax_minor": split(net_minor, decision.rate).tax,
        "tax_kind": decision.kind,
        "tax_rate": decision.rate,
        "tax_label": decision.label,
        "tax_country": decision.country,
    }


def _as_facts(taxed: TaxedPrice | None) -> dict[str, str]:
    return {"tax": taxed.decision.words, "total": taxed.total} if taxed else {}


EDITIONS = 6  # invoices of one order, each in the place of the one before
_RETURNS = {OrderStatus.CANCELLED: ReturnReason.CANCELLED, OrderStatus.REJECTED: ReturnReason.REJECTED}


class Paying:
    """The part of `Order` that is about its money."""

    if TYPE_CHECKING:
        _activate: Any
        _locked: Any
        _must_be_of_another: Any
        amount_minor: Any
        checkouts: Any
        currency: Any
        customer: Any
        invoices: Any
        is_open: Any
        number: Any
        payments: Any
        pk: Any
        status: Any
        tax_country: Any
        tax_kind: Any
        tax_label: Any
        tax_minor: Any
        tax_rate: Any

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
        """What came in and does not go back to a card by itself, in the order's currency."""
        return sum(payment.kept_minor for payment in self.payments.all() if payment.currency == self.currency)

    @property
    def kept_minor(self) -> int:
        """What there was when the order came to nothing: all that came in, but not what had gone back before."""
        ended = (ReturnReason.CANCELLED, ReturnReason.REJECTED)
        gone = [each for each in self.card_refunds if each.reason not in ended and not each.failed_at]
        return max(0, self.received_minor - sum(refund.amount_minor for refund in gone))

    @property
    def kept(self) -> str:
        return format_money(self.kept_minor, self.currency)

    @property
    def due_minor(self) -> int:
        """What must come in now for the service to start; nothing unless the order is unpaid."""
        return max(0, self.total_minor - self.paid_minor) if self.status == OrderStatus.UNPAID else 0

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
        """Note money that came in. What completes the sum starts the service, in the same transaction, unless its
        reference is that of a rejected or suspended customer and nobody has approved the order: then staff look first.

        The same submission again returns the payment it made. ValidationError by field, or OrderConflict.
        """
        from billing import ledger
        from billing.invoicing import issue_invoice
        from billing.own_signals import note_payment

        with self._locked() as order:
            if earlier := submission.earlier(order.payments.all(), at="at"):
                return earlier
            order._must_be_of_another(by)
            order._check_payment(amount_minor, currency)
            payment = Payment.objects.create(
                order=order, method=method, reference=reference, amount_minor=amount_minor, currency=currency,
                by=by, submission=submission.token, fingerprint=submission.fingerprint,
            )  # fmt: skip
            after = {"amount": format_money(amount_minor, currency), "method": method, "reference": reference}
            audit.record("payment.record", by=by, customer=order.customer, subject=order.number, after=after)
            invoice = issue_invoice(order)
            ledger.post_payment(payment, invoice, amount_minor)
            order._look_at_checkouts()
            note_payment(order, reference)
            if invoice.is_settled and order.status == OrderStatus.UNPAID:
                order._activate(by=by)
            return payment

    def receive_card_payment(self, *, intent: str, card: str, amount_minor: int, currency: str) -> bool:
        """Note money that Stripe took, under its id of the payment; false where it is noted already.

        What completes the sum starts the service; what the order does not need, or not any more, goes back.
        """
        from billing import ledger
        from billing.invoicing import issue_invoice

        with self._locked() as order:
            if order.payments.filter(method=PaymentMethod.CARD, reference=intent).exists():
                return False
            wanted = (
                order.total_minor - order.paid_minor if order.is_open and currency == order.currency else 0
            )
            back = min(amount_minor, max(0, amount_minor - wanted))
            payment = Payment.objects.create(
                order=order, method=PaymentMethod.CARD, reference=intent, card=card, amount_minor=amount_minor,
                currency=currency,
            )  # fmt: skip
            after = {"amount": format_money(amount_minor, currency), "card": card, "reference": intent}
            if back:
                after["to_be_sent_back"] = format_money(back, currency)
                order._send_back(payment, back)
            audit.record(
                "payment.receive", by=None, customer=order.customer, subject=order.number, after=after
            )
            invoice = issue_invoice(order) if wanted else None
            ledger.post_payment(payment, invoice, amount_minor - back)
            if invoice and invoice.is_settled and order.status == OrderStatus.UNPAID:
                order._activate(by=None)
            return True

    def tax_anew(self, decision: TaxDecision, *, by: "User | None") -> bool:
        """Decide the tax again; false where nothing changes, the order is over, or something was paid for it: then what was
        known at the time holds. So does what was told of a price without tax. An invoice that is open is taken back, and
        another issued; ValidationError where that was done too often, for a machine false.
        """
        from billing.invoicing import is_out_of_date, issue_anew

        with self._locked() as order:
            if not order.is_open or order.payments.exists() or order.tax_kind == TaxKind.OFF:
                return False
            before, after = order.taxed, decided(order.amount_minor, decision)
            is_same = all(getattr(order, name) == value for name, value in after.items())
            if is_same and not is_out_of_date(order):
                return False
            if order.invoice and order.invoice.edition >= EDITIONS:
                if by is None:
                    return False
                text = f"The invoice of the order {order.number} was issued {EDITIONS} times. Write to us."
                raise ValidationError(text, code="editions")
            type(order).objects.filter(pk=order.pk).update(**after)
            order.refresh_from_db()
            audit.record(
                "order.tax", by=by, customer=order.customer, subject=order.number,
                before=_as_facts(before), after=_as_facts(order.taxed),
            )  # fmt: skip
            issue_anew(order)
            order._look_at_checkouts()
            if order.status == OrderStatus.UNPAID:
                notices.send_notice("order.approved", order.pk)
            return True

    def note_refund_by_hand(
        self, payment: Payment, *, refund: str, amount_minor: int, next_look_at: datetime
    ) -> bool:
        """Note money that somebody sent back at Stripe, under its id of the refund; false where that is known. Of an order
        that runs it is credited; otherwise it is owed again.
        """
        from billing import ledger
        from billing.invoicing import credit

        with self._locked() as order:
            if CardRefund.objects.filter(refund=refund).exists():
                return False
            made = CardRefund.objects.create(
                payment=payment, amount_minor=amount_minor, reason=ReturnReason.BY_HAND, refund=refund,
                sent_at=timezone.now(), next_try_at=next_look_at,
            )  # fmt: skip
            after = {"amount": made.amount, "card": payment.card, "reference": refund}
            audit.record("refund.find", by=None, customer=order.customer, subject=order.number, after=after)
            lacks = ledger.settled(order.invoice) - order.paid_minor if order.invoice else 0
            if order.status == OrderStatus.ACTIVE and lacks > 0:
                credit(order.invoice, lacks)
            ledger.post_card_refund(made)
            notices.send_notice("order.sent_back", made.pk)
            notices.send_notice("refund.found", made.pk)
            order._look_at_checkouts()
            return True

    def _become_due(self, *, by: "User | None") -> None:
        """The order is to be paid now: its invoice is issued, and what is paid already starts."""
        from billing.invoicing import issue_invoice

        if issue_invoice(self).is_settled:  # type: ignore[arg-type]
            self._activate(by=by)
        else:
            notices.send_notice("order.approved", self.pk)

    def take_back(self, refund: CardRefund) -> None:
        """Money that was to go back to a card is ours again; what is paid by it starts. The row is locked."""
        from billing import ledger

        ledger.post_return(CardRefund.objects.select_related("payment__order").get(pk=refund.pk))
        self._start_if_paid()

    def _start_if_paid(self) -> None:
        invoice = self.invoice
        if self.status == OrderStatus.UNPAID and invoice and invoice.is_settled:
            self._activate(by=None)

    def _end_payments(self) -> None:
        """The order has come to nothing: nobody pays for it any more, its invoice is taken back, and what cards paid
        goes back.
        """
        from billing.invoicing import credit

        if self.invoice:
            credit(self.invoice)
        for payment in self.payments.filter(method=PaymentMethod.CARD):
            if payment.kept_minor:
                self._send_back(payment, payment.kept_minor)
        # A card that is kept for this payment alone; one that somebody wants for more stays.
        for card in CardOnFile.objects.filter(paid_on__in=self.checkouts.all(), removed_at=None):
            card.remove(by=None)
        self._look_at_checkouts()

    def _send_back(self, payment: Payment, amount_minor: int) -> None:
        from billing.tasks import send_card_refund

        reason = _RETURNS.get(self.status, ReturnReason.PAID)
        refund = CardRefund.objects.create(payment=payment, amount_minor=amount_minor, reason=reason)
        send_card_refund.delay_on_commit(str(refund.pk))

    def _look_at_checkouts(self) -> None:
        """What is due has changed: a page at Stripe that still wants the sum of before must end."""
        from billing.tasks import look_at_checkout

        for checkout in self.checkouts.filter(ended_at=None):
            self.checkouts.filter(pk=checkout.pk).update(next_look_at=timezone.now())
            look_at_checkout.delay_on_commit(str(checkout.pk))

    def _check_payment(self, amount_minor: int, currency: str) -> None:
        from billing.models.order import OrderConflict

        if self.status != OrderStatus.UNPAID:
            raise OrderConflict(f"No payment is due: this order is {self.status}. Nothing was recorded.")
        if currency != self.currency:
            raise ValidationError({"currency": f"This order is in {self.currency}. Nothing was recorded."})
        if amount_minor > self.due_minor:
            more = f"More than the {self.due} that is due. Record what is due, and send the rest back."
            raise ValidationError({"amount": more})
