"""What the review desk knows of an order, and does beside deciding: notes, the first of two decisions, refunds."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts import audit
from billing.models.desk import ReviewNote
from billing.models.refund import Refund, RefundWay
from billing.models.review import Decision
from billing.models.risk import Risk, risk_of
from billing.models.status import OrderStatus
from billing.money import format_money, minor_digits

if TYPE_CHECKING:
    from accounts.models import User


class Reviewing:
    """The part of `Order` that the review desk works with."""

    if TYPE_CHECKING:
        _locked: Any
        card_refunds: Any
        currency: Any
        customer: Any
        fraud_check: Any
        invoice: Any
        notes: Any
        number: Any
        paid_minor: Any
        refunds: Any
        seen: Any
        signals: Any
        status: Any
        total_minor: Any

    @property
    def risk(self) -> Risk:
        return risk_of(self.fraud_check.outcome, sum(signal.decides for signal in self.signals.all()))

    @property
    def needs_second(self) -> bool:
        """Whether two people must decide the same: above the value or the risk that the settings name."""
        value, risk = settings.REVIEW_SECOND_AMOUNT, settings.REVIEW_SECOND_RISK
        amount = Decimal(self.total_minor).scaleb(-minor_digits(self.currency))
        return bool(value and amount >= value) or bool(risk and self.risk >= Risk[risk.upper()])

    @property
    def first_decision(self) -> ReviewNote | None:
        """What somebody decided and another person has to decide too; until somebody asks or answers."""
        decisions = [note for note in self.notes.all() if note.decision and note.seen == self.seen]
        return decisions[-1] if decisions else None

    @property
    def refund_minor(self) -> int:
        """What staff have to send back: the money for an order that came to nothing, or more than it costs, which could
        not go back to a card by itself; less what they have recorded.
        """
        if self.status in (OrderStatus.REJECTED, OrderStatus.CANCELLED):
            return int(self.paid_minor)
        if self.status != OrderStatus.ACTIVE or all(not refund.failed_at for refund in self.card_refunds):
            return 0
        credited = self.invoice.credited_minor if self.invoice else 0
        return max(0, self.paid_minor - (self.total_minor - credited))

    @property
    def refund_owed(self) -> str:
        """The same as text; empty where nothing is owed."""
        return format_money(self.refund_minor, self.currency) if self.refund_minor else ""

    def add_note(self, text: str, *, by: "User") -> None:
        """Note something for staff; the same note of the same person again changes nothing."""
        with self._locked() as order:
            _, made = ReviewNote.objects.get_or_create(order=order, text=text, by=by, decision="")
            if made:
                audit.record("review.note", by=by, subject=order.number)

    def record_refund(self, reference: str, *, by: "User", owed_minor: int | None = None) -> bool:
        """Note that all that is owed was sent back; false where that is known already. OrderConflict if none is owed, or
        another sum than the `owed_minor` that was seen.
        """
        from billing import ledger
        from billing.models.order import OrderConflict

        with self._locked() as order:
            owed = order.refund_minor
            if not owed and order.refunds.filter(way=RefundWay.BANK_TRANSFER, reason="").exists():
                return False  # those for a reason, or by a dispute, are none that were owed
            if not owed:
                raise OrderConflict(f"Nothing is to be sent back: this order is {order.status}.")
            if owed_minor not in (None, owed):
                raise OrderConflict(f"{order.refund_owed} are owed by now. Look again; nothing was recorded.")
            after = {"amount": order.refund_owed, "reference": reference}
            refund = Refund.objects.create(
                order=order, amount_minor=owed, currency=order.currency, reference=reference, by=by
            )
            ledger.post_refund(refund)
            audit.record("refund.record", by=by, customer=order.customer, subject=order.number, after=after)
            return True

    def _waits_for_second(self: Any, decision: Decision, text: str, *, by: "User") -> bool:
        """Keep a decision that another person has to take too; OrderConflict for who took the first."""
        from billing.models.order import OrderConflict

        first = self.first_decision
        if not self.needs_second or (first and first.by_id != by.pk and first.decision == decision):
            return False
        if first and first.by_id == by.pk:
            raise OrderConflict(
                "You decided first about this order. Another person decides now. Nothing was changed."
            )
        ReviewNote.objects.create(order=self, decision=decision, text=text, seen=self.seen, by=by)
        audit.record("review.first", by=by, subject=self.number, after={"decision": decision})
        return True
