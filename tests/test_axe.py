"""axe-core over every page that the access table names, as somebody who gets in, in light and dark, wide and narrow."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.models import User
from billing.models import Order
from tests.access_table import TABLE
from tests.billing.conftest import FIELDS
from tests.e2e.browser import SCHEMES, WIDTHS, Browser
from tests.test_census import SAMPLES, census_things, named_urls

__all__ = ["census_things"]

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.timeout(600)]

AXE = (files("axe_core_python") / "axe.min.js").read_text()
RUN = """
const done = arguments[arguments.length - 1];
document.getAnimations().forEach(animation => animation.finish());
axe.run(document, {resultTypes: ["violations"]}).then(
  result => done(result.violations.map(v => [v.id, v.nodes.map(n => [n.html, n.failureSummary])])),
  error => done([["axe failed", [[String(error), ""]]]]));
"""
PEOPLE = {"anonymous": None, "owner": "alice", "staff": "sam"}
WHO = {
    name: next(role for role in ("owner", "staff", "anonymous") if rule["GET"][role] == "in")
    for name, rule in TABLE.items()
    if "in" in {rule.get("GET", {}).get(role) for role in PEOPLE}
}
# Parts of a page, which htmx loads again.
FRAGMENTS = {"admin:domains_mailserver_progress", "billing:review-presence"}
OF_NOBODY_SIGNED_IN = {"account_login", "account_signup", "account_reset_password", "mfa_authenticate"}


@pytest.fixture
def browser(live_server: Any, tmp_path: Path) -> Iterator[Browser]:
    opened = Browser(SimpleNamespace(panel=live_server.url), tmp_path, "axe", javascript=True)  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.mark.parametrize("role", PEOPLE)
def test_no_page_has_a_violation(
    role: str,
    browser: Browser,
    as_: Callable[[User], Client],
    census_things: dict[str, Any],
    request: pytest.FixtureRequest,
) -> None:
    person = PEOPLE[role]
    browser.open("/healthz")
    if person:
        cookie = as_(request.getfixturevalue(person)).cookies[settings.SESSION_COOKIE_NAME]
        browser.take_cookies([{"name": cookie.key, "value": cookie.value}])
    names = [name for name, who in WHO.items() if who == role and name not in OF_NOBODY_SIGNED_IN | FRAGMENTS]
    names += [name for name in sorted(OF_NOBODY_SIGNED_IN) if role == "anonymous"]
    wrong = [line for name in names for line in violations(browser, path_of(name, census_things))]
    assert not wrong, "\n".join(wrong)


def test_the_review_of_an_order_has_no_violation(
    browser: Browser, as_: Callable[[User], Client], alice: User
) -> None:
    """It shows what was entered before, so no URL alone leads to it."""
    client = as_(alice)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    client.post("/order/", FIELDS | {"phone": "123", "step": "review"})
    browser.open("/healthz")
    browser.take_cookies([{"name": cookie.key, "value": cookie.value}])
    assert not list(violations(browser, "/order/?step=review"))
    assert "Review your order" in browser.text


def test_pages_of_what_is_paid_by_card_have_no_violation(
    browser: Browser,
    as_: Callable[[User], Client],
    census_things: dict[str, Any],
    sam: User,
    settings: Any,
    alice: User,
) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_of_nobody"
    order = Order.objects.numbered(census_things["number"])
    order.approve("", by=sam, seen=order.seen)
    browser.open("/healthz")
    cookie = as_(alice).cookies[settings.SESSION_COOKIE_NAME]
    browser.take_cookies([{"name": cookie.key, "value": cookie.value}])
    assert not list(violations(browser, order.get_absolute_url()))
    assert "Pay by card" in browser.text
    assert not list(violations(browser, "/c/acme/billing/cards/"))
    assert "Add a card" in browser.text
    for path in ("/c/acme/billing/", f"/c/acme/billing/invoices/{census_things['invoice']}/"):
        assert not list(violations(browser, path))
        assert "Renewal to be paid" in browser.text
        assert "Pay by card" in browser.text


def path_of(name: str, things: dict[str, Any]) -> str:
    every = {**SAMPLES, **things}
    return reverse(name, kwargs={key: every[key] for key in named_urls()[name]})


def violations(browser: Browser, path: str) -> Iterator[str]:
    """What is wrong on this page, once for each part of it, with the first look at which it is so."""
    browser.open(path)
    browser.driver.execute_script(AXE)
    seen = set()
    for width in WIDTHS:
        for scheme in SCHEMES:
            browser.show(width, scheme)
            for rule, nodes in browser.driver.execute_async_script(RUN):
                for html, summary in nodes:
                    if (rule, html) not in seen:
                        seen.add((rule, html))
                        yield f"{path} at {width} px, {scheme}: {rule}: {html[:200]}: {summary[:300]}"
            if browser.overflow() > 0:
                yield f"{path} at {width} px: {browser.overflow()} px too wide"
