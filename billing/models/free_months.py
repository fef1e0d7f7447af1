"""Months for nothing: what staff give for a reason, ahead of the next period that is to be paid."""

from datetime import date
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from accounts import audit, notices
from billing.models.lapsing import RenewalKind
from billing.models.sold import must_not_be_member
from billing.models.subscription import Subscription

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.renewal import Renewal

MOST = 12  # in one go


class FreeMonthsQuerySet(models.QuerySet["FreeMonths"]):
    def with_facts(self) -> "FreeMonthsQuerySet":
        """With what `why_they_stay` asks: whether others were given after them, and whether an upgrade was sold that
        covers them, which costs the difference of these months as well.
        """
        from billing.models.renewal import Renewal

        others = FreeMonths.objects.filter(
            subscription=OuterRef("subscription"), withdrawn_at=None, pk__gt=OuterRef("pk")
        )
        upgrades = Renewal.objects.filter(
            subscription=OuterRef("subscription"), kind=RenewalKind.UPGRADE, taken_back_at=None,
            number__gte=OuterRef("period") - 1, until_on__gt=OuterRef("from_on"),
        )  # fmt: skip
        return self.annotate(has_others_after=Exists(others), has_dearer_plan=Exists(upgrades))


class FreeMonths(models.Model):
    """The first period that was not sold yet starts so many months later. Until they begin they can be withdrawn."""

    subscription = models.ForeignKey("billing.Subscription", models.PROTECT, related_name="free_periods")
    months = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(MOST)])
    period = models.PositiveIntegerField(help_text="The number of the period that starts later.")
    from_on = models.DateField(help_text="Their first day.")
    reason = models.CharField(max_length=500, help_text="Why; the customer reads it.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    submission = models.CharField(max_length=64, editable=False)
    fingerprint = models.CharField(max_length=64, editable=False)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    objects = FreeMonthsQuerySet.as_manager()

    if TYPE_CHECKING:
        has_others_after: bool
        has_dearer_plan: bool

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = "free months"
        constraints = [
            models.CheckConstraint(
                condition=Q(months__gte=1, months__lte=MOST), name="free_months_one_to_twelve"
            ),
            models.UniqueConstraint(fields=["subscription", "submission"], name="free_months_submitted_once"),
        ]

    def __str__(self) -> str:
        return f"{self.words} for nothing"

    @property
    def words(self) -> str:
        return f"{self.months} month{'' if self.months == 1 else 's'}"

    @property
    def taken_back(self) -> "Renewal | None":
        """The renewal that was taken back for them, in the same moment."""
        return self.subscription.renewals.filter(taken_back_at=self.at).first()

    @property
    def has_begun(self) -> bool:
        return timezone.localdate() >= self.from_on

    @property
    def may_be_withdrawn(self) -> bool:
        """Whether they are still to come, and were not given behind others."""
        return not (self.withdrawn_at or self.has_begun) and self.subscription.periods == self.period

    @property
    def why_they_stay(self) -> str:
        """Why they cannot be withdrawn, in words for staff; empty where they can. Of one `with_facts`."""
        if not self.may_be_withdrawn:
            return "They have begun, or are sold, so they stay."
        if self.has_others_after:
            return "Others were given after these: withdraw those first."
        if self.has_dearer_plan:
            return "A change of plan was sold for these months too, so they stay."
        return ""

    def withdraw(self, *, by: "User") -> bool:
        """Take them back; false where that is done. ValidationError with `why_they_stay`; SaleConflict for a member of the
        customer.
        """
        with self.subscription._locked() as running:
            must_not_be_member(running.customer, by)
            own = FreeMonths.objects.with_facts().get(pk=self.pk)
            if own.withdrawn_at:
                return False
            own.subscription = running
            if why := own.why_they_stay:
                raise ValidationError(why, code="stay")
            FreeMonths.objects.filter(pk=own.pk).update(withdrawn_at=timezone.now(), withdrawn_by=by)
            _shift(running, -own.months)
            after = {"months": own.months, "renews": running.renews_on.isoformat()}
            about: Any = {"customer": running.customer, "subject": running.plan.name}
            audit.record("free_months.withdraw", by=by, after=after, **about)
            notices.send_notice("free_months.withdrawn", own.pk)
            running.step_soon()
            return True


def shift_next_period(running: Subscription, months: int) -> date:
    """Let the first period that is not sold yet start so many months later; the first day of these. The subscription's row
    is locked.
    """
    from_on = running.renews_on
    _shift(running, months)
    return from_on


def carry_behind(running: Subscription, day: date) -> None:
    """Give again, ahead of the next period, those that had not begun on this day; from then on its periods are counted
    anew, and the others are over. The subscription's row is locked.
    """
    for given in running.free_periods.filter(withdrawn_at=None, from_on__gt=day).order_by("pk"):
        from_on = shift_next_period(running, given.months)
        FreeMonths.objects.filter(pk=given.pk).update(period=running.periods, from_on=from_on)


def bring_forward(running: Subscription) -> None:
    """The period ahead of those to come is not given: they begin on its first day. The subscription's row is locked."""
    behind = list(running.free_periods.filter(withdrawn_at=None, period=running.periods + 1).order_by("pk"))
    _shift(running, -sum(given.months for given in behind))
    for given in behind:
        from_on = shift_next_period(running, given.months)
        FreeMonths.objects.filter(pk=given.pk).update(period=running.periods, from_on=from_on)


def _shift(running: Subscription, months: int) -> None:
    Subscription.objects.filter(pk=running.pk).update(free_months=F("free_months") + months)
    running.refresh_from_db(fields=["free_months", "periods"])
