"""Giving months for nothing."""

from typing import TYPE_CHECKING

from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer
from billing.models import FreeMonths, SaleConflict, Subscription
from billing.models.free_months import FreeMonthsQuerySet, shift_next_period
from billing.models.sold import must_not_be_member
from billing.submissions import Submission

if TYPE_CHECKING:
    from accounts.models import User


def free_months_of(customer: Customer) -> FreeMonthsQuerySet:
    """All that were given to a customer, newest first."""
    return FreeMonths.objects.filter(subscription__customer=customer)


def give_free_months(
    subscription: Subscription, *, months: int, reason: str, submission: Submission, by: "User"
) -> FreeMonths:
    """Let the next period that is not sold yet start so many months later. A renewal that is announced, has not begun and
    is not paid is taken back, and made anew later. The same submission again returns what it gave. ValidationError where a
    part of the renewal is paid, or a card is being charged for it; SaleConflict, also while a change of plan is not paid.
    """
    with subscription._locked_to_end() as running, audit.because(reason):
        if earlier := submission.earlier(running.free_periods.all(), at="at"):
            return earlier
        must_not_be_member(running.customer, by)
        if running.ended_at:
            raise SaleConflict("This service has ended, so nothing of it can be free. Nothing was changed.")
        renewal, now = running.open_renewal, timezone.now()
        if renewal and renewal.may_lapse:  # its price is for the days up to the next period
            text = f"The change to {renewal.plan.name} is not paid yet. Give them once it is paid, or taken back."
            raise SaleConflict(f"{text} Nothing was changed.")
        if renewal and not renewal.has_begun:
            renewal.take_back_unpaid()
            renewal.refresh_from_db()
            running.refresh_from_db()
            now = renewal.taken_back_at or now
        from_on = shift_next_period(running, months)
        given = running.free_periods.create(
            months=months, period=running.periods, from_on=from_on, reason=reason, by=by, at=now,
            submission=submission.token, fingerprint=submission.fingerprint,
        )  # fmt: skip
        after = {"months": months, "renews": running.renews_on.isoformat()}
        audit.record(
            "free_months.give", by=by, customer=running.customer, subject=running.plan.name, after=after
        )
        notices.send_notice("free_months.given", given.pk)
        running.step_soon()
        return given
