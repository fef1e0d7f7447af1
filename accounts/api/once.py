"""The same POST twice has one effect: `Idempotency-Key` (IETF draft httpapi-idempotency-key-header)."""

import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import ParseError
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from accounts.models import ApiKey
from accounts.models.api_key import REPLIES_KEPT
from foundation.api import Conflict, Refused
from foundation.encryption import decrypt, encrypt
from foundation.unit_of_work import unit_of_work

NAME = re.compile(r"[\x21-\x7e]{1,255}")
Handler = Callable[..., Response]


def answered_once(handler: Handler) -> Handler:
    """Give a POST that comes again with the same `Idempotency-Key` the answer of the first, for 24 hours.

    Another body under the same key: 422. While the first is at work: 409. What the handler does and the reply that is
    kept are one transaction, so a crash leaves neither, and the repetition does the work. A refusal did nothing and is
    not kept: what was in the way may be gone next time. A view's `prepare(request, …)` comes before the transaction.
    """

    @wraps(handler)
    def post(view: Any, request: Any, *args: Any, **kwargs: Any) -> Response:
        name = request.headers.get("Idempotency-Key")
        if name is None:
            view.prepare(request, *args, **kwargs)
            return handler(view, request, *args, **kwargs)
        if not NAME.fullmatch(name):
            raise ParseError("An Idempotency-Key has 1 to 255 visible ASCII characters.")
        digest = _digest(request)
        if reply := _kept(view.key, name, digest):
            return reply
        view.prepare(request, *args, **kwargs)
        with unit_of_work():
            _hold(view.key, name)
            if reply := _kept(view.key, name, digest):
                return reply
            response = handler(view, request, *args, **kwargs)
            # The secret of a webhook may stand in it.
            body = encrypt(json.dumps(response.data, cls=JSONEncoder))
            reply_of = {"digest": digest, "status": response.status_code, "body": body}
            view.key.replies.update_or_create(name=name, defaults={**reply_of, "at": timezone.now()})
            return response

    return post


def _hold(key: ApiKey, name: str) -> None:
    """Hold this name until COMMIT; Conflict while another call holds it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"reply {key.pk} {name}"]
        )
        if not cursor.fetchone()[0]:
            raise Conflict("The first call with this Idempotency-Key is still at work.")


def _kept(key: ApiKey, name: str, digest: str) -> Response | None:
    """The reply kept under this name; Refused where it was to another call."""
    kept = key.replies.filter(name=name, at__gte=timezone.now() - REPLIES_KEPT).first()
    if kept is None:
        return None
    if kept.digest != digest:
        raise Refused("This Idempotency-Key was sent with another call.")
    body = json.loads(decrypt(str(kept.body)))
    return Response(body, status=kept.status, headers={"Idempotent-Replayed": "true"})


def _digest(request: Any) -> str:
    """Of path and body, keyed: the body may hold a password, and a plain hash of that could be guessed."""
    body = repr(sorted(request.data.items())) if request.data else ""
    said = f"{request.path}\n{body}".encode(errors="surrogatepass")
    return salted_hmac("idempotent call", said, algorithm="sha256").hexdigest()
