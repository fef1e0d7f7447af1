"""The API as a whole: every path × method × right, and that what is written about it is true."""

import re
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import get_resolver

from accounts.access import Permission
from accounts.api.view import ApiView
from accounts.key_forms import MEANINGS
from mxpanel import api_urls
from tests.program import EVERYTHING, Program, error

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Path -> method -> the right that it needs.
TABLE: dict[str, dict[str, str]] = {
    "verification-key": {"GET": "domains:read"},
    "domains": {"GET": "domains:read", "POST": "domains:edit"},
    "domain": {"GET": "domains:read", "DELETE": "domains:edit"},
    "domain-restore": {"POST": "domains:edit"},
    "dns": {"GET": "domains:read"},
    "dns-check": {"GET": "domains:read", "POST": "domains:edit"},
    "email-accounts": {"GET": "mailboxes:read", "POST": "mailboxes:edit"},
    "email-account": {"GET": "mailboxes:read", "PATCH": "mailboxes:edit", "DELETE": "mailboxes:edit"},
    "email-account-restore": {"POST": "mailboxes:edit"},
    "email-account-invitation": {
        "GET": "mailboxes:read",
        "POST": "mailboxes:edit",
        "DELETE": "mailboxes:edit",
    },
    "imports": {"POST": "mailboxes:edit"},
    "import": {"GET": "mailboxes:edit", "DELETE": "mailboxes:edit"},
    "import-confirm": {"POST": "mailboxes:edit"},
    "quota": {"GET": "customer:read"},
    "quota-email": {"GET": "mailboxes:read"},
    "orders": {"GET": "orders:read", "POST": "orders:edit"},
    "order": {"GET": "orders:read"},
    "order-cancel": {"POST": "orders:edit"},
    "members": {"GET": "members:read", "POST": "members:edit"},
    "webhooks": {"GET": "webhooks:read", "POST": "webhooks:edit"},
    "webhook": {"GET": "webhooks:read", "PATCH": "webhooks:edit", "DELETE": "webhooks:edit"},
    "webhook-rotate": {"POST": "webhooks:edit"},
    "webhook-test": {"POST": "webhooks:edit"},
    "deliveries": {"GET": "webhooks:read"},
    "delivery": {"GET": "webhooks:read"},
    "delivery-send-again": {"POST": "webhooks:edit"},
    "member": {"GET": "members:read", "PATCH": "members:edit", "DELETE": "members:edit"},
    "audit": {"GET": "members:read"},
}
OPEN = {"schema", "nothing"}  # to whoever asks; and what is no path
SAMPLES = {
    "domain": "never.test", "user": "nobody", "number": "0", "member": "0", "delivery": "0",
    "webhook": "00000000-0000-0000-0000-000000000000",
}  # fmt: skip


def paths() -> dict[str, str]:
    """Name -> path, with names of nothing in it."""
    return {
        pattern.name: re.sub(r"<\w+:(\w+)>", lambda match: SAMPLES[match[1]], str(pattern.pattern))
        for pattern in api_urls.urlpatterns
        if pattern.name not in OPEN
    }


def test_the_table_names_every_path_and_nothing_else():
    assert paths().keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_who_gets_in(name: str, acme: Any, alice: Any) -> None:
    """Anonymous 401; without the right 403; with it past that door; another method 405."""
    nothing = Program(acme, alice, ["customer:read"] if name != "quota" else ["orders:read"])
    path, wrong = paths()[name], []
    for method in METHODS:
        right = TABLE[name].get(method)
        if Client().generic(method, f"/api/{path}").status_code != 401:
            wrong.append(f"{method} without a key")
        expected = 403 if right else 405
        if nothing.call(method, path).status_code != expected:
            wrong.append(f"{method} without the right")
        if right:
            only, all_but = Program(acme, alice, [right]), [each for each in EVERYTHING if each != right]
            if only.call(method, path).status_code in (401, 403, 405, 500):
                wrong.append(f"{method} with {right}")
            if Program(acme, alice, all_but).call(method, path).status_code != 403:
                wrong.append(f"{method} with everything but {right}")
    assert not wrong


def test_every_view_is_one_of_ours():
    for pattern in api_urls.urlpatterns:
        if pattern.name not in OPEN:
            view: Any = pattern.callback
            assert issubclass(view.view_class, ApiView)
            assert view.view_class.permissions.keys() == TABLE[pattern.name].keys()
            for method, right in view.view_class.permissions.items():
                assert right.value == TABLE[pattern.name][method]


def test_every_post_that_makes_something_is_done_once():
    repeated = {"dns-check"}  # a look at the DNS, which may be repeated
    for pattern in api_urls.urlpatterns:
        post = getattr(getattr(pattern.callback, "view_class", None), "post", None)
        if post and pattern.name not in repeated | OPEN:
            work = getattr(pattern.callback.view_class, "_add", post)
            assert hasattr(work, "__wrapped__"), pattern.name


def test_each_right_has_its_words_on_the_page_of_keys():
    assert set(MEANINGS) == set(Permission)


def test_the_schema_is_the_one_that_is_kept(db: None) -> None:
    """`docs/openapi.yaml`; written by `manage.py spectacular --file docs/openapi.yaml`."""
    served = yaml.safe_load(Client().get("/api/schema/").content)
    with open("docs/openapi.yaml") as kept:
        assert served == yaml.safe_load(kept)
    assert served["openapi"] == "3.1.0"


def test_the_schema_names_every_call(db: None) -> None:
    served = yaml.safe_load(Client().get("/api/schema/").content)
    described = {
        (path, method.upper())
        for path, item in served["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert len(described) == sum(len(methods) for methods in TABLE.values())


def test_the_page_about_it(db: None) -> None:
    page = Client().get("/api/docs/")
    assert page.status_code == 200
    text = page.content.decode()
    assert text.count("curl ") == sum(len(methods) for methods in TABLE.values())
    assert 'href="/api/schema"' in text


def test_no_path_of_the_api_sets_a_cookie_or_reads_a_session(as_: Any, alice: Any, acme: Any) -> None:
    answer = as_(alice).get("/api/domains")
    error(answer, 401, "UNAUTHORIZED")
    assert not answer.cookies


def test_it_is_the_last_of_all_paths():
    assert get_resolver().url_patterns[-1].pattern._route == "api/"
