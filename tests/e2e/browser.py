"""Headless Chromium as a person uses it, with or without JavaScript, and pictures of what it shows."""

import base64
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.e2e.person import fresh_code
from tests.e2e.stack import Stack

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --no-proxy-server "
    "--disable-features=Translate,OptimizationHints,MediaRouter --window-size=1280,900"
)
WIDTHS = (1280, 360)
SCHEMES = ("light", "dark")
PATIENCE = 40  # seconds for a page, or for what it waits for


class Browser:
    """One Chromium. `pictures` is where pictures go; their names begin with `name` and count up."""

    def __init__(self, stack: Stack, pictures: Path, name: str, *, javascript: bool) -> None:
        self.stack, self.pictures, self.name, self.javascript = stack, pictures, name, javascript
        self.taken = 0
        self.others: dict[str, list[dict[str, Any]]] = {}
        self.profile = tempfile.mkdtemp(prefix="chr")
        self.driver = webdriver.Chrome(self.options(), webdriver.ChromeService("/usr/bin/chromedriver"))
        self.driver.set_page_load_timeout(PATIENCE)

    def options(self) -> webdriver.ChromeOptions:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*FLAGS.split(), f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        if not self.javascript:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2}
            )
        return options

    def close(self) -> None:
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    @property
    def path(self) -> str:
        return urlsplit(self.driver.current_url).path

    def open(self, path: str) -> None:
        self.driver.get(self.stack.panel + path)

    def one(self, css: str) -> WebElement:
        """The only element that matches."""
        found = self.driver.find_elements(By.CSS_SELECTOR, css)
        assert len(found) == 1, f"{len(found)} of {css} on {self.path}: {self.text[:500]}"
        return found[0]

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def click(self, text: str) -> None:
        """Follow the link with this text and wait for the page that it leads to."""
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.driver.find_element(By.LINK_TEXT, text).click()
        self.wait_for_page_after(page, f"following {text!r} led nowhere")

    def fill(self, **fields: str) -> None:
        """Fill in fields of the page by their names: texts, choices, selections and boxes."""
        for name, value in fields.items():
            found = self.driver.find_elements(By.NAME, name)
            assert found, f"no field {name} on {self.path}"
            kind = found[0].get_attribute("type")
            if kind == "radio":
                next(one for one in found if one.get_attribute("value") == value).click()
            elif kind == "checkbox":
                if not found[0].is_selected():
                    found[0].click()
            elif found[0].tag_name == "select":
                Select(found[0]).select_by_value(value)
            else:
                found[0].clear()
                found[0].send_keys(value)

    def press(self, label: str) -> None:
        """Press the button with this label and wait for the page that follows."""
        buttons = self.driver.find_elements(By.XPATH, f'//main//button[normalize-space()="{label}"]')
        assert len(buttons) == 1, f"{len(buttons)} buttons {label!r} on {self.path}: {self.text[:500]}"
        page = self.driver.find_element(By.TAG_NAME, "html")
        buttons[0].click()
        self.wait_for_page_after(page, f"pressing {label!r} did nothing")

    def wait_for_page_after(self, page: WebElement, otherwise: str) -> None:
        """Until the page that this element was part of has been left; `otherwise` says what it means if it is not."""
        WebDriverWait(self.driver, PATIENCE).until(lambda _: is_gone(page), otherwise)

    def wait_for(self, css: str) -> None:
        """Until the page shows this, by itself where it has JavaScript, else by loading it again."""

        def shows(_: object) -> bool:
            if not self.javascript:
                self.driver.refresh()
            return bool(self.driver.find_elements(By.CSS_SELECTOR, css))

        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.3).until(
            shows, f"{css} never showed on {self.path}"
        )

    def sign_in(self, address: str, password: str, totp_secret: str = "") -> None:
        self.open("/accounts/login/")
        self.fill(login=address, password=password)
        self.press("Sign in")
        if totp_secret:
            self.fill(code=fresh_code(totp_secret))
            self.press("Sign in")

    @contextlib.contextmanager
    def somebody_else(self, name: str) -> Iterator[None]:
        """Another person at this browser for a while: what they signed in to is kept for their next visit."""
        ours, page = self.driver.get_cookies(), self.driver.current_url
        self.take_cookies(self.others.get(name, []))
        try:
            yield
            self.others[name] = self.driver.get_cookies()
        finally:
            self.take_cookies(ours)
            self.driver.get(page)

    def take_cookies(self, cookies: list[dict[str, Any]]) -> None:
        self.driver.delete_all_cookies()
        for cookie in cookies:
            self.driver.add_cookie(cookie)

    def picture(self, title: str) -> None:
        """Keep pictures of the page, wide and narrow, light and (with JavaScript) dark; nothing may be cut off."""
        self.taken += 1
        for width in WIDTHS:
            for scheme in SCHEMES if self.javascript else SCHEMES[:1]:
                path = self.pictures / f"{self.name}-{self.taken:02}-{title}-{width}-{scheme}.png"
                path.write_bytes(self.shot(width, scheme))
            assert self.overflow() <= 0, f"{self.path} is {self.overflow()} px too wide at {width} px"
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def shot(self, width: int, scheme: str) -> bytes:
        self.show(width, scheme)
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        return base64.b64decode(taken["data"])

    def show(self, width: int, scheme: str) -> None:
        """Make the window so wide, and light or dark."""
        command = self.driver.execute_cdp_cmd
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        command("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        command("Emulation.setDeviceMetricsOverride", metrics)

    def overflow(self) -> int:
        """How many pixels the page is wider than its window."""
        script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.driver.execute_script(script))

    def complaints(self) -> list[str]:
        """What Chromium complained about since the last look: scripts, policies, missing files."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" and "status of 422" not in entry["message"]
        ]


def is_gone(page: WebElement) -> bool:
    """Whether the page that this element was part of has been left."""
    try:
        page.is_enabled()
    except Exception:  # stale, or the page is just being exchanged
        return True
    return False
