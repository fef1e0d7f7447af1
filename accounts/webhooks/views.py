"""Webhooks: the list, adding and changing one, its secret, on and off, what it was told, and what it answered."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import Permission, asks_again, customer_page
from accounts.models import Delivery, Webhook
from accounts.models.webhook import add_webhook
from accounts.webhooks.forms import WebhookForm
from accounts.webhooks.sending import body_of

PAGE = 50
Row = TypeVar("Row", bound=models.Model)


@customer_page(Permission.WEBHOOKS_READ)
@require_safe
def webhook_list(request: Any) -> HttpResponse:
    rows = request.customer.webhooks.all().with_newest()
    return render(request, "accounts/webhook_list.html", {"rows": rows})


@customer_page(Permission.WEBHOOKS_EDIT)
@asks_again
@never_cache
def webhook_add(request: Any) -> HttpResponse:
    """The secret stands in the answer itself, as a key of the API does, and on no page after it."""
    form = WebhookForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and (webhook := form.run(partial(add_webhook, request.customer), by=request.user)):
        return render(request, "accounts/webhook_secret.html", {"webhook": webhook, "secret": webhook.secret})
    return render(request, "accounts/webhook_add.html", {"form": form}, status=422 if form.is_bound else 200)


@customer_page(Permission.WEBHOOKS_READ)
@require_safe
def webhook_page(request: Any, webhook: UUID) -> HttpResponse:
    return _page(request, _webhook(request, webhook))


@customer_page(Permission.WEBHOOKS_EDIT)
@asks_again
def webhook_change(request: Any, webhook: UUID) -> HttpResponse:
    found = _webhook(request, webhook)
    initial = {"url": found.url, "groups": found.groups}
    form = WebhookForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid() and form.run(found.change, by=request.user) is not None:
        return redirect(found)
    context = {"webhook": found, "form": form}
    return render(request, "accounts/webhook_change.html", context, status=422 if form.is_bound else 200)


@customer_page(Permission.WEBHOOKS_EDIT)
@require_POST
@asks_again(form_on="../")
@never_cache
def webhook_rotate(request: Any, webhook: UUID) -> HttpResponse:
    found = _webhook(request, webhook)
    with _still_there():
        secret = found.rotate(by=request.user)
    return render(request, "accounts/webhook_secret.html", {"webhook": found, "secret": secret})


@customer_page(Permission.WEBHOOKS_EDIT)
@require_POST
def webhook_switch_on(request: Any, webhook: UUID) -> HttpResponse:
    found = _webhook(request, webhook)
    with _still_there():
        found.switch_on(by=request.user)
    return redirect(found)


@customer_page(Permission.WEBHOOKS_EDIT)
@require_POST
def webhook_switch_off(request: Any, webhook: UUID) -> HttpResponse:
    found = _webhook(request, webhook)
    with _still_there():
        found.switch_off(by=request.user)
    return redirect(found)


@customer_page(Permission.WEBHOOKS_EDIT)
@require_POST
def webhook_remove(request: Any, webhook: UUID) -> HttpResponse:
    found = _webhook(request, webhook)
    found.remove(by=request.user)
    messages.success(request, f"{found} is told nothing more.")
    return redirect("accounts:webhook-list", request.customer.username)


@customer_page(Permission.WEBHOOKS_EDIT)
@require_POST
def webhook_test(request: Any, webhook: UUID) -> HttpResponse:
    found = _webhook(request, webhook)
    try:
        delivery = found.test()
    except ValidationError as refusal:
        return _page(request, found, refusal=refusal.messages)
    return redirect(delivery)


@customer_page(Permission.WEBHOOKS_READ)
@require_safe
def delivery_page(request: Any, webhook: UUID, delivery: int) -> HttpResponse:
    """The page; to htmx, which asks again while a call is due, the part of it that changes."""
    response = _delivery_page(request, _delivery(request, webhook, delivery))
    patch_vary_headers(response, ["HX-Request"])
    return response


@customer_page(Permission.WEBHOOKS_EDIT)
@require_POST
def delivery_send_again(request: Any, webhook: UUID, delivery: int) -> HttpResponse:
    found = _delivery(request, webhook, delivery)
    try:
        found.send_again()
    except ValidationError as refusal:
        return _delivery_page(request, found, refusal=refusal.messages)
    return redirect(found)


def _page(request: Any, found: Webhook, *, refusal: Any = None) -> HttpResponse:
    deliveries = found.deliveries.select_related("event").with_last_answer()
    context = {"webhook": found, "refusal": refusal, **_rows(request, deliveries)}
    return render(request, "accounts/webhook_page.html", context, status=422 if refusal else 200)


def _delivery_page(request: Any, found: Delivery, *, refusal: Any = None) -> HttpResponse:
    context = {"delivery": found, "webhook": found.webhook, "body": body_of(found), "refusal": refusal}
    template = "accounts/_delivery_calls.html" if request.htmx else "accounts/delivery_page.html"
    context |= _rows(request, found.calls.all())
    return render(request, template, context, status=422 if refusal else 200)


def _rows(request: Any, newest_first: "models.QuerySet[Row]") -> dict[str, Any]:
    """The rows of the page that `?after=` asks for, and where the next one begins."""
    after = request.GET.get("after", "")
    if after.isdecimal() and len(after) < 19:
        newest_first = newest_first.filter(pk__lt=int(after))
    rows = list(newest_first[: PAGE + 1])
    return {"rows": rows[:PAGE], "after": after, "more": str(rows[PAGE - 1].pk) if len(rows) > PAGE else ""}


def _webhook(request: Any, pk: UUID) -> Webhook:
    found: Webhook = get_object_or_404(request.customer.webhooks, pk=pk)
    found.customer = request.customer
    return found


@contextmanager
def _still_there() -> Iterator[None]:
    """Http404 where somebody else removed the webhook meanwhile."""
    try:
        yield
    except ValidationError as error:
        raise Http404 from error


def _delivery(request: Any, webhook: UUID, pk: int) -> Delivery:
    deliveries = _webhook(request, webhook).deliveries
    found: Delivery = get_object_or_404(deliveries.select_related("event"), pk=pk)
    found.event.customer = request.customer
    return found
