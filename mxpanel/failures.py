"""The page for what no view caught: whose fault it was, and what to do now."""

import sys

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

from foundation import api
from mxpanel.api import is_api


def failed(request: HttpRequest) -> HttpResponse:
    """503 where the database is away, has no connection left, or took the change back (a deadlock): the same again
    will do. 500 for everything else. Reads nothing from the database, and needs no session.
    """
    away = isinstance(sys.exc_info()[1], OperationalError | InterfaceError)
    if is_api(request):
        text = "The database is away. Try again." if away else "Something failed here. We have been told."
        answer: HttpResponse = api.failed(503 if away else 500, text)
    elif away:
        answer = HttpResponse(render_to_string("503.html"), status=503)
    else:
        return defaults.server_error(request)
    if away:
        answer["Retry-After"] = str(api.RETRY_AFTER)
    return answer


def bad(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: what no client of ours sends."""
    if is_api(request):
        if isinstance(exception, RequestDataTooBig):
            return api.failed(413, str(api.TooLarge.default_detail))
        return api.failed(400, "This is not a well-formed request.")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return api.failed(403, "This is not allowed.")
    return defaults.permission_denied(request, exception)


def unknown(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return api.failed(404, api.NOT_FOUND)
    return defaults.page_not_found(request, exception)
