"""How money comes in for what is sold, an order or a renewal of what an order started, and goes back where it must not
stay.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts import audit, notices
from billing.models.card import CardRefund, ReturnReason
from billing.models.payment import Payment, PaymentMethod
from billing.models.refunding import Refunding
from billing.models.sold import decided
from billing.money import format_money
from billing.submissions import Submission
from billing.tax import TaxDecision, TaxedPrice, TaxKind

if TYPE_CHECKING:
    from accounts.models import User

EDITIONS = 6  # invoices of one sale, each in the place of the one before


class Sale(Refunding):
    """The part of `Order` and `Renewal` that moves their money."""

    class Meta(Refunding.Meta):
        abstract = True

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
            invoice = None if sale.is_over else issue_invoice(sale)
            payment: Payment = sale.payments.create(
                method=method, reference=reference, amount_minor=amount_minor, currency=currency, by=by,
                submission=submission.token, fingerprint=submission.fingerprint,
            )  # fmt: skip
            after = {"amount": format_money(amount_minor, currency), "method": method, "reference": reference}
            audit.record("payment.record", by=by, customer=sale.customer, subject=sale.label, after=after)
            ledger.post_payment(payment, invoice, amount_minor)
            sale._look_at_checkouts()
            sale._note_reference(reference)
            if invoice and invoice.is_settled:
                sale._be_settled(by=by)
            return payment

    def receive_card_payment(self, *, intent: str, card: str, amount_minor: int, currency: str) -> bool:
        """Note money that Stripe took, under its id of the payment; false where it is noted already.

        What completes the sum starts what waits for it; what is not needed, or not any more, goes back.
        """
        with self._locked() as sale:
            return sale._take_card_payment(intent, card, amount_minor, currency)

    def _take_card_payment(self, intent: str, card: str, amount_minor: int, currency: str) -> bool:
        """The same for who has locked it."""
        from billing import ledger
        from billing.invoicing import issue_invoice

        if self.payments.filter(method=PaymentMethod.CARD, reference=intent).exists():
            return False
        wanted = self.wanted_minor if currency == self.currency else 0
        back = min(amount_minor, max(0, amount_minor - wanted))
        payment = self.payments.create(
            method=PaymentMethod.CARD, reference=intent, card=card, amount_minor=amount_minor,
            currency=currency,
        )  # fmt: skip
        after = {"amount": format_money(amount_minor, currency), "card": card, "reference": intent}
        if back:
            after["to_be_sent_back"] = format_money(back, currency)
            self._send_back(payment, back)
        audit.record("payment.receive", by=None, customer=self.customer, subject=self.label, after=after)
        invoice = issue_invoice(self) if wanted else None
        ledger.post_payment(payment, invoice, amount_minor - back)
        if invoice and invoice.is_settled:
            self._be_settled(by=None)
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

    def _tell_of_tax(self) -> None:
        """It costs something else now; its invoice is mailed anyway."""

    @property
    def _return_reason(self) -> ReturnReason:
        return ReturnReason.PAID

    def _check_payment(self, amount_minor: int, currency: str) -> None:
        self.refuse_payment()
        if currency != self.currency:
            raise ValidationError(
                {"currency": f"This is to be paid in {self.currency}. Nothing was recorded."}
            )
        if amount_minor > self.due_minor:
            more = f"More than the {self.due} that is due. Record what is due, and send the rest back."
            raise ValidationError({"amount": more})


def _as_facts(taxed: TaxedPrice | None) -> dict[str, str]:
    return {"tax": taxed.decision.words, "total": taxed.total} if taxed else {}
