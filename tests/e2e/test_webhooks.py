"""A customer's own server is told what happens to their mailboxes, whatever dies in between."""

import re
import time
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any

import pytest

from tests.e2e.hosting import Tenant, become_customer
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually
from tests.webhook_target import Target, dawdle, listening

DOMAIN = "told-{}.test"
NO_DELAY = 9  # seconds: whoever waits for the call of a slow target waits ten


@pytest.fixture
def target(stack: Stack) -> Iterator[Target]:
    with listening(int(stack.facts["webhook_target"].rpartition(":")[2])) as found:
        yield found


@pytest.fixture(scope="module")
def tenant(stack: Stack, staff: Person) -> Tenant:
    return somebody(stack, staff)


def somebody(stack: Stack, staff: Person) -> Tenant:
    """A customer with a domain, whose owner gave the password just now: who adds a webhook is asked for it."""
    password = f"person-{token_hex(8)}"
    found = become_customer(stack, staff, password=password)
    found.add_domain(DOMAIN.format(found.username))
    found.person.get("/accounts/reauthenticate/")
    found.person.sends("/accounts/reauthenticate/", password=password)
    return found


def add_webhook(tenant: Tenant, url: str, *groups: str) -> tuple[str, str]:
    """The path of the new webhook's page, and its secret."""
    page = f"/c/{tenant.username}/webhooks/"
    tenant.person.get(f"{page}add/")
    made = tenant.person.post(f"{page}add/", url=url, groups=list(groups) or ["mailboxes"])
    assert made.status_code == 200, made.text
    secret, path = (
        re.search(r"whsec_[A-Za-z0-9+/=]+", made.text),
        re.search(rf'"({page}[0-9a-f-]+/)"', made.text),
    )
    assert secret, "the secret is not shown"
    assert path, "the page of the webhook is not named"
    return path[1], secret[0]


def add_mailbox(tenant: Tenant, name: str) -> str:
    return tenant.add_mailbox(DOMAIN.format(tenant.username), name).address


def told(target: Target, secret: str) -> list[dict[str, Any]]:
    """Each event once, though it may come twice."""
    events = target.events(secret)
    return [event for number, event in enumerate(events) if event not in events[:number]]


def about(target: Target, secret: str, address: str) -> list[str]:
    return [event["type"] for event in told(target, secret) if event["data"]["id"] == address]


def test_a_change_on_the_page_reaches_the_receiver(
    tenant: Tenant, target: Target, new_name: Callable[[str], str]
) -> None:
    page, secret = add_webhook(tenant, target.url)
    address = add_mailbox(tenant, new_name("told"))
    eventually(lambda: about(target, secret, address) == ["mailbox.add"], 20)
    tenant.person.sends(f"{page}test/")
    eventually(lambda: "webhook.test" in [event["type"] for event in told(target, secret)], 20)
    eventually(lambda: "delivered" in tenant.person.get(page).text.lower(), 20)
    tenant.person.sends(f"{page}remove/")


def test_the_worker_is_killed_in_the_middle_of_a_call(
    stack: Stack, tenant: Tenant, target: Target, new_name: Callable[[str], str]
) -> None:
    page, secret = add_webhook(tenant, target.url)
    target.answer = dawdle(30)  # longer than it takes until the mailbox is live
    address = add_mailbox(tenant, new_name("killed"))
    eventually(lambda: target.calls, 10)
    stack.kill("worker-webhooks")
    target.calls.clear()
    target.answer = lambda path: (204, b"")
    eventually(lambda: about(target, secret, address) == ["mailbox.add"], 90)
    assert len({headers["webhook-id"] for headers, _ in target.calls}) == 1
    tenant.person.sends(f"{page}remove/")


def test_the_broker_is_away_during_the_change(
    stack: Stack, tenant: Tenant, target: Target, new_name: Callable[[str], str]
) -> None:
    page, secret = add_webhook(tenant, target.url)
    name = new_name("quiet")
    domain = DOMAIN.format(tenant.username)
    with stack.held_down("redis"):
        fields = {"username": name, "password": "mailbox-of-a-quiet-one", "quota_mb": 10, "name": "Some Body"}
        tenant.person.sends(tenant.page(domain, "mailboxes", "add"), **fields)
    eventually(lambda: about(target, secret, f"{name}@{domain}") == ["mailbox.add"], 60)
    tenant.person.sends(f"{page}remove/")


def test_slow_targets_of_one_customer_delay_nobody_else(
    stack: Stack, staff: Person, tenant: Tenant, target: Target, new_name: Callable[[str], str]
) -> None:
    hanging: list[str] = []

    def answer(path: str) -> tuple[int, bytes]:
        if "slow" in path:
            hanging.append(path)
            time.sleep(30)
        return 204, b""

    target.answer = answer
    slow = somebody(stack, staff)
    slow_pages = [add_webhook(slow, f"{target.url}/slow-{number}")[0] for number in range(10)]
    page, secret = add_webhook(tenant, target.url)
    add_mailbox(slow, new_name("slow"))
    eventually(lambda: len(hanging) >= 2, 20)
    for _ in range(5):
        address = add_mailbox(tenant, new_name("fast"))
        eventually(lambda whose=address: about(target, secret, whose) == ["mailbox.add"], NO_DELAY)
    for path in slow_pages:
        slow.person.sends(f"{path}remove/")
    tenant.person.sends(f"{page}remove/")
