"""The staff site: stock Django admin behind a second factor."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.contenttypes.views import shortcut
from django.core.exceptions import ValidationError
from django.db.models.base import ModelBase
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse_lazy

from accounts.access import staff_page
from accounts.models import User
from domains.models import Incident
from domains.watch import what_is_wrong_with_the_watch

INCIDENTS_SHOWN = 50


class StaffSite(AdminSite):
    site_title = "Staff"
    site_header = "Staff"
    index_title = "Work"
    site_url = "/"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Leave out what django-allauth brings: changing addresses and second factors by hand leaves no trace."""
        models = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else model_or_iterable
        ours = [model for model in models if not model.__module__.startswith("allauth.")]
        super().register(ours, admin_class, **options)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        inner = super().admin_view(view, cacheable)
        return staff_page(_unknown_is_404(inner) if view is shortcut else inner)

    def index(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        """The first page begins with what is wrong, for those who may see it."""
        return super().index(request, {**(extra_context or {}), **what_is_wrong(request.user)})

    def get_urls(self) -> list[Any]:
        """Stock URLs whose anonymous visitors are sent straight to the panel's own sign-in."""
        urls = super().get_urls()
        for url in urls:
            callback: Any = getattr(url, "callback", None)
            if hasattr(callback, "login_url"):
                callback.login_url = reverse_lazy("account_login")
        return urls

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("account_login")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("account_logout")


def what_is_wrong(user: User) -> dict[str, Any]:
    """`incidents`: the open ones, newest first, `more` of them not shown, `watch`: what is wrong with the watch itself."""
    if not user.has_perm("domains.view_incident"):
        return {}
    still_open = Incident.objects.filter(closed_at=None).select_related("server").defer("rows")
    shown = list(still_open[:INCIDENTS_SHOWN])
    more = still_open.count() - len(shown) if len(shown) == INCIDENTS_SHOWN else 0
    return {"incidents": shown, "more": more, "watch": what_is_wrong_with_the_watch(), "is_watched": True}


def _unknown_is_404(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Django's "view on site" knows no ids that are UUIDs, and breaks at one that is malformed."""

    @wraps(view)
    def page(*args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(*args, **kwargs)
        except ValidationError as error:
            raise Http404 from error

    return page
