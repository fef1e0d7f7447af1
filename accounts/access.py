"""Who may do what. `RIGHTS` of the role decide; every page goes through one of the two decorators, and
what is grave through `asks_again` as well.
"""

from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urljoin

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.decorators import reauthentication_required
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.factors import WANTED_BY, has_factor
from accounts.models import Customer, Membership, Role, User


class Permission(Enum):
    """A right on a customer, as `<noun>s:<level>`."""

    CUSTOMER_READ = "customer:read"
    MEMBERS_READ = "members:read"
    MEMBERS_EDIT = "members:edit"
    OWNERS_EDIT = "owners:edit"
    ORDERS_READ = "orders:read"
    ORDERS_EDIT = "orders:edit"
    DOMAINS_READ = "domains:read"
    DOMAINS_EDIT = "domains:edit"
    MAILBOXES_READ = "mailboxes:read"
    MAILBOXES_EDIT = "mailboxes:edit"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_EDIT = "webhooks:edit"


_READER = {permission for permission in Permission if permission.value.endswith(":read")}
_BILLING = _READER | {Permission.ORDERS_EDIT}
_EVERYTHING = set(Permission)

RIGHTS: dict[str, set[Permission]] = {
    Role.READER: _READER,
    Role.BILLING: _BILLING,
    Role.ADMIN: _EVERYTHING - {Permission.OWNERS_EDIT},
    Role.OWNER: _EVERYTHING,
}


def _place(user: User, **customer: Any) -> Any:
    """The membership, with whether the customer asks a second factor of its members (`factor_rule`); Http404 for a
    stranger. Where only the `username` is known, the customer comes with it.
    """
    mine = Membership.objects.filter(user=user, **customer).annotate(factor_rule=F("customer__factor_rule"))
    found = (mine if "customer" in customer else mine.select_related("customer")).first()
    if found is None:
        raise Http404
    return found


def may(role: str | None, permission: Permission) -> bool:
    return role is not None and permission in RIGHTS[role]


def customer_page(permission: Permission, *, before_activation: bool = False) -> Callable[..., Any]:
    """Put the page in the scope of the customer named in its URL.

    Sets `request.customer` and `request.role`. A stranger gets the 404 of something that does not exist; a
    member without the right, 403. A POST before activation or under suspension by staff answers 403 with the
    reason, unless `before_activation` says that it is meant for then.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def page(request: Any, customer: str, **kwargs: Any) -> HttpResponseBase:
            place = _place(request.user, customer__username=customer)
            found = place.customer
            _enter(request, place, permission)
            if request.method not in ("GET", "HEAD", "POST"):
                return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
            if request.method == "POST" and not before_activation and found.blocked_reason:
                raise PermissionDenied(found.blocked_reason)
            return view(request, **kwargs)

        return page

    return decorate


def enter(request: Any, customer: Customer, permission: Permission) -> None:
    """Set `request.customer`, `request.role` and, for templates, `request.may` with the names of the role's rights
    (`domains_edit`); Http404 for a stranger, PermissionDenied without the right. A member without the second factor
    that the customer asks for is led to it (`ask_for_factor`).
    """
    place = _place(request.user, customer=customer)
    place.customer = customer
    _enter(request, place, permission)


def _enter(request: Any, place: Any, permission: Permission) -> None:
    request.role, customer = place.role, place.customer
    if place.factor_rule is not None:
        ask_for_factor(
            request, f"{customer.name} asks a second factor of its members. Choose one, and set it up."
        )
    request.customer = customer
    request.may = {right.name.lower(): True for right in RIGHTS[request.role]}
    if not may(request.role, permission):
        raise PermissionDenied(
            f"Your role with {customer.name} is {Role(request.role).label.lower()}; this needs more. "
            "Ask an owner or admin of this customer."
        )


def asks_again(view: Any = None, *, form_on: str = "") -> Any:
    """Before what can lock somebody out or let others in: ask for the second factor, or without one for the
    password, unless it was given within the last ACCOUNT_REAUTHENTICATION_TIMEOUT seconds.

    Stands below @customer_page, so that strangers learn nothing. Whoever is held up comes back to the form, which
    stands on this page itself, or, where that only takes a POST, on `form_on`, a path relative to it.
    """
    if view is None:
        return lambda view: asks_again(view, form_on=form_on)
    guarded = reauthentication_required(view)

    @wraps(view)
    def page(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.form_on = urljoin(request.path, form_on)
        return guarded(request, *args, **kwargs)

    page.form_on = form_on  # type: ignore[attr-defined]
    return page


class AskAgainMiddleware:
    """Answers ReauthenticationRequired in place of django-allauth, which would keep what was sent, passwords too, in the
    session until the person has proved who they are. Here nothing is kept: they send the form again.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if not isinstance(exception, ReauthenticationRequired):
            return None
        methods = get_adapter().get_reauthentication_methods(request.user)
        url = methods[0]["url"] if methods else reverse("account_login")
        if request.method == "POST":
            messages.info(request, "Prove that it is you. Then send the form again: nothing was done yet.")
        return redirect(f"{url}?{urlencode({'next': _way_back(request)})}")


def _way_back(request: HttpRequest) -> str:
    """The page on which the form stands that was held up."""
    if request.method != "POST":
        return request.get_full_path()
    if form_on := getattr(request, "form_on", ""):
        return str(form_on)
    came_from = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, {request.get_host()}, request.is_secure())
    return came_from if is_ours else reverse("accounts:home")


def has_second_factor(request: Any) -> bool:
    """Whether this session was signed in with a second factor."""
    return any(record.get("method") == "mfa" for record in get_authentication_records(request, request.user))


def staff_page(view: Callable[..., HttpResponseBase] | None = None, *, right: str = "") -> Any:
    """Let in staff who signed in with a second factor and whose role has `right`, a permission such as
    `billing.view_order` (`mxpanel.staff_roles`). Staff without a factor are led to set it up; others get 403.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            refuse_non_staff(request, right)
            request.is_staff_page = True  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)

        return page

    return decorate(view) if view else decorate


def refuse_non_staff(request: Any, right: str = "") -> None:
    """Pass staff who have shown a second factor and have the right; PermissionDenied for everybody else."""
    if not (request.user.is_active and request.user.is_staff):
        raise PermissionDenied("These pages are for staff.")
    ask_for_factor(request, "Staff pages open only with a second factor. Choose one, and set it up.")
    if right and not request.user.has_perm(right):
        raise PermissionDenied("Your staff role does not include this. Ask a manager.")


def ask_for_factor(request: Any, why: str) -> None:
    """Pass whoever has shown a second factor in this session. Others are asked for theirs (ReauthenticationRequired),
    or led to set one up, with `why` (ImmediateHttpResponse); allauth's middleware answers with either.
    """
    if has_second_factor(request):
        return
    if has_factor(request.user):
        raise ReauthenticationRequired
    if request.method == "GET":
        request.session[WANTED_BY] = request.get_full_path()
    messages.warning(request, why)
    raise ImmediateHttpResponse(redirect("mfa_index"))
