"""The service that a paid order started, and when its next period begins."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer
from billing import signals
from billing.models.changing import Changing
from billing.models.changing_period import ChangingPeriod
from billing.models.couponed import Couponed
from billing.models.lapsing import RenewalKind
from billing.models.plan import Period
from billing.models.plan_change import ChangeOutcome, PlanChange
from billing.models.returning import Returning
from billing.models.sale import EDITIONS
from billing.money import CurrencyField, format_money
from billing.periods import period_start
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.cancellation import SubscriptionCancellation
    from billing.models.free_months import FreeMonths
    from billing.models.renewal import Renewal


class Subscription(Changing, ChangingPeriod, Returning, Couponed):
    """The service that a paid order started; a customer has one at a time."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="subscriptions")
    order = models.OneToOneField("billing.Order", models.PROTECT, related_name="subscription")
    plan = models.ForeignKey("billing.Plan", models.PROTECT, related_name="subscriptions")
    version = models.ForeignKey(
        "billing.PlanVersion",
        models.PROTECT,
        related_name="subscriptions",
        help_text="Of its plan, as sold: what the customer may use.",
    )
    period = models.CharField(max_length=7, choices=Period.choices)
    coming_period = models.CharField(
        max_length=7, choices=Period.choices, blank=True, default="", db_default="",
        help_text="By which the period is sold that has not begun; empty: as those before.",
    )  # fmt: skip
    amount_minor = models.PositiveIntegerField(help_text="Price of one period, as sold.")
    currency = CurrencyField()
    started_at = models.DateTimeField(default=timezone.now, help_text="Periods are counted from here.")
    ended_at = models.DateTimeField(null=True, blank=True)
    periods = models.PositiveIntegerField(
        default=1, db_default=1, help_text="How many were sold: the one of the order, and a renewal each."
    )
    anchor_on = models.DateField(
        null=True,
        help_text="From where periods are counted anew, since it was had back; empty: from its start.",
    )
    anchor_number = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Of the period that begins there, or so many months later."
    )
    anchor_months = models.PositiveIntegerField(
        default=0, db_default=0, help_text="That it was paid by another period before the one of this number."
    )
    free_months = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How many lie between the periods that were sold: `FreeMonths`."
    )
    next_step_at = models.DateTimeField(
        null=True,
        default=timezone.now,
        db_default=Now(),
        help_text="When it is looked at: to be renewed, charged, or reminded.",
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["next_step_at"], name="subscription_to_step", condition=Q(next_step_at__isnull=False)
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(ended_at=None), name="subscription_one_running"
            ),
            models.CheckConstraint(condition=Q(period__in=Period.values), name="subscription_period_known"),
            models.CheckConstraint(
                condition=Q(coming_period__in=["", *Period.values]), name="subscription_coming_period_known"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=models.F("started_at")),
                name="subscription_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} of {self.customer}"

    @property
    def price(self) -> str:
        """Of one period, without tax."""
        return format_money(self.amount_minor, self.currency)

    @property
    def renews_on(self) -> date:
        """The first day that is not sold yet."""
        return self.starts_on(self.periods)

    def starts_on(self, number: int) -> date:
        """The first day of a period that is not sold yet, counted from 0."""
        anchor = self.anchor_on or timezone.localdate(self.started_at)
        months = self.anchor_months + self.free_months
        return period_start(anchor, self.coming_period or self.period, number - self.anchor_number, months)

    @property
    def free_to_come(self) -> "list[FreeMonths]":
        """Months for nothing, given ahead of the next period that is not sold yet; not asked for where none ever were."""
        if not self.free_months:
            return []
        return list(self.free_periods.filter(withdrawn_at=None, period=self.periods).order_by("pk"))

    @property
    def open_renewal(self) -> "Renewal | None":
        """The renewal that is still to be paid; there is one at most, because none is made before the last is paid."""
        return self.renewals.filter(settled_at=None).select_related("plan").first()

    @property
    def cancellation(self) -> "SubscriptionCancellation | None":
        """The one in force: the service ends when what is paid does."""
        return self.cancellations.filter(withdrawn_at=None).first()

    def cancel(self, *, by: "User", at_once: bool = False) -> bool:
        """End the service on the day on which it would be renewed, or now; false where that is so already. What was
        announced of its renewal is taken back.

        ValidationError where a part of it is paid, a card is being charged for it at this moment, or it has begun and is
        not paid: then the service ends at once or not.
        """
        with self._locked_to_end() as own:
            if own.ended_at:
                return False
            renewal, known = own.open_renewal, own.cancellation
            if renewal and renewal.has_begun and not at_once:
                text = "The period that is not paid has begun, so the service can only be ended now."
                raise ValidationError(text, code="begun")
            if known and not at_once:
                return False
            if renewal:
                renewal.take_back_unpaid()
                own.refresh_from_db()
            if not known:
                own.cancellations.create(by=by)
            after = {"ends": "now" if at_once else own.renews_on.isoformat()}
            audit.record(
                "subscription.cancel", by=by, customer=own.customer, subject=own.plan.name, after=after
            )
            if at_once:
                own._end(by=by)
            else:
                notices.send_notice("subscription.cancelled", own.pk)
                own.step_soon()
            return True

    def go_on(self, *, by: "User") -> bool:
        """Renew it after all; false where nobody had cancelled, or it has ended. ValidationError where it was cancelled and
        continued too often since its next period was first sold: each time its invoice is taken back.
        """
        with self._locked() as own:
            if own.ended_at or not own.cancellation:
                return False
            sold = own.renewals.filter(kind=RenewalKind.PERIOD, number=own.periods).order_by("made_at")
            continued = own.cancellations.exclude(withdrawn_at=None)
            if continued.filter(at__gte=Subquery(sold.values("made_at")[:1])).count() >= EDITIONS - 1:
                text = "The service was cancelled and continued too often. Write to us to have it renewed."
                raise ValidationError(text, code="editions")
            own.cancellations.filter(withdrawn_at=None).update(withdrawn_at=timezone.now(), withdrawn_by=by)
            audit.record("subscription.go_on", by=by, customer=own.customer, subject=own.plan.name)
            own.step_soon()
            return True

    def end_if_cancelled(self) -> bool:
        """End it where somebody cancelled and what is paid is over."""
        with self._locked_to_end() as own:
            if own.ended_at or not own.cancellation or timezone.localdate() < own.renews_on:
                return False
            own._end(by=None)
            return True

    def renew(self) -> "Renewal | None":
        """Sell the next period, of the plan that is planned for it: its tax is decided, and its invoice issued. None where
        the service has ended or will, or where the last renewal is not paid yet. ValidationError where the tax cannot be
        decided.
        """
        from billing.invoicing import issue_first
        from billing.models.billing_details import details_of
        from billing.models.renewal import Renewal
        from billing.models.sold import decided
        from billing.taxing import decide

        with self._locked() as own:
            if own.ended_at or own.cancellation or own.renewals.filter(settled_at=None).exists():
                return None
            details = details_of(own.customer)
            decision = decide(details.buyer)
            change = own._change_that_fits()
            version, period = (change.version, change.period) if change else (own.version, "")
            price = own.price_of(own.periods, version, period)
            if period:
                own._count_by(Period(period))
            renewal = Renewal.objects.create(
                subscription=own, number=own.periods, plan=version.plan, version=version,
                period=period or own.period, from_on=own.renews_on, until_on=own.starts_on(own.periods + 1),
                **price, **decided(price["amount_minor"], decision),
            )  # fmt: skip
            if change:
                PlanChange.objects.filter(pk=change.pk).update(renewal=renewal)
            Subscription.objects.filter(pk=own.pk).update(periods=own.periods + 1)
            after = {"from": renewal.from_on.isoformat(), "total": renewal.total}
            audit.record(
                "subscription.renew", by=None, customer=own.customer, subject=version.plan.name, after=after
            )
            issue_first(renewal, details)
            return renewal

    def step_soon(self) -> None:
        """Have it looked at now. Call inside a unit of work."""
        from billing.tasks import work_subscription

        Subscription.objects.filter(pk=self.pk).update(next_step_at=timezone.now())
        work_subscription.delay_on_commit(str(self.pk))

    def _end(self, *, by: "User | None") -> None:
        """Stop sending and receiving; nothing is deleted, and what is there can be fetched."""
        Subscription.objects.filter(pk=self.pk).update(ended_at=timezone.now(), next_step_at=timezone.now())
        change = self.planned_change
        if change and (change.renewal is None or change.renewal.is_open):  # of a period that is paid it holds
            self._end_change(change, ChangeOutcome.WITHDRAWN, by=by)
        self.customer.end(by=by)
        signals.service_ended.send(Customer, customer=self.customer)
        notices.send_notice("subscription.ended", self.pk)

    @contextmanager
    def _locked_to_end(self) -> Iterator["Subscription"]:
        """The same with its open renewal and its customer, in the order in which everybody locks these: once more, where it
        was renewed meanwhile.
        """
        with unit_of_work():
            before = transaction.savepoint()
            own, is_all = self._lock_to_end()
            if not is_all:
                transaction.savepoint_rollback(before)  # lets go of what is locked since
                own, _ = self._lock_to_end()
            transaction.savepoint_commit(before)
            yield own

    def _lock_to_end(self) -> tuple["Subscription", bool]:
        """It as locked, and whether its open renewal is too."""
        opened = self.renewals.filter(settled_at=None)
        held = [renewal.pk for renewal in opened.select_for_update(no_key=True)]
        Customer.objects.select_for_update(no_key=True).get(pk=self.customer_id)
        own = Subscription.objects.select_for_update(no_key=True).get(pk=self.pk)
        return own, not opened.exclude(pk__in=held).exists()

    @contextmanager
    def _locked(self) -> Iterator["Subscription"]:
        """It, with what it is of, with its own row locked until the end of the unit of work: the row first, for it may be of
        another version by the time that it is ours.
        """
        known = Subscription.objects.filter(pk=self.pk)
        with unit_of_work():
            known.select_for_update(no_key=True).values_list("pk").get()
            yield known.select_related("customer", "version__plan").get()
