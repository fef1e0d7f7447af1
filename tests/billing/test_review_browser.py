"""The review desk in a browser: by keys alone, without JavaScript, and two people who see each other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from accounts.models import User
from billing import screening
from billing.models import CannedText, Order
from tests.billing.conftest import fresh
from tests.e2e.browser import PATIENCE, Browser, is_gone

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.timeout(240)]


@pytest.fixture
def browser_of(
    live_server: Any, tmp_path: Path, as_: Callable[[User], Client]
) -> Iterator[Callable[..., Browser]]:
    """Open a browser in which this person is signed in."""
    opened: list[Browser] = []

    def make(person: User, *, javascript: bool = True) -> Browser:
        stack: Any = SimpleNamespace(panel=live_server.url)
        browser = Browser(stack, tmp_path, "desk", javascript=javascript)
        opened.append(browser)
        browser.open("/healthz")
        cookie = as_(person).cookies[settings.SESSION_COOKIE_NAME]
        browser.take_cookies([{"name": cookie.key, "value": cookie.value}])
        browser.complaints()  # about what that page lacks
        return browser

    yield make
    for browser in opened:
        browser.close()


@pytest.fixture
def two_orders(ordered: Callable[..., Order], quiet_broker: None, settings: Any) -> list[Order]:
    settings.FRAUDRECORD_API_KEY = ""
    orders = [ordered(), ordered()]
    for order in orders:
        screening.check_order(order.pk)
    return orders


def press(browser: Browser, key: str) -> None:
    """An access key."""
    ActionChains(browser.driver).key_down(Keys.ALT).send_keys(key).key_up(Keys.ALT).perform()


def leave(browser: Browser, act: Callable[[], None]) -> None:
    """Do what leads to another page, and wait for that."""
    page = browser.driver.find_element(By.TAG_NAME, "html")
    act()
    WebDriverWait(browser.driver, PATIENCE).until(lambda _: is_gone(page), "nothing happened")


def type_text(browser: Browser, text: str) -> None:
    ActionChains(browser.driver).send_keys(text).perform()


@pytest.mark.parametrize("javascript", [True, False])
def test_by_keys_alone(
    browser_of: Callable[..., Browser], two_orders: list[Order], sam: User, javascript: bool
) -> None:
    one, two = two_orders
    CannedText.objects.all().delete()
    CannedText.objects.create(title="Whose?", kind="ask", text="Dear {name}, whose is {domain}?")
    browser = browser_of(sam, javascript=javascript)
    browser.open("/admin/review/")
    leave(browser, lambda: press(browser, "o"))
    assert browser.path == f"/admin/review/{one.number}/"
    leave(browser, lambda: press(browser, "1"))
    text = browser.one("#id_text")
    assert text.get_attribute("value") == "Dear Anna Example, whose is your domain?"
    assert browser.driver.switch_to.active_element == text
    leave(browser, lambda: press(browser, "s"))
    assert fresh(one).status == "question"
    assert browser.path == f"/admin/review/{two.number}/"
    press(browser, "m")
    type_text(browser, "Called them")
    leave(browser, ActionChains(browser.driver).send_keys(Keys.TAB, Keys.ENTER).perform)
    assert [note.text for note in two.notes.all()] == ["Called them"]
    press(browser, "r")
    press(browser, "t")
    type_text(browser, "No such street")
    leave(browser, lambda: press(browser, "d"))
    assert browser.path == f"/admin/review/{two.number}/"
    assert fresh(two).status == "rejected"
    assert fresh(two).decision.text == "No such street"
    leave(browser, lambda: press(browser, "n"))
    assert browser.path == "/admin/review/"
    assert browser.complaints() == []


def test_two_people_see_each_other_and_what_the_other_did(
    browser_of: Callable[..., Browser],
    two_orders: list[Order],
    sam: User,
    staff_of: Callable[[str], User],
) -> None:
    path = f"/admin/review/{two_orders[0].number}/"
    sams, reviewers = browser_of(sam), browser_of(staff_of("reviewer"))
    sams.open(path)
    reviewers.open(path)
    assert "Sam Staff" in reviewers.one("[data-other]").text
    sams.wait_for("[data-other]")
    assert "Some Reviewer is at this order too." in sams.one("#presence").text
    reviewers.fill(decision="approve")
    reviewers.press("Decide")
    sams.wait_for("#presence .warning")
    assert "the order is unpaid now" in sams.one("#presence").text
    assert sams.complaints() == []
