"""Staff send back what was paid for an order that runs, or for a renewal."""

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError

from accounts import audit, notices
from accounts.models import Customer
from billing.models.card import CardRefund, ReturnReason
from billing.models.dispute import SETTLED, Dispute
from billing.models.payment import Payment, PaymentMethod
from billing.models.refund import Refund, RefundWay
from billing.models.sold import SaleConflict, Sold, must_not_be_member
from billing.money import format_money
from billing.submissions import Submission

if TYPE_CHECKING:
    from accounts.models import User


class Refunding(Sold):
    """The part of `Sale` that gives money back because somebody wants that."""

    class Meta(Sold.Meta):
        abstract = True

    @property
    def refundable_minor(self) -> int:
        """How much staff may send back: money that came in and did not go back, as far as it pays the invoice or is held.
        Credit that staff gave is none.
        """
        from billing import crediting, ledger

        if (
            not self.may_be_refunded
            or (paid := self.paid_minor - self.paid_by_credit_minor - self.disputed_minor) <= 0
        ):
            return 0
        pays = ledger.settled(invoice) if (invoice := self.invoice) else 0
        return max(0, min(paid, pays + crediting.held_money(self.customer, self.currency)))

    @property
    def disputed_minor(self) -> int:
        """What of it a bank has, or may still get."""
        disputes = Dispute.objects.under_way().filter(payment__in=self.payments.all(), currency=self.currency)
        return sum(disputes.values_list("amount_minor", flat=True))

    @property
    def refundable_cards(self) -> list[Payment]:
        """Payments by card of which something can go back to the card, newest first."""
        found = self.payments.filter(method=PaymentMethod.CARD, currency=self.currency).order_by("-at")
        found = found.exclude(
            disputes__in=Dispute.objects.exclude(status__in=SETTLED)
        )  # those Stripe refuses
        return [payment for payment in found.prefetch_related("card_refunds") if payment.kept_minor]

    def refund(
        self,
        *,
        way: str,
        amount_minor: int,
        reason: str,
        reference: str = "",
        payment: Payment | None = None,
        end_service: bool = False,
        submission: Submission,
        by: "User",
    ) -> Refund:
        """Send back a part of what was paid, or all of it, never more. To cards the newest payments go first, unless
        `payment` says which; other ways are noted with their `reference`, after staff went them.

        Of what runs, a credit note takes that part of the invoice back; of a renewal that is not paid whole it is owed
        again. Where all goes back of one that `is_to_come`, its period is not given: with `end_service` the service ends
        before it, otherwise it is sold again by the clock. The same submission again returns the refund it made.
        ValidationError by field, or SaleConflict.
        """
        from billing import ledger

        with self._locked() as sale, audit.because(reason):
            if earlier := submission.earlier(sale.refunds.all(), at="at"):
                return earlier
            Customer.objects.select_for_update(no_key=True).get(
                pk=sale.customer_id
            )  # one spends what is held
            sale._must_be_refundable(amount_minor, by=by)
            gives_up = sale._gives_up(amount_minor, end_service=end_service)
            parts = sale._parts_for_cards(amount_minor, payment) if way == RefundWay.CARD else []
            refund: Refund = sale.refunds.create(
                way=way, amount_minor=amount_minor, currency=sale.currency, reference=reference, reason=reason, by=by,
                submission=submission.token, fingerprint=submission.fingerprint,
            )  # fmt: skip
            sale.__dict__.pop("sent_back_by_staff", None)
            for of, part in parts:
                sale._send_to_card(refund, of, part)
            sale._take_from_invoice(refund)
            ledger.post_refund(refund)
            after = {"amount": refund.amount, "way": str(refund.get_way_display())}
            if reference:
                after["reference"] = reference
            audit.record("refund.give", by=by, customer=sale.customer, subject=sale.label, after=after)
            if way != RefundWay.CARD:  # of what goes to a card they hear when Stripe took it
                notices.send_notice("refund.given", refund.pk)
            sale._look_at_checkouts()
            if gives_up:
                sale._give_up(end_service=end_service, by=by)
            return refund

    def _must_be_refundable(self, amount_minor: int, *, by: "User") -> None:
        self._must_be_of_another(by)
        must_not_be_member(self.customer, by)
        if not self.may_be_refunded:
            text = f"The {self.called} is not active. What is owed for it stands on its review page."
            raise SaleConflict(text)
        if not (most := self.refundable_minor):
            raise SaleConflict("There is nothing that could be sent back. Nothing was changed.")
        if amount_minor > most:
            more = f"More than the {format_money(most, self.currency)} that can be sent back."
            raise ValidationError({"amount": more})

    def _gives_up(self, amount_minor: int, *, end_service: bool) -> bool:
        """Whether it is not given once so much has gone back. SaleConflict where it cannot end the service."""
        if end_service:
            text = "The period has begun meanwhile, or is not the last one any more, so the service does not end."
            raise SaleConflict(f"{text} Nothing was changed.")
        return False

    def _give_up(self, *, end_service: bool, by: "User") -> None:
        """It is not given, because all that was paid for it goes back."""

    def _parts_for_cards(self, amount_minor: int, payment: Payment | None) -> list[tuple[Payment, int]]:
        """What goes to which card; ValidationError where cards paid less than that."""
        cards, parts, left = self.refundable_cards, [], amount_minor
        for each in [each for each in cards if payment is None or each.pk == payment.pk]:
            if part := min(left, each.kept_minor):
                parts.append((each, part))
                left -= part
        if left:
            most = format_money(amount_minor - left, self.currency)
            text = f"Only {most} can go back that way. Choose another one for the rest."
            raise ValidationError({"amount": text})
        return parts

    def _send_to_card(self, refund: Refund, payment: Payment, amount_minor: int) -> None:
        from billing.tasks import send_card_refund

        made = CardRefund.objects.create(
            payment=payment, amount_minor=amount_minor, reason=ReturnReason.STAFF, ordered=refund
        )
        send_card_refund.delay_on_commit(str(made.pk))

    def _take_from_invoice(self, refund: Refund) -> None:
        """What had paid the invoice and goes back does not pay it any more; the rest was held."""
        from billing import ledger
        from billing.invoicing import credit

        invoice = self.invoice
        if invoice and (lacks := ledger.settled(invoice) - self.paid_minor) > 0:
            if self.is_running:
                credit(invoice, lacks)
            else:
                ledger.post_owed_again(refund, invoice, lacks)
