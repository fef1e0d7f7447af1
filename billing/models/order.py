import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from accounts import audit, notices
from accounts.models import Customer
from billing import signals
from billing.countries import COUNTRIES
from billing.models.fraud import CLEARING
from billing.models.paying import OrderConflict, Paying
from billing.models.plan import Period
from billing.models.review import Decision, MessageKind, OrderCancellation, OrderMessage, ReviewDecision
from billing.models.reviewing import Reviewing
from billing.models.signal import DECIDING
from billing.models.status import OrderQuerySet, OrderStatus
from billing.models.subscription import Subscription
from billing.submissions import new_token
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.question import QuestionLink

# Without the letters and digits that are mistaken for each other.
_NUMBER_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


ERASED_EMAIL = "erased@invalid.invalid"  # of an order whose person was erased


def new_number() -> str:
    """`XXXX-XXXX-XX`: 50 random bits, so that a number can be read out and cannot be guessed."""
    letters = "".join(secrets.choice(_NUMBER_ALPHABET) for _ in range(10))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"


class Order(Reviewing, Paying):
    """A wish for a plan, and the address given with it. Facts only; `status` says what they mean together."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    number = models.CharField(max_length=12, unique=True, default=new_number, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="orders")
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders")
    placed_at = models.DateTimeField(default=timezone.now)
    plan = models.ForeignKey("billing.Plan", models.PROTECT, related_name="orders")
    version = models.ForeignKey("billing.PlanVersion", models.PROTECT, related_name="orders")
    period = models.CharField(max_length=7, choices=Period.choices)
    name = models.CharField(max_length=100)
    company = models.CharField(max_length=100, blank=True)
    email = models.EmailField(max_length=254, help_text="Of the person who placed it, at that time.")
    street = models.CharField(max_length=200)
    city = models.CharField(max_length=100)
    region = models.CharField(max_length=100, blank=True)
    postcode = models.CharField(max_length=20)
    country = models.CharField(max_length=2)
    phone = models.CharField(max_length=32)
    domain = models.CharField(max_length=253, blank=True)
    client_address = models.GenericIPAddressField(null=True)
    terms_accepted_at = models.DateTimeField()
    began_at = models.DateTimeField(null=True, help_text="When the form was first shown; empty: not known.")
    submission = models.CharField(max_length=64, default=new_token, editable=False)
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)

    objects = OrderQuerySet.as_manager()

    class Meta(Paying.Meta):
        ordering = ["-placed_at"]
        indexes = [models.Index(fields=["placed_at"], name="order_by_age")]
        constraints = [
            *Paying.Meta.constraints,
            models.UniqueConstraint(fields=["placed_by", "submission"], name="order_submitted_once"),
            models.UniqueConstraint(fields=["coupon_use"], name="order_coupon_use_once"),
            models.CheckConstraint(condition=Q(country__regex=r"^[A-Z]{2}$"), name="order_country_form"),
            models.CheckConstraint(condition=Q(period__in=Period.values), name="order_period_known"),
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("billing:order-show", args=[self.number])

    @property
    def status(self) -> OrderStatus:
        """What the facts mean together."""
        decision = getattr(self, "decision", None)
        if getattr(self, "cancellation", None):
            return OrderStatus.CANCELLED
        if getattr(self, "subscription", None):
            return OrderStatus.ACTIVE
        if decision:
            return OrderStatus.REJECTED if decision.decision == Decision.REJECT else OrderStatus.UNPAID
        # Once staff have spoken with the customer a person decides, whatever the machine says afterwards.
        if last := self.last_message:
            return OrderStatus.QUESTION if last.kind == MessageKind.QUESTION else OrderStatus.REVIEW
        outcome = self.fraud_check.outcome
        if outcome in CLEARING and not self.is_signalled:
            return OrderStatus.UNPAID
        return OrderStatus.REVIEW if outcome else OrderStatus.CHECKING

    @cached_property
    def is_signalled(self) -> bool:
        """Whether a signal of our own sends it to a person."""
        return self.signals.filter(kind__in=DECIDING).exists()

    @property
    def last_message(self) -> "OrderMessage | None":
        messages = list(self.messages.all())
        return messages[-1] if messages else None

    @property
    def seen(self) -> int:
        """How far the conversation is; a form carries it, so nobody decides on what they have not read."""
        return len(self.messages.all())

    @property
    def is_open(self) -> bool:
        """Whether something may still become of it, so that it can be cancelled."""
        return self.status not in (OrderStatus.ACTIVE, OrderStatus.REJECTED, OrderStatus.CANCELLED)

    @property
    def may_be_checked(self) -> bool:
        """Whether FraudRecord may be asked about it: something may become of it, and nobody has decided yet."""
        return self.is_open and getattr(self, "decision", None) is None

    @property
    def country_name(self) -> str:
        return dict(COUNTRIES).get(self.country, self.country)

    def answer_question(self, text: str, *, by: "User | None", link: "QuestionLink | None" = None) -> None:
        """The customer's answer to the open question; the same answer a second time changes nothing.

        `by` is None where it came by the `link` in the mail, which does not say who had it.
        """
        with self._locked() as order:
            last = order.last_message
            if last and last.kind == MessageKind.ANSWER and last.text == text:
                return
            if order.status != OrderStatus.QUESTION or (link and link.status_in(order) != "question"):
                raise OrderConflict(
                    "There is no open question about this order, so there is nothing to answer."
                )
            order.messages.create(kind=MessageKind.ANSWER, text=text, by=by)
            after = {"through": "the link in the mail"} if link else None
            audit.record("order.answer", by=by, customer=order.customer, subject=order.number, after=after)

    def cancel(self, *, by: "User") -> bool:
        """Take the order back; false when it was before. OrderConflict once it is active or rejected."""
        with self._locked() as order:
            if order.status == OrderStatus.CANCELLED:
                return False
            if not order.is_open:
                raise OrderConflict(f"This order is {order.status}, so it cannot be cancelled any more.")
            before = {"status": order.status}
            after = {"refund_owed": order.paid} if order.paid_minor else None
            OrderCancellation.objects.create(order=order, by=by)
            order._end_payments()
            audit.record(
                "order.cancel",
                by=by,
                customer=order.customer,
                subject=order.number,
                before=before,
                after=after,
            )
            notices.send_notice("order.cancelled", order.pk)
            return True

    def ask_question(self, text: str, *, by: "User", seen: int | None = None) -> None:
        """Ask the customer something; the order waits for the answer, from its page or by the link in the mail."""
        from billing.models.question import give_link

        with self._to_decide(seen) as order:
            message = order.messages.create(kind=MessageKind.QUESTION, text=text, by=by)
            give_link(message)
            # The texts stand in the message and the decision alone, so that erasing them there erases them.
            audit.record("order.ask", by=by, customer=order.customer, subject=order.number)
            notices.send_notice("order.question", message.pk)

    def approve(self, text: str, *, by: "User", seen: int | None = None) -> bool:
        """Let the order go on to payment; false where another person has to decide the same first (`needs_second`).
        One that is held needs a text that says why (ValidationError).
        """
        with self._to_decide(seen) as order:
            if order.fraud_check.is_held and not text:
                raise ValidationError(
                    {"text": "This order is held. Write why you approve it; the text stays with the order."}
                )
            return order._decide(Decision.APPROVE, text, by=by)

    def reject(self, text: str, *, by: "User", seen: int | None = None) -> bool:
        """Turn the order down; the customer is told, with `text` if there is one. False as in `approve`."""
        with self._to_decide(seen) as order:
            return order._decide(Decision.REJECT, text, by=by)

    @contextmanager
    def _locked(self) -> Iterator["Order"]:
        """The order with its row locked until the end of the unit of work.

        The row is locked alone and the facts are read after it: joined rows of the locking statement would be
        those of the moment before it had to wait.
        """
        with unit_of_work():
            yield Order.objects.select_for_update(no_key=True).get(pk=self.pk)

    @contextmanager
    def _to_decide(self, seen: int | None) -> Iterator["Order"]:
        """The locked order if it is for its reader to decide now: OrderConflict when somebody was faster."""
        with self._locked() as order:
            if order.status not in (OrderStatus.REVIEW, OrderStatus.QUESTION):
                raise OrderConflict(
                    f"There is nothing to decide: this order is {order.status}. Nothing was changed."
                )
            unread = order.status == OrderStatus.QUESTION if seen is None else seen != order.seen
            if unread:
                raise OrderConflict("Somebody asked or answered since you opened this. Nothing was changed.")
            yield order

    def _decide(self, decision: Decision, text: str, *, by: "User") -> bool:
        self._must_be_of_another(by)
        if self._waits_for_second(decision, text, by=by):
            return False
        ReviewDecision.objects.create(order=self, decision=decision, text=text, by=by)
        audit.record(f"order.{decision}", by=by, customer=self.customer, subject=self.number)
        if decision == Decision.REJECT:
            self._end_payments()
            notices.send_notice("order.rejected", self.pk)
        else:
            self._become_due(by=by)
        return True

    def is_own_of(self, person: "User") -> bool:
        """Whether this person placed it, who then decides nothing about it and notes no money for it."""
        return self.placed_by_id == person.pk

    def _must_be_of_another(self, by: "User") -> None:
        if self.is_own_of(by):
            raise OrderConflict(
                "You placed this order yourself. Somebody else has to do this. Nothing was changed."
            )

    def _activate(self, *, by: "User | None") -> None:
        """Start the service: subscription, customer, signal, audit and mail, in the transaction under way."""
        Subscription.objects.create(
            customer=self.customer, order=self, plan=self.plan, version=self.version, period=self.period,
            amount_minor=self.list_minor, currency=self.currency, coupon_use=self.coupon_use,
        )  # fmt: skip
        self.customer.activate(by=by)
        audit.record("order.activate", by=by, customer=self.customer, subject=self.number)
        signals.service_started.send(Customer, customer=self.customer)
        notices.send_notice("order.active", self.pk)
