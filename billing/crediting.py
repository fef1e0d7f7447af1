"""Credit: what we hold for a customer, because staff gave it or money came in that pays nothing. It pays renewals."""

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db.models import Sum

from accounts import audit, notices
from accounts.models import Customer
from billing import ledger
from billing.models import CreditGrant, Order, SaleConflict
from billing.models.sold import must_not_be_member
from billing.review_queue import REFUND_OWED
from billing.stripe_amounts import least, takes
from billing.stripe_terms import is_on
from billing.submissions import Submission
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User

MOST = 100  # credits of which something is left, of one customer


def grant_credit(
    customer: Customer, *, amount_minor: int, currency: str, reason: str, submission: Submission, by: "User"
) -> CreditGrant:
    """Give credit, which pays the next renewal, or at once one that is due. The same submission again returns the credit
    it gave. ValidationError by field, or SaleConflict.
    """
    with unit_of_work(), audit.because(reason):
        locked = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if earlier := submission.earlier(locked.credit_grants.all(), at="at"):
            return earlier
        must_not_be_member(locked, by)
        if locked.ended_at:
            raise SaleConflict("This customer has ended, so a credit would pay nothing. Nothing was changed.")
        if locked.credit_grants.some_left().count() >= MOST:
            raise ValidationError("This customer has so many credits that no more can be given.")
        grant = locked.credit_grants.create(
            amount_minor=amount_minor, currency=currency, reason=reason, by=by,
            submission=submission.token, fingerprint=submission.fingerprint,
        )  # fmt: skip
        ledger.post_grant(grant)
        audit.record("credit.grant", by=by, customer=locked, subject=str(grant))
        notices.send_notice("credit.granted", grant.pk)
        for running in locked.subscriptions.filter(ended_at=None):
            running.step_soon()
        return grant


def available(customer: Customer, currency: str) -> int:
    """What we hold for a customer and can pay a renewal: all but what staff are to send back."""
    if (free := ledger.free_credit(customer, currency)) <= 0:
        return 0
    owed = Order.objects.filter(REFUND_OWED, customer=customer, currency=currency).with_facts()
    return max(0, free - sum(order.refund_minor for order in owed))


def covers(customer: Customer, currency: str, amount_minor: int) -> bool:
    """Whether what we hold pays something of this sum, and all of it."""
    return 0 < amount_minor <= available(customer, currency)


def held_money(customer: Customer, currency: str) -> int:
    """What we hold for a customer of money that came in, without what is left of credits that staff gave; below zero where
    a bank took more than we held.
    """
    if (free := ledger.free_credit(customer, currency)) <= 0:
        return free
    grants = customer.credit_grants.some_left().filter(currency=currency)
    return max(0, free - grants.aggregate(sum=Sum("left_now", default=0))["sum"])


def share(held_minor: int, due_minor: int, currency: str) -> int:
    """How much of what is due is paid by what is held: all, or so much that a card can pay the rest."""
    pays = min(held_minor, due_minor)
    if pays == due_minor or not is_on() or not takes(due_minor, currency):
        return pays
    return min(pays, due_minor - least(currency))


def parts(customer: Customer, currency: str, due_minor: int) -> list[tuple[CreditGrant | None, int]]:
    """From what `due_minor` is paid, as far as it can be: credits that staff gave, the oldest first, then other money that
    we hold. The customer's row is locked.
    """
    found: list[tuple[CreditGrant | None, int]] = []
    left = share(available(customer, currency), due_minor, currency)
    for grant in customer.credit_grants.some_left().filter(currency=currency)[:MOST]:
        if part := min(left, grant.left_now):
            found.append((grant, part))
            left -= part
    return [*found, (None, left)] if left else found
