"""How many recipients a mailbox may send to, how many it did, and what raises that. The mail server counts and refuses
(`mailnode.limits`); here stands what is wished, and what was reported.
"""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, User
from billing.entitlements import Feature, limit
from domains.driver.stamping import stamp
from domains.models.server import Kind
from foundation.unit_of_work import unit_of_work

IN_AN_HOUR = 400  # `mailbox_hour` of a mail server, unless it says otherwise
MOST = 2**31 - 1
NEARLY = 80  # per cent of a limit, from which on its customer is told by mail
STALE = timedelta(hours=25)  # what was reported longer ago is in no day any more


class Counted(models.Model):
    """What a mail server last reported of recipients sent to, and when the oldest of them fall out of the count."""

    sent_in_hour = models.PositiveIntegerField(default=0, editable=False)
    sent_in_day = models.PositiveIntegerField(default=0, editable=False)
    hour_rolls_at = models.DateTimeField(null=True, editable=False)
    day_rolls_at = models.DateTimeField(null=True, editable=False)
    sent_reported_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def sent(self) -> int:
        """Recipients sent to in the last 24 hours."""
        reported = self.sent_reported_at
        return self.sent_in_day if reported and reported > timezone.now() - STALE else 0

    @property
    def sent_this_hour(self) -> int:
        """Recipients sent to in the last hour."""
        return self.sent_in_hour if self.hour_rolls_at and self.hour_rolls_at > timezone.now() else 0


class MailboxSending(Counted):
    """The part of a mailbox that is about sending."""

    sends_per_day = models.PositiveIntegerField(
        null=True, editable=False, help_text="A limit of its own below the plan's; empty: it has none."
    )
    send_warned_at = models.DateTimeField(
        null=True, editable=False, help_text="When its customer was last told that it is nearly reached."
    )

    class Meta:
        abstract = True

    plan_sends_when_added: int | None = None  # so that nobody asks for it again

    @property
    def send_limit(self: Any) -> int:
        """Recipients a day, as in force now: the plan's, or what staff raised it to, or its own below that."""
        raised = self.send_raise
        return in_force(
            plan_sends(self.customer), self.sends_per_day, raised.sends_per_day if raised else None
        )

    @property
    def usual_send_limit(self: Any) -> int:
        """As `send_limit`, were it not raised."""
        known = self.plan_sends_when_added
        return in_force(plan_sends(self.customer) if known is None else known, self.sends_per_day, None)

    @property
    def send_raise(self: Any) -> Any:
        """The SendRaise in force, if there is one."""
        return self.send_raises.filter(lifted_at=None, until__gt=timezone.now()).first()

    def limit_sends(self: Any, limit: int | None, *, by: User | None) -> bool:
        """Give it a limit of its own, recipients a day (0: it sends nothing); None, or the plan's own: none. False when
        that is so already, ValidationError above the plan's.
        """
        plan = plan_sends(self.customer)
        if limit is not None and not 0 <= limit <= plan:
            text = f"Your plan has {plan} recipients a day. Choose at most that."
            raise ValidationError({"limit": ValidationError(text, code="limit")})
        wanted = None if limit == plan else limit
        with unit_of_work():
            lock(self)
            if self.deleted_at or self.sends_per_day == wanted:
                return False
            before, self.sends_per_day = self.sends_per_day, wanted
            self.save(update_fields=["sends_per_day"])
            values = {"before": {"sends_per_day": before}, "after": {"sends_per_day": wanted}}
            self.record("mailbox.limit", by, **values)
        return True

    def raise_sends(self: Any, sends_per_day: int, *, until: datetime, reason: str, by: User | None) -> Any:
        """Let it send to more recipients a day until then; replaces an earlier raise. For staff."""
        self.check_raise(sends_per_day, until)
        with unit_of_work():
            lock(self)
            if self.deleted_at:
                raise ValidationError("This mailbox was deleted.")
            present = self.send_raise
            facts = (sends_per_day, until, reason)
            if present and (present.sends_per_day, present.until, present.reason) == facts:
                return present
            self.send_raises.filter(lifted_at=None).update(lifted_at=timezone.now(), lifted_by=by)
            made = self.send_raises.create(sends_per_day=sends_per_day, until=until, reason=reason, by=by)
            after = {"sends_per_day": sends_per_day, "until": until.isoformat(), "reason": reason}
            self.record("mailbox.raise", by, after=after)
        return made

    def check_raise(self: Any, sends_per_day: int, until: datetime) -> None:
        """ValidationError for what `raise_sends` would refuse."""
        usual = self.usual_send_limit
        if not usual < sends_per_day <= MOST:
            raise ValidationError({"sends_per_day": f"It may send to {usual} a day already. Choose more."})
        if usual == self.sends_per_day:
            text = (
                f"It has a limit of its own, {usual} a day, and a raise does not lift that. "
                "Ask its customer to take that limit away first."
            )
            raise ValidationError({"sends_per_day": text})
        if until <= timezone.now():
            raise ValidationError({"until": "This time is over. Choose a later one."})
        if self.deleted_at:
            raise ValidationError({"mailbox": "This mailbox was deleted."})


class CustomerSending(Counted):
    """What all mailboxes of a customer send together, and the limit that staff set on that."""

    customer = models.OneToOneField(Customer, models.CASCADE, related_name="sending")
    sends_per_day_in_sum = models.PositiveIntegerField(
        "recipients a day in sum",
        null=True,
        blank=True,
        help_text="Of all mailboxes together; empty: no limit.",
    )

    class Meta:
        verbose_name = "sending of a customer"
        verbose_name_plural = "sending of customers"

    def __str__(self) -> str:
        return f"Sending of {self.customer}"

    @property
    def left(self) -> int | None:
        """Recipients that all mailboxes together may still send to today; None: as many as each may."""
        allowed = self.sends_per_day_in_sum
        return None if allowed is None else max(0, allowed - self.sent)

    @staticmethod
    def limit(customer: Customer, sends_per_day_in_sum: int | None, *, by: User | None) -> bool:
        """Limit what all mailboxes together send to in a day; None: no limit. False when that is so already."""
        with unit_of_work():
            found, _ = CustomerSending.objects.select_for_update().get_or_create(customer=customer)
            before = found.sends_per_day_in_sum
            if before == sends_per_day_in_sum:
                return False
            CustomerSending.objects.filter(pk=found.pk).update(sends_per_day_in_sum=sends_per_day_in_sum)
            stamp(customer, Kind.CUSTOMER, customer.pk)
            values = {"before": {"sends_per_day": before}, "after": {"sends_per_day": sends_per_day_in_sum}}
            audit.record("customer.limit", by=by, customer=customer, subject=customer.username, **values)
        return True


def plan_sends(customer: Customer) -> int:
    """Recipients a day that the plan has for each mailbox; 0 without a running service."""
    return limit(customer, Feature.SENDS_PER_DAY) or 0


def in_force(plan: int, own: int | None, raised: int | None) -> int:
    """The limit of a day, as the mail server has it (`mailnode.sending.day_of`): a raise lifts the plan's, never a
    mailbox's own."""
    most = max(plan, raised or 0)
    return most if own is None else min(most, own)


def hour_of(day: int) -> int:
    """The limit of an hour that goes with one of a day, as the mail server has it (`mailnode.limits.hour_of`)."""
    return min(day, max(IN_AN_HOUR, -(-day // 24)))


def lock(mailbox: Any) -> None:
    """Read once more what these verbs look at, locked."""
    locked = type(mailbox).objects.select_for_update()
    mailbox.refresh_from_db(fields=["sends_per_day", "deleted_at"], from_queryset=locked)
