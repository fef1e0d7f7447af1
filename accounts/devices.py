"""Where somebody is signed in: one row a session, kept beside Django's own, and the ways to end them."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils import timezone

from accounts import audit
from accounts.models import User
from foundation.client_address import client_address
from foundation.unit_of_work import unit_of_work

SEEN_EVERY = 5 * 60  # seconds: so exact is "last seen", for one write in so many
SHOWN = 100


class SeenMiddleware:
    """Notes now and then from where a session is used."""

    def __init__(self, get_response: Callable[[Any], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponseBase:
        if request.user.is_authenticated and request.session.get("seen_at", 0) < time.time() - SEEN_EVERY:
            note_seen(request, request.user)
        return self.get_response(request)


def note_sign_in(sender: Any, request: Any, user: User, **kwargs: Any) -> None:
    """Hears Django's signal that somebody signed in."""
    note_seen(request, user)


def note_seen(request: Any, user: User) -> None:
    """Write down that this session is in use, and from where."""
    if not request.session.session_key:
        request.session.save()
    request.session["seen_at"] = time.time()
    seen = {
        "user": user,
        "ip": client_address(request),
        "user_agent": request.META.get("HTTP_USER_AGENT", "")[:200],
        "last_seen_at": timezone.now(),
    }
    UserSession.objects.update_or_create(session_key=request.session.session_key, defaults=seen)


def devices_of(user: User) -> QuerySet[UserSession]:
    """The sessions that are still open, the one used last first."""
    alive = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    found = UserSession.objects.filter(user_id=user.pk, session_key__in=alive)
    return found.order_by("-last_seen_at")[:SHOWN]


def end_all(user: User, *, but: str | None = None, only: int | None = None) -> int:
    """End the sessions of `user`, except that of the session key `but`, or `only` the one of this id; returns how many."""
    rows = UserSession.objects.filter(user_id=user.pk)
    if but is not None:
        rows = rows.exclude(session_key=but)
    if only is not None:
        rows = rows.filter(pk=only)
    Session.objects.filter(session_key__in=rows.values("session_key")).delete()
    return rows.delete()[0]


def end_sessions(request: Any, which: int | None) -> int:
    """End one session of the person, or without `which` all others than the one in use; returns how many."""
    key = request.session.session_key
    with unit_of_work():
        ended = end_all(request.user, but=None if which else key, only=which)
        if ended:
            audit.record("session.end", by=request.user, subject=request.user.email, after={"ended": ended})
    return ended


def forget_ended() -> int:
    """Drop the rows whose session is over; returns how many."""
    started_before = timezone.now() - timedelta(minutes=1)
    rows = UserSession.objects.filter(created_at__lt=started_before)
    return rows.exclude(session_key__in=Session.objects.values("session_key")).delete()[0]
