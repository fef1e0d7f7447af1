"""Pages of people who are signed in stay out of caches."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponseBase


class PrivateCacheMiddleware:
    """Marks what a signed-in person gets as private and to be asked for anew, so that nothing of it is shown after
    the sign-out.
    """

    def __init__(self, get_response: Callable[[Any], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponseBase:
        response = self.get_response(request)
        if not response.has_header("Cache-Control") and request.user.is_authenticated:
            response["Cache-Control"] = "private, no-store"
        return response
