"""Customers at Stripe: made there when a card is first wanted, found again in whatever account our key is of, and deleted
when nothing of theirs is to stay.
"""

import logging
from datetime import timedelta

from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from accounts.models import Customer
from billing.models import Renewal, RenewalKind, StripeCustomer
from billing.stripe_terms import KEY_HOLDS, LEASE, SKEW, UNANSWERED, is_on

logger = logging.getLogger(__name__)

OVER = timedelta(days=30)  # after the end of a customer, who may have the service back until then
LONGEST_WAIT = timedelta(hours=6)
AT_ONCE = 200


def find_or_make(customer: Customer, email: str) -> str:
    """Stripe's id of the customer, who is made there if they are not yet; empty while another's call is under way.

    An address that Stripe takes for none is left out: then its pages ask for one. StripeGatewayError.
    """
    from billing import stripe_calls

    row, _ = StripeCustomer.objects.get_or_create(customer=customer, defaults={"email": email})
    if row.next_try_at:
        _delete_first(row)
    if row.stripe_id:
        return row.stripe_id
    # Under one key goes one address, whoever clicks.
    if email and StripeCustomer.objects.filter(pk=row.pk, stripe_id="", email="").update(email=email):
        row.refresh_from_db()
    try:
        found = _found_or_made(row)
    except stripe_calls.StripeGatewayError as error:
        if error.code == stripe_calls.KEY_IN_USE:
            return ""
        if error.spent:
            _spend_key(row)
        if error.code != stripe_calls.EMAIL_INVALID or not row.email:
            raise
        StripeCustomer.objects.filter(pk=row.pk, email=row.email).update(email="")
        return find_or_make(customer, "")
    StripeCustomer.objects.filter(pk=row.pk, stripe_id="").update(stripe_id=found, email="")
    row.refresh_from_db()
    return row.stripe_id


def note_missing(customer: Customer, stripe_id: str) -> bool:
    """A call about a customer of this id failed because something is not there. True where it was the customer: then
    whoever asks again gets another one. StripeGatewayError.

    Somebody deleted the customer at Stripe, or our key is that of another account now; there the customer may be known
    from before.
    """
    from billing import stripe_calls, stripe_cards

    row = StripeCustomer.objects.filter(customer=customer, stripe_id=stripe_id).first()
    if row is None:
        return True
    try:
        if not stripe_cards.is_deleted(stripe_id):
            return False
    except stripe_calls.StripeGatewayError as error:
        if error.code != stripe_calls.GONE:
            raise
        logger.error("Stripe has never had %s. Is its key that of another account?", stripe_id)
        row.move(next((each for each in reversed(row.former) if _is_here(each)), ""))
    else:
        row.forget()
    return True


def note_deletion(stripe_id: str) -> bool:
    """What Stripe told of a customer by its own id; false where it is none of ours. StripeGatewayError."""
    from billing import stripe_cards

    row = StripeCustomer.objects.filter(stripe_id=stripe_id).first()
    if row is None:
        return False
    if stripe_cards.is_deleted(stripe_id):
        row.forget()
    return True


def delete_when_due(row_id: str, *, at_once: bool = False) -> bool:
    """Have Stripe delete the customer where that is due; false where it is not, or somebody else is at it. For who waits for
    it `at_once`, StripeGatewayError where Stripe may do it later.
    """
    from billing import stripe_cards
    from billing.stripe_calls import StripeGatewayError

    now = timezone.now()
    due = StripeCustomer.objects.filter(pk=row_id, next_try_at__lte=now)
    if not is_on() or not due.update(next_try_at=now + LEASE, attempts=F("attempts") + 1):
        return False
    row = StripeCustomer.objects.get(pk=row_id)
    try:
        if which := row.stripe_id or _find(row):
            stripe_cards.delete_customer(which)
    except StripeGatewayError as error:
        logger.warning("%s was not deleted: %s", row.pk, error)
        gap = min(timedelta(minutes=2 ** min(row.attempts - 1, 9)), LONGEST_WAIT)
        StripeCustomer.objects.filter(pk=row.pk, next_try_at=now + LEASE).update(next_try_at=now + gap)
        if at_once and error.retry:
            raise
        return True
    row.forget()
    StripeCustomer.objects.filter(pk=row.pk, next_try_at=now + LEASE).update(next_try_at=None, email="")
    return True


def due_deletions() -> list[str]:
    """Those that the sweep has to have deleted."""
    due = StripeCustomer.objects.filter(next_try_at__lte=timezone.now()).order_by("next_try_at")
    return [str(pk) for pk in due.values_list("pk", flat=True)[:AT_ONCE]] if is_on() else []


def leave_ended() -> int:
    """Let those go whose customers ended long ago, and are not coming back; returns how many."""
    ended = StripeCustomer.objects.filter(customer__ended_at__lt=timezone.now() - OVER, next_try_at=None)
    returns = Renewal.objects.filter(kind=RenewalKind.RETURN, settled_at=None)
    ended = ended.exclude(Exists(returns.filter(subscription__customer=OuterRef("customer"))))
    rows = list(ended.exclude(stripe_id="").select_related("customer")[:AT_ONCE])
    for row in rows:
        row.leave()
    return len(rows)


def _delete_first(row: StripeCustomer) -> None:
    """Whoever is still to be deleted is deleted now, as a card of now would go with them; where Stripe refuses that, they
    are used. StripeGatewayError while it can still be done: Stripe did not answer, a worker is at it, or soon will be.
    """
    from billing.stripe_calls import StripeGatewayError

    now = timezone.now()
    StripeCustomer.objects.filter(pk=row.pk, next_try_at__gt=now + LEASE).update(next_try_at=now)
    is_tried = delete_when_due(str(row.pk), at_once=True)
    row.refresh_from_db()
    if row.next_try_at and not is_tried:
        raise StripeGatewayError("The customer of before is being deleted.", retry=True)


def _found_or_made(row: StripeCustomer) -> str:
    """Whose reply was lost is looked for before another one is made under another key."""
    from billing import stripe_cards

    is_old = row.asked_at < timezone.now() - KEY_HOLDS
    if (row.keys_spent or is_old) and (found := _find(row)):
        return found
    if is_old:
        _spend_key(row, asked_at=timezone.now())
    return stripe_cards.make_customer(
        key=f"customer-{row.pk}-{row.keys_spent}",
        ours=str(row.pk),
        description=row.customer.username,
        email=row.email,
    )


def _find(row: StripeCustomer) -> str:
    from billing import stripe_cards

    until = row.asked_at + UNANSWERED + SKEW
    return stripe_cards.find_customer(
        ours=str(row.pk), since=row.asked_at - SKEW, until=until, email=row.email
    )


def _spend_key(row: StripeCustomer, **more: object) -> None:
    """No reply under the present key will be another one; whoever was faster has spent it already."""
    mine = StripeCustomer.objects.filter(pk=row.pk, keys_spent=row.keys_spent)
    mine.update(keys_spent=F("keys_spent") + 1, **more)
    row.refresh_from_db()


def _is_here(stripe_id: str) -> bool:
    """Whether the account has this customer. StripeGatewayError."""
    from billing import stripe_calls, stripe_cards

    try:
        return not stripe_cards.is_deleted(stripe_id)
    except stripe_calls.StripeGatewayError as error:
        if error.code != stripe_calls.GONE:
            raise
        return False
