"""Pages at Stripe where a person enters a card: asking for one, once; looking at it, not too often; ending it.

What is paid or saved there is `billing.card_payments`' and `billing.card_setups`'.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone

from billing import stripe_customers
from billing.models import CardSetup, Checkout
from billing.stripe_terms import KEY_HOLDS, LEASE, UNANSWERED, is_on

logger = logging.getLogger(__name__)

Page = TypeVar("Page", Checkout, CardSetup)

LONGEST_GAP = timedelta(minutes=5)  # between looks at an open page
BETWEEN = timedelta(seconds=2)  # two looks for people
PATIENCE = 5.0  # seconds for another click's call that is under way
PAUSE = 0.2
UNANSWERING = "Stripe, which takes cards for us, does not answer. Nothing was lost; try again in a minute."


class Seen(Protocol):
    """What Stripe says of any page."""

    @property
    def session(self) -> str: ...
    @property
    def url(self) -> str: ...


class CardUnavailable(Exception):
    """Stripe cannot be asked now. The text is for the person who waits, `status` for their browser."""

    status = 503


class CardRefused(CardUnavailable):
    """Stripe will not do it, however often it is asked."""

    status = 409


def find_page(row: Callable[[], Page], show: Callable[[Page], str], ask: Callable[[Page], str]) -> str:
    """The address of the page: `show` it where the open `row` has one, else `ask` for it; either is empty where the row
    has changed meanwhile. CardUnavailable where another click's call takes too long.
    """
    ends_at = time.monotonic() + PATIENCE
    while True:
        page = row()
        if url := show(page) if page.session else ask(page):
            return url
        if time.monotonic() > ends_at:
            raise CardUnavailable("Stripe is busy with this. Try again in a minute.")
        if not page.session:
            time.sleep(PAUSE)


def ask_for_page(
    page: Page, email: str, make: Callable[[str], Seen], look_at: Callable[[Page], object]
) -> str:
    """Have the page made, under a key of its own, so that two who ask get the same; empty while another's call is under
    way. `make` is given Stripe's id of the customer. StripeGatewayError.
    """
    from billing import stripe_calls

    pages = type(page).objects
    if page.at < timezone.now() - KEY_HOLDS:
        end(page, "")
        return ""
    customer = ""
    try:
        if not (customer := stripe_customers.find_or_make(page.of, email)):
            return ""
        facts = make(customer)
    except stripe_calls.StripeGatewayError as error:
        if error.code == stripe_calls.KEY_IN_USE:
            return ""
        if error.spent and not end(page, ""):  # no reply under this key will be another one
            return ""  # a twin has the page, or has ended this row: look again
        if error.code == stripe_calls.GONE and customer and stripe_customers.note_missing(page.of, customer):
            return ""
        raise
    kept = pages.filter(pk=page.pk, session="", ended_at=None)
    kept.update(session=facts.session, url=facts.url)
    if pages.filter(pk=page.pk, session=facts.session, ended_at=None).exists():
        return facts.url
    look_at(as_of(page, facts))  # a twin has ended this row: nobody is to use that page
    return ""


def look_when_due(pages: type[Page], page_id: str, look_at: Callable[[Page], object]) -> bool:
    """Look at it where that is due: false when it is not, or when somebody else is at it."""
    from billing.stripe_calls import StripeGatewayError

    now = timezone.now()
    lease = now + LEASE
    due = pages.objects.filter(pk=page_id, ended_at=None, next_look_at__lte=now)
    if not is_on() or not due.update(next_look_at=lease, looks=F("looks") + 1):
        return False
    page = pages.objects.get(pk=page_id)
    try:
        if page.session:
            look_at(page)
        elif page.at < now - UNANSWERED:
            end(page, "")
    except StripeGatewayError as error:
        logger.warning("Page %s could not be looked at: %s", page.pk, error)
    gap = min(timedelta(minutes=2 ** min(page.looks - 1, 6)), LONGEST_GAP)
    # Not where somebody has asked for a look meanwhile.
    ours = pages.objects.filter(pk=page.pk, ended_at=None, next_look_at=lease)
    ours.update(next_look_at=timezone.now() + gap)
    return True


def due_pages(pages: type[Page], limit: int = 200) -> list[str]:
    """Those that the sweep has to look at."""
    due = pages.objects.filter(ended_at=None, next_look_at__lte=timezone.now()).order_by("next_look_at")
    return [str(pk) for pk in due.values_list("pk", flat=True)[:limit]] if is_on() else []


def is_open(page: Page) -> bool:
    """Whether the row has this page still, and somebody may use it."""
    return (
        type(page).objects.filter(pk=page.pk, session=page.session, ended_at=None, is_dropped=False).exists()
    )


def may_look(page: Page) -> bool:
    """Whether Stripe may be asked for a person: not again at once, whoever reloads a page."""
    now = timezone.now()
    free = Q(looked_at=None) | Q(looked_at__lte=now - BETWEEN)
    return bool(type(page).objects.filter(free, pk=page.pk).update(looked_at=now))


def look_for_person(page: Page, look_at: Callable[[Page], object]) -> None:
    """Look at it now. CardUnavailable where Stripe was asked just now; then the sweep looks soon."""
    if not may_look(page):
        soon = timezone.now() + BETWEEN
        type(page).objects.filter(pk=page.pk, next_look_at__gt=soon).update(next_look_at=soon)
        raise CardUnavailable("Stripe was asked a moment ago. Try again in a minute.")
    look_at(page)


def find_named(pages: type[Page], ours: str) -> Page | None:
    """The page that we called so."""
    try:
        return pages.objects.filter(pk=UUID(ours)).first()
    except ValueError:
        return None


def take_named(pages: type[Page], facts: Seen, ours: str) -> Page | None:
    """The same, whose reply may still be under way, or be lost: it gets the session that Stripe has."""
    page = find_named(pages, ours)
    if page is None:
        return None
    pages.objects.filter(pk=page.pk, session="").update(session=facts.session, url=facts.url)
    return as_of(page, facts)


def as_of(page: Page, facts: Seen) -> Page:
    """The row as if it had this session; what it has may be another one."""
    page.session, page.url = facts.session, facts.url
    return page


def end(page: Page, session: str) -> bool:
    """End it if it still has the session (empty: none) that was seen; another may have got it another one meanwhile."""
    seen = type(page).objects.filter(pk=page.pk, session=session, ended_at=None)
    return bool(seen.update(ended_at=timezone.now(), next_look_at=None))


@contextmanager
def told_to_people(refused: str) -> Iterator[None]:
    """Around calls for somebody who waits; `refused` is what they read where Stripe will never do it."""
    from billing.stripe_calls import StripeGatewayError

    try:
        yield
    except StripeGatewayError as error:
        if not error.retry:
            logger.error("A page at Stripe is refused: %s", error)
            raise CardRefused(refused) from error
        logger.warning("A page at Stripe waits: %s", error)
        raise CardUnavailable(UNANSWERING) from error
