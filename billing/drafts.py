"""An order form filled in by a visitor, kept in the session until they signed up or in and it is an order."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse

from billing.place_form import OrderPlaceForm

_KEY = "order_draft"
_PRESET = ("plan", "period", "domain")


def keep_draft(request: HttpRequest, form: OrderPlaceForm) -> HttpResponseRedirect:
    """Keep a valid form (its size is bounded) and lead to signing up; that page links to signing in."""
    request.session[_KEY] = form.draft()
    return redirect(f"{reverse('account_signup')}?{urlencode({'next': reverse('billing:order-place')})}")


def read_draft(request: Any) -> dict[str, str]:
    """What the form begins with: a draft, else what a link presets and what we know of the person."""
    if draft := request.session.get(_KEY):
        return draft
    preset = {name: request.GET[name] for name in _PRESET if name in request.GET}
    return {"name": getattr(request.user, "name", "")} | preset


def drop_draft(request: HttpRequest) -> None:
    request.session.pop(_KEY, None)


def has_draft(request: HttpRequest) -> bool:
    return _KEY in request.session
