"""What every call of the API goes through: its key, its limits, its right, and the note of what was called."""

import contextlib
from collections.abc import Mapping
from datetime import timedelta
from time import perf_counter
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpResponseBase
from django.middleware.http import ConditionalGetMiddleware
from django.utils import timezone
from django.utils.decorators import decorator_from_middleware
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import audit
from accounts.access import Permission
from accounts.api.authentication import rights_of
from accounts.models import ApiKey, Customer, User
from foundation.client_address import client_address

SAFE = ("GET", "HEAD", "OPTIONS")
MINUTE = timedelta(minutes=1)
KEYS = 3  # so many times the limit of one key is that of all keys of a person


class ApiView(APIView):
    """One path. A subclass says which right each method needs and has a function for each; these find `self.customer`,
    `self.person` and `self.rights`. A call for what is another's is answered like one for what never existed.
    """

    permissions: ClassVar[Mapping[str, Permission]] = {}  # method -> right
    # Methods that change things and need no running service.
    before_activation: ClassVar[frozenset[str]] = frozenset()
    names: ClassVar[Mapping[str, str]] = {}  # argument of a verb -> name of the field here
    http_method_names = ["get", "head", "post", "patch", "delete", "put"]
    metadata_class = None
    customer: Customer
    person: User
    rights: set[Permission]
    key: ApiKey | None = None
    # The limit, what is left of it, and when it begins anew (Unix time).
    meter: tuple[int, int, float] | None = None

    def prepare(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """What of a POST takes long and is no part of its transaction (accounts.api.once)."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return login_not_required(conditional(super().as_view(**initkwargs)))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        person: Any = request.user
        key: Any = request.auth  # KeyAuthentication lets in nobody without one
        self.key, self.person, self.customer = key, person, key.customer
        audit.through(key.prefix)
        writes = request.method not in SAFE
        self._count(key, writes)
        self.rights = rights_of(key)
        right = self.permissions.get("GET" if request.method == "HEAD" else request.method or "")
        if right is None:
            return  # 405, from rest_framework
        if right not in self.rights:
            raise PermissionDenied(f"This key lacks the right {right.value}, or its member does.")
        if writes and request.method not in self.before_activation and self.customer.blocked_reason:
            raise PermissionDenied(self.customer.blocked_reason)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        started, status = perf_counter(), 500
        try:
            response = super().dispatch(request, *args, **kwargs)
            status = response.status_code
            return response
        finally:
            if self.key and status != 429:  # whoever calls on and on fills nothing
                self._note(request, self.key, status, perf_counter() - started)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        if self.meter:
            limit, left, reset = self.meter
            response["X-RateLimit-Limit"] = str(limit)
            response["X-RateLimit-Remaining"] = str(left)
            response["X-RateLimit-Reset"] = str(int(reset))
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "private, no-cache"  # to be asked for again, with the ETag
        finalized: Response = super().finalize_response(request, response, *args, **kwargs)
        return finalized

    def _count(self, key: ApiKey, writes: bool) -> None:
        limit = settings.API_WRITES if writes else settings.API_READS
        calls, in_all, minute = key.count_call(writes=writes, address=client_address(self.request))
        reset = minute + MINUTE
        self.meter = (limit, max(limit - calls, 0), reset.timestamp())
        sort = "changes" if writes else "reads"
        for counted, most, whose in ((calls, limit, "a key"), (in_all, KEYS * limit, "all keys of a person")):
            if counted > most:
                wait = max((reset - timezone.now()).total_seconds(), 1)
                raise Throttled(wait, f"{most} {sort} a minute are the limit of {whose}.")

    @staticmethod
    def _note(request: Any, key: ApiKey, status: int, seconds: float) -> None:
        with contextlib.suppress(DatabaseError):  # it says nothing that the answer would need
            key.note_call(
                method=request.method,
                path=request.path,
                status=status,
                milliseconds=round(seconds * 1000),
                address=client_address(request),
            )


conditional = decorator_from_middleware(ConditionalGetMiddleware)
