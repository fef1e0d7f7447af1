"""What is an order's own about its money: when it is due, and what becomes of it if the order comes to nothing."""

from typing import TYPE_CHECKING, Any

from django.urls import reverse

from accounts import notices
from billing.models.card import ReturnReason
from billing.models.kept_card import CardOnFile
from billing.models.payment import PaymentMethod
from billing.models.sale import Sale
from billing.models.sold import SaleConflict
from billing.models.status import OrderStatus
from billing.money import format_money

if TYPE_CHECKING:
    from accounts.models import User

_RETURNS = {OrderStatus.CANCELLED: ReturnReason.CANCELLED, OrderStatus.REJECTED: ReturnReason.REJECTED}


class OrderConflict(SaleConflict):
    """The order is not in the state that the act was meant for. The text is for the person who acted."""


class Paying(Sale):
    """The part of `Order` that is about its money."""

    class Meta(Sale.Meta):
        abstract = True

    if TYPE_CHECKING:
        _activate: Any
        email: Any
        get_period_display: Any
        is_open: Any
        objects: Any
        number: Any
        plan: Any
        status: Any

    @property
    def label(self) -> str:
        return str(self.number)

    @property
    def called(self) -> str:
        return f"order {self.number}"

    @property
    def title(self) -> str:
        return f"{self.plan.name}, {self.get_period_display().lower()}"

    @property
    def payer_email(self) -> str:
        return str(self.email)

    @property
    def paid_path(self) -> str:
        return reverse("billing:order-paid", args=[self.number])

    @property
    def reference(self) -> str:
        return f"Order {self.number}"

    @property
    def wanted_minor(self) -> int:
        return self.total_minor - self.paid_minor if self.is_open else 0

    @property
    def due_minor(self) -> int:
        """What must come in now for the service to start; nothing unless the order is unpaid."""
        return max(0, self.total_minor - self.paid_minor) if self.status == OrderStatus.UNPAID else 0

    @property
    def is_running(self) -> bool:
        return bool(self.status == OrderStatus.ACTIVE)

    @property
    def is_over(self) -> bool:
        return self.status in _RETURNS

    @property
    def kept_minor(self) -> int:
        """What there was when the order came to nothing: all that came in, but not what had gone back before."""
        ended = (ReturnReason.CANCELLED, ReturnReason.REJECTED)
        gone = [each for each in self.card_refunds if each.reason not in ended and not each.failed_at]
        return max(0, self.received_minor - sum(refund.amount_minor for refund in gone))

    @property
    def kept(self) -> str:
        return format_money(self.kept_minor, self.currency)

    def refuse_payment(self) -> None:
        if self.status != OrderStatus.UNPAID:
            raise OrderConflict(f"No payment is due: this order is {self.status}. Nothing was changed.")
        if self.due_minor <= 0:
            raise OrderConflict("No payment is due: the whole sum is in. Nothing was changed.")

    @property
    def _may_be_taxed_anew(self) -> bool:
        return bool(self.is_open)

    def _tell_of_tax(self) -> None:
        if self.status == OrderStatus.UNPAID:
            notices.send_notice("order.approved", self.pk)

    def _be_settled(self, *, by: "User | None") -> None:
        """The service starts, unless staff look at the order first: its reference may be that of a rejected or suspended
        customer.
        """
        if self.status == OrderStatus.UNPAID:
            self._activate(by=by)

    def _note_reference(self, reference: str) -> None:
        from billing.own_signals import note_payment

        note_payment(self, reference)  # type: ignore[arg-type]

    def _become_due(self, *, by: "User | None") -> None:
        """The order is to be paid now: its invoice is issued, and what is paid already starts."""
        from billing.invoicing import issue_invoice

        if issue_invoice(self).is_settled:
            self._activate(by=by)
        else:
            notices.send_notice("order.approved", self.pk)

    def _end_payments(self) -> None:
        """The order has come to nothing: nobody pays for it any more, its invoice is taken back, and what cards paid
        goes back.
        """
        from billing.invoicing import credit

        if self.invoice:
            credit(self.invoice)
        if self.coupon_use:
            self.coupon_use.give_back()
        for payment in self.payments.filter(method=PaymentMethod.CARD):
            if payment.kept_minor:
                self._send_back(payment, payment.kept_minor)
        # A card that is kept for this payment alone; one that somebody wants for more stays.
        for card in CardOnFile.objects.filter(paid_on__in=self.checkouts.all(), removed_at=None):
            card.remove(by=None)
        self._look_at_checkouts()

    @property
    def _return_reason(self) -> ReturnReason:
        return _RETURNS.get(self.status, ReturnReason.PAID)
