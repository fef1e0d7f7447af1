"""The clock of subscriptions: each is looked at when something of it is due, and whatever is due by then is done, one step
after the other. So a day of downtime only delays, and whoever dies half-way is followed by somebody who goes on.
"""

import logging
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from accounts.models import SuspensionCause
from billing import dunning
from billing.models import Period, Renewal, RenewalCharge, RenewalKind, Subscription
from billing.renewal_charges import learn_charge
from billing.stripe_terms import is_on
from foundation.unawaited import UNAWAITED, unawaited

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)  # the deadlines of the calls of one look, and room
AT_HOUR = time(6)  # when what is due on a day is done, in the panel's time zone
LONGEST_GAP = timedelta(hours=1)  # between two looks at a charge that Stripe has not answered about
A_DAY = timedelta(days=1)
AGAIN = timedelta(hours=1)  # where it could not be renewed
STEPS = 10  # in one go: more than can be due at once


# What a look asks first, so that there is one query where nothing of it is so. As SQL, because building it anew takes more
# time than asking it. A planned change has its day once its period was sold.
FACTS = {
    "change_on": """SELECT r.from_on FROM billing_planchange c LEFT JOIN billing_renewal r ON r.id = c.renewal_id
        WHERE c.subscription_id = s.id AND c.ended_at IS NULL""",
    "planned_period": """SELECT c.period FROM billing_planchange c
        WHERE c.subscription_id = s.id AND c.ended_at IS NULL""",
    "is_charged": """SELECT EXISTS (SELECT FROM billing_renewalcharge c JOIN billing_renewal r ON r.id = c.renewal_id
        WHERE r.subscription_id = s.id AND c.ended_at IS NULL)""",
    "has_left": "SELECT c.ended_at IS NOT NULL FROM accounts_customer c WHERE c.id = s.customer_id",
    "was_suspended": f"""SELECT EXISTS (SELECT FROM accounts_customersuspension p
        WHERE p.customer_id = s.customer_id AND p.lifted_at IS NULL AND p.cause = '{SuspensionCause.STAFF.value}')""",  # noqa: S608
    "has_open_renewal": """SELECT EXISTS (SELECT FROM billing_renewal r
        WHERE r.subscription_id = s.id AND r.settled_at IS NULL)""",
    "is_cancelled": """SELECT EXISTS (SELECT FROM billing_subscriptioncancellation c
        WHERE c.subscription_id = s.id AND c.withdrawn_at IS NULL)""",
}  # fmt: skip
# Two statements, so that the second sees what those did for whom the first had to wait. A look that is forgotten is had
# again, so nobody waits until the disk has its lease.
_CLAIM = f"""UPDATE billing_subscription SET next_step_at = %(lease)s
    WHERE id = %(id)s AND (next_step_at <= %(now)s OR next_step_at = %(held)s) AND {UNAWAITED} = 'off'"""  # noqa: S608
_LOOK = f"""SELECT s.*, {", ".join(f"({fact}) AS {name}" for name, fact in FACTS.items())}
    FROM billing_subscription s WHERE s.id = %s"""  # noqa: S608


def work_subscription(subscription_id: str) -> bool:
    """Do what is due for it; false where nothing is, or somebody else is at it."""
    lease: datetime | None = None
    for _ in range(STEPS):
        held, lease = lease, timezone.now() + LEASE
        if not (subscription := _claim(subscription_id, lease, held=held)):
            return held is not None  # it took longer than the lease, and somebody else is at it
        next_step_at = _step(subscription)
        if next_step_at is None or next_step_at > timezone.now():
            break
    ours = Subscription.objects.filter(unawaited, pk=subscription_id, next_step_at=lease)
    if not ours.update(next_step_at=next_step_at):
        work_subscription(subscription_id)  # somebody has asked for a look meanwhile
    return True


def _claim(subscription_id: str, lease: datetime, *, held: datetime | None) -> Any:
    """It with FACTS, leased until then by who held it or, where it is due, by whoever comes; None where it is neither."""
    values = {"id": subscription_id, "held": held, "now": timezone.now(), "lease": lease}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        return Subscription.objects.raw(_LOOK, [subscription_id])[0] if cursor.rowcount else None


def due_subscriptions(limit: int = 1000) -> list[str]:
    """Those that the sweep has to look at."""
    due = Subscription.objects.filter(next_step_at__lte=timezone.now())
    return [str(pk) for pk in due.order_by("next_step_at").values_list("pk", flat=True)[:limit]]


def announced_days(period: str) -> int:
    """How many days before it is to be paid a renewal's invoice is issued."""
    return settings.RENEWAL_AHEAD_YEARLY if period == Period.YEARLY else settings.RENEWAL_AHEAD_MONTHLY


def _step(subscription: Any) -> datetime | None:
    """Do the next thing that is due. Returns when to go on: now, a later time, or never by itself."""
    from billing.stripe_calls import StripeGatewayError

    try:
        charge = _open_charge(subscription) if subscription.is_charged else None
        if charge:  # also of a renewal that was paid in another way meanwhile
            return timezone.now() if learn_charge(charge) else _later(charge)
        renewal = subscription.open_renewal if subscription.has_open_renewal else None
        is_return = bool(renewal and renewal.kind == RenewalKind.RETURN)
        change_on = None if is_return else subscription.change_on  # what is paid anew is paid as before
        if change_on and change_on <= timezone.localdate():
            return timezone.now() if subscription.take_planned_change() else timezone.now() + A_DAY
        change_at = _at(change_on) if change_on else None
        if (subscription.ended_at or subscription.has_left) and not is_return:
            return change_at
        if subscription.was_suspended and _is_suspended(subscription):  # nothing is sold or charged meanwhile
            return timezone.now() + A_DAY
        then = _go_on(renewal) if renewal else _renew(subscription)
        return min(filter(None, (then, change_at)), default=None)
    except StripeGatewayError as error:
        logger.warning("A renewal of %s was not charged: %s", subscription.pk, error)
        return _later(_open_charge(subscription))


def _renew(subscription: Any) -> datetime | None:
    if subscription.is_cancelled:
        return None if subscription.end_if_cancelled() else _at(subscription.renews_on)
    ahead = announced_days(subscription.planned_period or subscription.period)
    on = subscription.renews_on - timedelta(days=ahead)
    if timezone.localdate() < on:
        return _at(on)
    try:
        renewal = subscription.renew()
    except ValidationError:  # logged where it was decided; staff enter what is missing
        return timezone.now() + AGAIN
    # Sold late, it may be the day of a planned change already, which is looked for first.
    is_ahead = renewal and timezone.localdate() < renewal.from_on
    return _go_on(renewal) if is_ahead else timezone.now()


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


def _open_charge(subscription: Subscription) -> RenewalCharge | None:
    """The one of which Stripe has not said yet what came of it."""
    return RenewalCharge.objects.filter(renewal__subscription=subscription, ended_at=None).first()


def _is_suspended(subscription: Subscription) -> bool:
    """By staff, and not past its end."""
    return subscription.customer.suspensions.in_force().filter(cause=SuspensionCause.STAFF).exists()


def _later(charge: RenewalCharge | None) -> datetime:
    """After 1, 2, 4 … minutes."""
    looks = charge.looks if charge else 1
    return timezone.now() + min(timedelta(minutes=2 ** min(max(looks - 1, 0), 6)), LONGEST_GAP)


def _at(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, AT_HOUR))
