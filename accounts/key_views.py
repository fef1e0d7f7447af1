"""Keys of the API: the list, making one, what one did, revoking."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, asks_again, customer_page, may
from accounts.key_forms import MEANINGS, KeyAddForm
from accounts.keys import add_key
from accounts.models import ApiKey

PAGE = 50


@customer_page(Permission.CUSTOMER_READ)
@require_safe
def key_list(request: Any) -> HttpResponse:
    after = request.GET.get("after", "0")
    start = int(after) if after.isdecimal() and len(after) < 6 else 0
    found = list(_keys(request).select_related("person")[start : start + PAGE + 1])
    context = {"keys": found[:PAGE], "after": start, "more": str(start + PAGE) if len(found) > PAGE else ""}
    return render(request, "accounts/key_list.html", context)


@customer_page(Permission.CUSTOMER_READ)
@asks_again
@never_cache
def key_add(request: Any) -> HttpResponse:
    """The new key stands in the answer itself, once: it is kept nowhere, not even in the session."""
    form = KeyAddForm(request.POST if request.method == "POST" else None, role=request.role)
    if form.is_valid():
        made = form.run(lambda **values: add_key(request.customer, **values, by=request.user))
        if made:
            key, secret = made
            curl = f'curl -H "Authorization: Bearer {secret}" {settings.PANEL_URL}/api/domains'
            return render(request, "accounts/key_made.html", {"key": key, "secret": secret, "curl": curl})
    return render(request, "accounts/key_add.html", {"form": form}, status=422 if form.is_bound else 200)


@customer_page(Permission.CUSTOMER_READ)
def key_page(request: Any, api_key: str) -> HttpResponse:
    return _show(request, _key(request, api_key))


@customer_page(Permission.CUSTOMER_READ, before_activation=True)
def key_revoke(request: Any, api_key: str) -> HttpResponse:
    return _revoke(request, _key(request, api_key))


@require_safe
def _show(request: Any, found: ApiKey) -> HttpResponse:
    before = request.GET.get("after", "")
    requests = found.requests.all()
    if before.isdecimal() and len(before) < 19:
        requests = requests.filter(pk__lt=int(before))
    rows = list(requests[: PAGE + 1])
    context = {
        "key": found,
        "rights": [text for right, text in MEANINGS.items() if right.value in found.scopes],
        "requests": rows[:PAGE],
        "after": before,
        "more": str(rows[PAGE - 1].pk) if len(rows) > PAGE else "",
    }
    return render(request, "accounts/key_page.html", context)


@require_POST
def _revoke(request: Any, found: ApiKey) -> HttpResponse:
    found.revoke(by=request.user)
    return redirect(found)


def _keys(request: Any) -> Any:
    """One's own; for who may change members, everybody's."""
    keys = request.customer.api_keys.all()
    return keys if may(request.role, Permission.MEMBERS_EDIT) else keys.filter(person=request.user)


def _key(request: Any, pk: str) -> ApiKey:
    found: ApiKey = get_object_or_404(_keys(request).select_related("person"), pk=pk)
    found.customer = request.customer
    return found
