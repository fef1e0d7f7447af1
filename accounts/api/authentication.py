"""Who calls: a key, the customer that it is for, and the member that it acts as."""

import hmac
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled

from accounts.access import RIGHTS, Permission
from accounts.factors import has_factor
from accounts.key_lookup import Extra, find_key
from accounts.models import ApiKey, User
from foundation.client_address import client_address
from foundation.limits import RETRY_AFTER, count_wrong_key

WRONG = "This key is not known here, or not for this account and server."


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`, or the headers of MXroute's clients: X-API-Key with X-Username and X-Server.

    Sets `request.auth` to the key and `request.user` to its member. AuthenticationFailed (401) without a good key, in
    the same time whatever is wrong with it; Throttled (429) after too many of these from one network.
    """

    def authenticate(self, request: Any) -> tuple[User, ApiKey]:
        headers = request.headers
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("X-API-Key", "")
        if not given:
            raise AuthenticationFailed(
                "Send a key: Authorization: Bearer <key>, or X-Server, X-Username and X-API-Key."
            )
        key = find_key(given, self.more_to_read)
        if key is None or (scheme.lower() != "bearer" and not self.is_meant(key, headers)):
            if not count_wrong_key(request._request):
                raise Throttled(RETRY_AFTER, "Too many wrong keys came from your network.")
            raise AuthenticationFailed(WRONG)
        address = client_address(request)
        if not key.is_good_from(address):
            raise PermissionDenied(f"This key is not accepted from {address}.")
        return key.person, key

    def authenticate_header(self, request: Any) -> str:
        return "Bearer"

    more_to_read: Extra = ()

    def is_meant(self, key: Any, headers: Mapping[str, str]) -> bool:
        """Whether X-Username and X-Server name the key's customer and its mail server; to be said by who knows servers."""
        return hmac.compare_digest(headers.get("X-Username", "").encode(), key.customer.username.encode())


def rights_of(key: Any) -> set[Permission]:
    """What the key may do now: what it was made for, as far as its member's role reaches today."""
    if key.wants_factor and not has_factor(key.person):
        raise PermissionDenied(f"{key.customer.name} asks a second factor of its members. Set one up first.")
    return {right for right in RIGHTS[key.role] if right.value in key.scopes}
