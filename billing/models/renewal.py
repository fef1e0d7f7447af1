"""Renewing a service by one period, or what somebody asked for beside that."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer, Role, SuspensionCause
from billing.invoice_document import in_words
from billing.models.card import ReturnReason
from billing.models.dunning_step import STOPS, DunningKind
from billing.models.lapsing import RenewalKind
from billing.models.paid_ahead import PaidAhead
from billing.models.payment import PaymentMethod
from billing.models.plan import Period
from billing.models.sold import SaleConflict, must_not_be_member
from billing.models.unpaid_days import UnpaidDays, unpaid_days
from billing.money import format_money
from billing.stripe_amounts import takes
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.invoice import Invoice
    from billing.models.kept_card import CardOnFile
    from billing.models.renewal_charge import RenewalCharge

ON_HOLD = (
    "The service is on hold."  # mail servers tell it to strangers, whom it does not concern that nobody paid
)


class Renewal(PaidAhead):
    """One more period of a subscription, sold by the panel itself; or, of another kind, what somebody asked for. A
    subscription has one at a time that is open.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    subscription = models.ForeignKey("billing.Subscription", models.PROTECT, related_name="renewals")
    number = models.PositiveIntegerField(help_text="Of its period: that of the order is 0.")
    plan = models.ForeignKey("billing.Plan", models.PROTECT, related_name="+")
    version = models.ForeignKey("billing.PlanVersion", models.PROTECT, related_name="+")
    period = models.CharField(max_length=7, choices=Period.choices, db_default="")
    from_on = models.DateField(help_text="Its first day, on which it is to be paid.")
    until_on = models.DateField(help_text="The first day after it.")
    unpaid_minor = models.PositiveIntegerField(
        default=0, db_default=0, help_text="What of the price is for days before it that nobody had paid."
    )
    made_at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True, help_text="When its invoice was paid, or taken back.")
    taken_back_at = models.DateTimeField(null=True, help_text="When nobody wanted it any more.")

    _invoice: "Invoice | None" = None

    class Meta(PaidAhead.Meta):
        ordering = ["-from_on"]
        constraints = [
            *PaidAhead.Meta.constraints,
            models.UniqueConstraint(
                fields=["subscription", "number"],
                condition=Q(taken_back_at=None) & ~Q(kind=RenewalKind.UPGRADE),
                name="renewal_of_a_period_once",
            ),
            models.CheckConstraint(
                condition=Q(kind=RenewalKind.UPGRADE, former__isnull=False)
                | Q(kind__in=[RenewalKind.PERIOD, RenewalKind.RETURN], former=None),
                name="renewal_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(unpaid_minor=0) | Q(kind=RenewalKind.RETURN, unpaid_minor__lt=F("amount_minor")),
                name="renewal_unpaid_days_of_a_return",
            ),
            models.CheckConstraint(
                condition=Q(taken_back_at=None) | Q(settled_at__isnull=False),
                name="renewal_taken_back_is_settled",
            ),
            models.UniqueConstraint(
                fields=["subscription"], condition=Q(settled_at=None), name="renewal_one_open"
            ),
            models.CheckConstraint(condition=Q(until_on__gt=F("from_on")), name="renewal_ends_after_start"),
            models.CheckConstraint(condition=Q(period__in=Period.values), name="renewal_period_known"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} from {self.from_on.isoformat()}"

    def get_absolute_url(self) -> str:
        return reverse("billing:invoice-show", args=[self.customer.username, self.label])

    @property
    def customer(self) -> Customer:
        return self.subscription.customer

    @property
    def customer_id(self) -> UUID:
        return self.subscription.customer_id

    @property
    def label(self) -> str:
        return self.invoice.number if self.invoice else str(self)

    @property
    def called(self) -> str:
        return f"renewal {self.label}"

    @property
    def title(self) -> str:
        name = f"{self.plan.name} in place of {self.former.plan.name}" if self.former else self.plan.name
        return f"{name}, {self.get_period_display().lower()}"

    @property
    def days(self) -> str:
        """What it covers: "31 January 2026 to 27 February 2026"."""
        return f"{in_words(self.from_on)} to {in_words(self.last_on)}"

    @property
    def last_on(self) -> date:
        return date.fromordinal(self.until_on.toordinal() - 1)

    @property
    def payer_email(self) -> str:
        return next(iter(self.customer.member_addresses(role=Role.OWNER)), "")

    @property
    def paid_path(self) -> str:
        return reverse("billing:invoice-paid", args=[self.customer.username, self.label])

    @property
    def invoice(self) -> "Invoice | None":
        """It is issued with the renewal; asked for once, until another takes its place."""
        if self._invoice is None or self._invoice.is_taken_back:
            self._invoice = super().invoice
        return self._invoice

    @property
    def is_open(self) -> bool:
        return self.settled_at is None

    @property
    def due_day(self) -> date:
        """The day on which it is to be paid, and its card charged: its first, or the one after it was made."""
        made_on = timezone.localdate(self.made_at)
        return made_on if self.may_lapse else self.due_on(made_on)

    @property
    def has_begun(self) -> bool:
        """Whether it is unpaid, and a part of its period was given already."""
        return self.is_open and not self.may_lapse and timezone.localdate() >= self.from_on

    @property
    def is_late(self) -> bool:
        """Whether it was to be paid by now."""
        return self.is_open and not self.may_lapse and timezone.localdate() >= self.due_day

    @property
    def is_over(self) -> bool:
        return self.taken_back_at is not None

    @property
    def reference(self) -> str:
        return self.subscription.order.reference

    @property
    def covers(self) -> tuple[date, date]:
        return self.from_on, self.last_on

    @property
    def list_minor(self) -> int:
        return super().list_minor - self.unpaid_minor

    @property
    def unpaid_days(self) -> UnpaidDays | None:
        return unpaid_days(self.subscription, self.number) if self.unpaid_minor else None

    def due_on(self, today: date) -> date:
        return self.pay_by if self.may_lapse else max(self.from_on, today + timedelta(days=1))

    @property
    def wanted_minor(self) -> int:
        credited = self.invoice.credited_minor if self.invoice else 0
        return max(0, self.total_minor - credited - self.paid_minor) if self.is_open else 0

    @property
    def due_minor(self) -> int:
        return self.wanted_minor

    @property
    def is_running(self) -> bool:
        return not self.is_open

    @property
    def may_be_refunded(self) -> bool:
        """Also while it is open, or after it was taken back: then nothing of its invoice has to go with it."""
        return True

    @property
    def open_charge(self) -> "RenewalCharge | None":
        """The one of which Stripe has not said yet what came of it."""
        return self.charges.filter(ended_at=None).first()

    @property
    def _may_be_taxed_anew(self) -> bool:
        return self.is_open and not self.open_charge

    def refuse_payment(self) -> None:
        if self.taken_back_at:
            raise SaleConflict("This renewal was taken back, so nothing is due for it. Nothing was changed.")
        if self.due_minor <= 0:
            raise SaleConflict("No payment is due: the whole sum is in. Nothing was changed.")

    def _check_payment(self, amount_minor: int, currency: str) -> None:
        """What comes in for one that was taken back is held for the customer, whatever it is."""
        if self.taken_back_at is None:
            super()._check_payment(amount_minor, currency)
            if self.may_lapse and amount_minor < self.due_minor:
                text = f"This is paid in one sum, {self.due}, or not at all. Send back what came in."
                raise ValidationError({"amount": text})
        elif currency != self.currency:
            text = f"This is to be paid in {self.currency}. Nothing was recorded."
            raise ValidationError({"currency": text})

    def _must_be_of_another(self, by: "User") -> None:
        must_not_be_member(self.customer, by)

    def _note_reference(self, reference: str) -> None:
        """What comes in for one that was taken back is held, and may pay what is open."""
        if self.taken_back_at:
            self.subscription.step_soon()

    def begin_charge(self, card: "CardOnFile") -> "RenewalCharge | None":
        """Note that what is due is charged to this card, and that Stripe is asked for it now. None where nothing is due, or
        not what a card can pay; the charge that is under way, if there is one.
        """
        with self._locked_alone() as renewal:
            charges = list(renewal.charges.all())
            if found := next((each for each in charges if not each.ended_at), None):
                return found
            due = renewal.due_minor
            if not takes(due, renewal.currency):
                renewal._start_if_paid()
                return None
            made: RenewalCharge = renewal.charges.create(
                number=len(charges) + 1, card=card, amount_minor=due, currency=renewal.currency,
                asked_at=timezone.now(), looks=1,
            )  # fmt: skip
            made.is_new = True
            return made

    def use_credit(self) -> bool:
        """Pay what is due with what we hold for the customer, as far as that goes, but one that lapses whole or not at all;
        false where nothing is held, or a card is being charged at this moment.
        """
        from billing import crediting, ledger

        if crediting.available(self.customer, self.currency) <= 0:
            return False
        with self._locked() as renewal:
            if renewal.open_charge or not renewal.due_minor or not (invoice := renewal.invoice):
                return False
            customer = Customer.objects.select_for_update(no_key=True).get(pk=renewal.customer_id)
            parts = crediting.parts(customer, renewal.currency, renewal.due_minor)
            if renewal.may_lapse and sum(amount for _, amount in parts) < renewal.due_minor:
                return False
            for grant, amount in parts:
                payment = renewal.payments.create(
                    method=PaymentMethod.CREDIT, grant=grant, amount_minor=amount, currency=renewal.currency
                )
                ledger.post_payment(payment, invoice, amount)
                after = {"amount": format_money(amount, renewal.currency)}
                audit.record("credit.use", by=None, customer=customer, subject=renewal.label, after=after)
            if parts:
                renewal._look_at_checkouts()
                renewal._start_if_paid()
            return bool(parts)

    def take_step(self, kind: "DunningKind") -> bool:
        """What its not being paid leads to now, told to the customer in the same transaction; false where that was done, or
        it is paid.
        """
        with self._locked() as renewal:
            if not renewal.is_open or renewal.may_lapse or renewal.steps.filter(kind=kind).exists():
                return False
            step = renewal.steps.create(kind=kind)
            if stops := STOPS.get(kind):
                renewal.customer.suspend(reason=ON_HOLD, by=None, stops=stops, cause=SuspensionCause.UNPAID)
            audit.record(
                "renewal.dun", by=None, customer=renewal.customer, subject=renewal.label,
                after={"step": kind.label},
            )  # fmt: skip
            notices.send_notice("renewal.overdue", step.pk)
            if kind == DunningKind.HANDED_OVER:
                notices.send_notice("renewal.handed_over", step.pk)
            return True

    def take_back_unpaid(self) -> None:
        """Nobody wants it any more: its invoice is taken back, and its period can be sold again. What was stopped for it
        goes on. ValidationError where a part of it is paid, or a card is being charged for it; of one that lapses, what
        cards paid goes back.
        """
        from billing.invoicing import credit

        with self._locked() as renewal:
            if not renewal.is_open:
                return
            if renewal.open_charge:
                text = "A card is being charged for the renewal at this moment. Try again in a few minutes."
                raise ValidationError(text, code="charging")
            by_money = (
                renewal.paid_minor - renewal.paid_by_credit_minor
            )  # credit is the customer's again by itself
            if by_money > 0 and not renewal.may_lapse:
                text = f"{renewal.paid} were paid for the renewal already. Write to us, and we send that back first."
                raise ValidationError(text, code="paid")
            renewal.customer.lift_suspension(by=None, cause=SuspensionCause.UNPAID)  # customers before series
            if renewal.invoice:
                credit(renewal.invoice)
            renewal.settled_at = renewal.taken_back_at = now = timezone.now()
            Renewal.objects.filter(pk=renewal.pk).update(settled_at=now, taken_back_at=now)
            if renewal.kind == RenewalKind.PERIOD:
                renewal._let_period_be_sold()
            for payment in renewal.payments.filter(method=PaymentMethod.CARD):
                if payment.kept_minor:
                    renewal._send_back(payment, payment.kept_minor)
            renewal._look_at_checkouts()

    @property
    def _return_reason(self) -> ReturnReason:
        return ReturnReason.CANCELLED if self.taken_back_at else ReturnReason.PAID

    def _be_settled(self, *, by: "User | None") -> None:
        """What was stopped for it goes on, or what was asked for begins, and the next period is looked at."""
        if not self.is_open:
            return
        Renewal.objects.filter(pk=self.pk).update(settled_at=timezone.now())
        self.settled_at = timezone.now()
        self.customer.lift_suspension(by=None, cause=SuspensionCause.UNPAID)
        if self.kind == RenewalKind.UPGRADE:
            self.subscription._take_version(self.version, by=by)
        if self.kind == RenewalKind.RETURN:
            self.subscription._run_again(by=by, renewal=self)
        notices.send_notice("renewal.paid", self.pk)
        self.subscription.step_soon()

    @contextmanager
    def _locked(self) -> Iterator["Renewal"]:
        """It, with what it is of, with its own row locked until the end of the unit of work."""
        known = Renewal.objects.select_related("plan", "subscription__customer")
        with unit_of_work():
            yield known.select_for_update(no_key=True, of=("self",)).get(pk=self.pk)

    @contextmanager
    def _locked_alone(self) -> Iterator["Renewal"]:
        """The same with its plan only: half the price."""
        with unit_of_work():
            yield (
                Renewal.objects.select_related("plan")
                .select_for_update(no_key=True, of=("self",))
                .get(pk=self.pk)
            )
