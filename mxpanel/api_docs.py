"""The page that explains the API to people: made of its OpenAPI description, each call with a curl command to copy."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer

METHODS = ("get", "post", "patch", "delete")


@login_not_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "mxpanel/api_docs.html", {"groups": groups(), "panel_url": settings.PANEL_URL})


@login_not_required
@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The description itself, as YAML (RFC 9512); made once, so that asking for it costs nothing."""
    return HttpResponse(_yaml(), content_type="application/yaml")


@cache
def _yaml() -> bytes:
    rendered: bytes = OpenApiYamlRenderer().render(_described())
    return rendered


@cache
def _described() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def groups() -> dict[str, list[dict[str, Any]]]:
    """Tag -> its calls. The description is the code's, so it changes with a restart only."""
    found: dict[str, list[dict[str, Any]]] = {}
    for call in _calls(_described()):
        found.setdefault(call["tag"], []).append(call)
    return found


def _calls(schema: Any) -> Iterator[dict[str, Any]]:
    for path, item in schema["paths"].items():
        for method in METHODS:
            if operation := item.get(method):
                content = operation.get("requestBody", {}).get("content", {})
                sent = _example(content.get("application/json", {}))
                answered = next(
                    (code for code in ("200", "201", "202", "204") if code in operation["responses"]), ""
                )
                reply = operation["responses"][answered].get("content", {}).get("application/json", {})
                yield {
                    "id": operation["operationId"],
                    "tag": operation["tags"][0][:1].upper() + operation["tags"][0][1:],
                    "summary": operation["summary"],
                    "method": method.upper(),
                    "path": path,
                    "curl": _curl(method.upper(), path, sent, "text/csv" in content),
                    "status": answered,
                    "reply": json.dumps(_example(reply), indent=2, default=str) if reply else "",
                    "errors": [
                        (code, answer["description"])
                        for code, answer in sorted(operation["responses"].items())
                        if code >= "400"
                    ],
                }


def _example(content: Any) -> Any:
    examples = content.get("examples", {})
    return next(iter(examples.values()))["value"] if examples else None


def _curl(method: str, path: str, sent: Any, is_csv: bool) -> str:
    words = ["curl"] if method == "GET" else ["curl", "-X", method]
    words.append('-H "Authorization: Bearer $KEY"')
    if sent is not None:
        words += ['-H "Content-Type: application/json"', f"-d '{json.dumps(sent)}'"]
    elif is_csv:
        words += ['-H "Content-Type: text/csv"', "--data-binary @mailboxes.csv"]
    filled = path.replace("{domain}", "example.com").replace("{user}", "anna")
    for name, value in (("{number}", "7"), ("{member}", "7")):
        filled = filled.replace(name, value)
    return " ".join([*words, f'"{settings.PANEL_URL}{filled}"'])
