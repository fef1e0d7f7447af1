"""A program that calls the API with a key."""

import json
from typing import Any

from django.test import Client

from accounts.access import Permission
from accounts.keys import add_key
from accounts.models import ApiKey, Customer, User

EVERYTHING = [right.value for right in Permission]


class Program:
    """Acts for `customer` as `person`, with the rights `scopes`; by default all that the person has."""

    def __init__(
        self, customer: Customer, person: User, scopes: list[str] | None = None, **more: Any
    ) -> None:
        from accounts.access import RIGHTS

        role = customer.memberships.get(user=person).role
        rights = scopes if scopes is not None else [right.value for right in RIGHTS[role]]
        values = {"networks": [], "expires_at": None, **more}
        self.api_key: ApiKey
        self.api_key, self.key = add_key(customer, "A program", rights, **values, by=person)
        self.headers = {"Authorization": f"Bearer {self.key}"}
        self.client = Client(raise_request_exception=False)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent: dict[str, Any] = {}
        if body is not None:
            raw = body if isinstance(body, str | bytes) else json.dumps(body)
            sent = {"data": raw, "content_type": headers.pop("content_type", "application/json")}
        return self.client.generic(method, f"/api/{path}", **sent, headers={**self.headers, **headers})

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)


def data(answer: Any, status: int = 200) -> Any:
    """What stands in the envelope of a success."""
    assert answer.status_code == status, answer.content
    envelope = answer.json()
    assert (envelope.keys(), envelope["success"]) == ({"success", "data"}, True)
    return envelope["data"]


def error(answer: Any, status: int, code: str) -> dict[str, str]:
    """What stands in the envelope of a failure."""
    assert answer.status_code == status, answer.content
    envelope = answer.json()
    assert (envelope.keys(), envelope["success"]) == ({"success", "error"}, False)
    assert envelope["error"]["code"] == code
    assert envelope["error"]["message"]
    found: dict[str, str] = envelope["error"]
    return found
