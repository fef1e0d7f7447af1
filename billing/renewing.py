"""The clock of subscriptions: each is looked at when something of it is due, and whatever is due by then is done, one step
after the other. So a day of downtime only delays, and whoever dies half-way is followed by somebody who goes on.
"""

import logging
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import BooleanField, CharField, DateField, Q
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts.models import SuspensionCause
from billing import dunning
from billing.models import Period, Renewal, RenewalCharge, RenewalKind, Subscription
from billing.renewal_charges import learn_charge
from billing.stripe_terms import is_on
from foundation.unawaited import unawaited

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)  # the deadlines of the calls of one look, and room
AT_HOUR = time(6)  # when what is due on a day is done, in the panel's time zone
LONGEST_GAP = timedelta(hours=1)  # between two looks at a charge that Stripe has not answered about
A_DAY = timedelta(days=1)
AGAIN = timedelta(hours=1)  # where it could not be renewed
STEPS = 10  # in one go: more than can be due at once


# As SQL, because building it anew took a sixth of the time of a step. A planned change has its day once its period was sold.
FACTS: dict[str, tuple[str, Any]] = {
    "change_on": (
        """SELECT r.from_on FROM billing_planchange c LEFT JOIN billing_renewal r ON r.id = c.renewal_id
           WHERE c.subscription_id = billing_subscription.id AND c.ended_at IS NULL""",
        DateField(),
    ),
    "planned_period": (
        """SELECT c.period FROM billing_planchange c
           WHERE c.subscription_id = billing_subscription.id AND c.ended_at IS NULL""",
        CharField(),
    ),
    "is_charged": (
        """SELECT EXISTS (SELECT FROM billing_renewalcharge c JOIN billing_renewal r ON r.id = c.renewal_id
           WHERE r.subscription_id = billing_subscription.id AND c.ended_at IS NULL)""",
        BooleanField(),
    ),
    "was_suspended": (
        f"""SELECT EXISTS (SELECT FROM accounts_customersuspension s
            WHERE s.customer_id = billing_subscription.customer_id AND s.lifted_at IS NULL
            AND s.cause = '{SuspensionCause.STAFF.value}')""",  # noqa: S608
        BooleanField(),
    ),
    "has_open_renewal": (
        """SELECT EXISTS (SELECT FROM billing_renewal r
           WHERE r.subscription_id = billing_subscription.id AND r.settled_at IS NULL)""",
        BooleanField(),
    ),
    "is_cancelled": (
        """SELECT EXISTS (SELECT FROM billing_subscriptioncancellation c
           WHERE c.subscription_id = billing_subscription.id AND c.withdrawn_at IS NULL)""",
        BooleanField(),
    ),
}


def work_subscription(subscription_id: str) -> bool:
    """Do what is due for it; false where nothing is, or somebody else is at it."""
    now = timezone.now()
    lease = now + LEASE
    this = Subscription.objects.filter(unawaited, pk=subscription_id)  # a look that is forgotten is had again
    if not this.filter(next_step_at__lte=now).update(next_step_at=lease):
        return False
    next_step_at: datetime | None = now
    for _ in range(STEPS):
        next_step_at = _step(subscription_id)
        if next_step_at is None or next_step_at > timezone.now():
            break
        ours_or_asked = Q(next_step_at=lease) | Q(next_step_at__lte=timezone.now())
        lease = timezone.now() + LEASE
        if not this.filter(ours_or_asked).update(next_step_at=lease):
            return True  # it took longer than the lease, and somebody else is at it
    if not this.filter(next_step_at=lease).update(next_step_at=next_step_at):
        work_subscription(subscription_id)  # somebody has asked for a look meanwhile
    return True


def due_subscriptions(limit: int = 1000) -> list[str]:
    """Those that the sweep has to look at."""
    due = Subscription.objects.filter(next_step_at__lte=timezone.now())
    return [str(pk) for pk in due.order_by("next_step_at").values_list("pk", flat=True)[:limit]]


def announced_days(period: str) -> int:
    """How many days before it is to be paid a renewal's invoice is issued."""
    return settings.RENEWAL_AHEAD_YEARLY if period == Period.YEARLY else settings.RENEWAL_AHEAD_MONTHLY


def _step(subscription_id: str) -> datetime | None:
    """Do the next thing that is due. Returns when to go on: now, a later time, or never by itself."""
    from billing.stripe_calls import StripeGatewayError

    charges = RenewalCharge.objects.filter(renewal__subscription=UUID(subscription_id), ended_at=None)
    subscription = _with_facts().get(pk=subscription_id)
    try:
        charge = charges.first() if subscription.is_charged else None
        if charge:  # also of a renewal that was paid in another way meanwhile
            return timezone.now() if learn_charge(charge) else _later(charge)
        renewal = subscription.open_renewal if subscription.has_open_renewal else None
        is_return = bool(renewal and renewal.kind == RenewalKind.RETURN)
        change_on = None if is_return else subscription.change_on  # what is paid anew is paid as before
        if change_on and change_on <= timezone.localdate():
            return timezone.now() if subscription.take_planned_change() else timezone.now() + A_DAY
        change_at = _at(change_on) if change_on else None
        if (subscription.ended_at or subscription.customer.ended_at) and not is_return:
            return change_at
        if subscription.was_suspended and _is_suspended(subscription):  # nothing is sold or charged meanwhile
            return timezone.now() + A_DAY
        then = _go_on(renewal) if renewal else _renew(subscription)
        return min(filter(None, (then, change_at)), default=None)
    except StripeGatewayError as error:
        logger.warning("A renewal of %s was not charged: %s", subscription.pk, error)
        return _later(charges.first())


def _renew(subscription: Any) -> datetime | None:
    if subscription.is_cancelled:
        return None if subscription.end_if_cancelled() else _at(subscription.renews_on)
    ahead = announced_days(subscription.planned_period or subscription.period)
    on = subscription.renews_on - timedelta(days=ahead)
    if timezone.localdate() < on:
        return _at(on)
    try:
        subscription.renew()
    except ValidationError:  # logged where it was decided; staff enter what is missing
        return timezone.now() + AGAIN
    return timezone.now()


def _go_on(renewal: Renewal) -> datetime | None:
    """Charge, or take the next step where its day has come. StripeGatewayError."""
    today, next_ = timezone.localdate(), dunning.outlook(renewal, by_card=is_on())
    if (renewal.may_lapse or renewal.is_late) and renewal.use_credit():
        return timezone.now()
    if renewal.may_lapse and renewal.pay_by < today:
        return timezone.now() if renewal.lapse() else timezone.now() + AGAIN
    if next_.card and next_.charge_on and next_.charge_on <= today:
        if charge := renewal.begin_charge(next_.card):
            return timezone.now() if learn_charge(charge) else _later(charge)
        next_ = dunning.outlook(renewal, by_card=False)
    if next_.step and next_.step_on and next_.step_on <= today:
        renewal.take_step(next_.step)
        return timezone.now()
    if renewal.may_lapse:
        return min(_at(on) for on in (next_.charge_on, renewal.pay_by + A_DAY) if on)
    return _at(next_.next_on) if next_.next_on else None


def _is_suspended(subscription: Subscription) -> bool:
    """By staff, and not past its end."""
    return subscription.customer.suspensions.in_force().filter(cause=SuspensionCause.STAFF).exists()


@cache
def _with_facts() -> Any:
    """Subscriptions with what a step asks first, so that there is one query where nothing of it is so."""
    facts = {name: RawSQL(f"({fact})", [], field) for name, (fact, field) in FACTS.items()}  # noqa: S611
    return Subscription.objects.select_related("customer", "plan").annotate(**facts)


def _later(charge: RenewalCharge | None) -> datetime:
    """After 1, 2, 4 … minutes."""
    looks = charge.looks if charge else 1
    return timezone.now() + min(timedelta(minutes=2 ** min(max(looks - 1, 0), 6)), LONGEST_GAP)


def _at(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, AT_HOUR))
