"""Every call of the API with values made from its description: no failure of ours, nothing that is not described."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts.models import Customer, User
from accounts.models.webhook import add_webhook
from domains.models import Mailbox
from mxpanel.wsgi import application
from tests.domains.conftest import HASH
from tests.faults import SOAK, kills

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CALLS = [
    (path, method)
    for path, item in yaml.safe_load(Path("docs/openapi.yaml").read_text())["paths"].items()
    for method in item
]


@pytest.fixture
def described(db: None, settings: Any) -> Iterator[Any]:
    """By WSGI in this process, whose connection to the database is the test's and stays open; nobody answers as DNS."""
    settings.DNS_NAMESERVERS = ["127.0.0.1@9"]
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield schemathesis.openapi.from_wsgi("/api/schema", application)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.soak
@pytest.mark.parametrize(("path", "method"), CALLS)
@pytest.mark.timeout(0 if SOAK else 300)
def test_no_call_surprises(
    path: str, method: str, described: Any, program: Any, domain: Any, acme: Any, alice: Any
) -> None:
    """Two calls in three are about what is there."""

    @settings(
        max_examples=kills(5, 300), deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(case=described[path][method].as_strategy(), what=st.sampled_from(["made up", "domain", "mailbox"]))
    def call(case: Any, what: str) -> None:
        if what != "made up" and "domain" in case.path_parameters:
            case.path_parameters["domain"] = domain.name
            anna, _ = Mailbox.objects.get_or_create(
                domain=domain, local_part="anna", deleted_at=None, defaults={"password_hash": HASH}
            )
            if what == "mailbox" and "user" in case.path_parameters:
                case.path_parameters["user"] = anna.local_part
        if what != "made up" and "webhook" in case.path_parameters:
            case.path_parameters |= of_a_webhook(acme, alice, case.path_parameters)
        case.call_and_validate(headers=program.headers, checks=CHECKS)

    call()


def of_a_webhook(customer: Customer, owner: User, names: Iterable[str]) -> dict[str, Any]:
    """A webhook that is there, and something that it is told."""
    webhook = customer.webhooks.first() or add_webhook(
        customer, "https://hooks.example.com/", ["dns"], by=owner
    )
    webhook.switch_on(by=owner)
    delivery = webhook.deliveries.first() or webhook.test()
    found = {"webhook": str(webhook.pk), "delivery": delivery.pk}
    return {name: found[name] for name in names}
