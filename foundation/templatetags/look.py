"""The house look as template tags: ``{% load look %}``. docs/look.md shows each with a snippet."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.template.defaultfilters import filesizeformat
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# A tone is what a state asks of its reader: nothing, patience, an act, acceptance. CSS knows tones alone.
TONES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "ok",
            "active",
            "live",
            "true",
            "verified",
            "paid",
            "approved",
            "answered",
            "running",
            "done",
            "on",
            "fetched",
            "low",
            "delivered",
            "valid",
        ),
        "ok",
    ),
    **dict.fromkeys(
        (
            "checking",
            "review",
            "unchecked",
            "pending",
            "saving",
            "invited",
            "false",
            "working",
            "undoing",
            "unknown",
            "waiting",
        ),
        "wait",
    ),
    **dict.fromkeys(("comparing", "importing", "making"), "wait"),
    **dict.fromkeys(
        (
            "question",
            "unpaid",
            "restricted",
            "held",
            "missing",
            "different",
            "duplicate",
            "degraded",
            "full",
            "due",
            "elevated",
            "failing",
        ),
        "act",
    ),
    **dict.fromkeys(("ready", "stopped", "expiring"), "act"),
    **dict.fromkeys(
        (
            "rejected",
            "suspended",
            "failed",
            "down",
            "taken",
            "invalid",
            "conflict",
            "insecure",
            "high",
            "given_up",
            "overdue",
        ),
        "stop",
    ),
    **dict.fromkeys(
        (
            "cancelled",
            "deleted",
            "closed",
            "off",
            "ended",
            "unlimited",
            "undone",
            "stopped",
            "credited",
            "note",
        ),
        "off",
    ),
}


@register.filter
def tone(value: object) -> str:
    """The tone of a state: ``ok``, ``wait``, ``act``, ``stop`` or ``off`` (also for a state unknown here)."""
    return TONES.get(str(value).lower(), "off")


@register.filter
def megabytes(count: int) -> int:
    """So many megabytes (2^20) in bytes, for ``filesizeformat`` and meters."""
    return count << 20


@lru_cache(maxsize=4096)
def size(count: int) -> str:
    """Bytes in words. A list has the same few again and again."""
    return filesizeformat(count)


@register.simple_tag
def usage(used: int, quota_mb: int, full_from: int, whose: str) -> SafeString:
    """How many bytes are used, and of a quota how much that is; quota 0 is none."""
    if not quota_mb:
        return format_html("{}", size(used))
    quota = quota_mb << 20
    return format_html(
        '{} of {} <meter min="0" max="{}" high="{}" value="{}" aria-label="Used of {}"></meter>',
        size(used), size(quota), quota, full_from, used, whose,
    )  # fmt: skip


@register.filter
def as_json(value: object) -> str:
    """For an attribute that a script reads; pages have no inline script."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.simple_tag
def badge(value: object, label: object = "") -> SafeString:
    """A small coloured label for one of many, in a list or a table: carries no ``data-status``."""
    return format_html('<span class="badge" data-tone="{}">{}</span>', tone(value), label or _words(value))


@register.simple_tag
def status(value: object, label: object = "") -> SafeString:
    """The badge with the page's one ``data-status`` attribute: the state of the object it is about."""
    return format_html(
        '<span class="badge" data-status="{}" data-tone="{}">{}</span>',
        value,
        tone(value),
        label or _words(value),
    )


@register.simple_tag
def state(value: object, label: object = "") -> SafeString:
    """The badge with ``data-state``: the state of one part of the page, such as a DNS record."""
    return format_html(
        '<span class="badge" data-state="{}" data-tone="{}">{}</span>',
        value,
        tone(value),
        label or _words(value),
    )


@register.inclusion_tag("partials/copy.html")
def copy(value: object, attr: str = "") -> dict[str, Any]:
    """A value in a code box with a copy button; ``attr`` gives the box an attribute ``data-<attr>``."""
    return {"value": value, "attr": attr}


@register.inclusion_tag("partials/nav_link.html", takes_context=True)
def nav_link(
    context: template.Context, viewname: str, label: str, *args: object, exact: bool = False
) -> dict[str, Any]:
    """A navigation entry, marked as current on its page and, unless ``exact``, on those below it.

    Where no such URL exists there is no entry: a part that is not built does not break other pages.
    """
    try:
        url = reverse(viewname, args=args)
    except NoReverseMatch:
        return {"url": ""}
    path = getattr(context.get("request"), "path", "")
    below = not exact and path.startswith(url)
    return {"url": url, "label": label, "current": "page" if path == url else "true" if below else ""}


def _words(value: object) -> str:
    return str(value).replace("_", " ").capitalize()
