"""A person at the panel without a browser: forms are sent over HTTP as a page would send them."""

import base64
import email
import email.policy
import hmac
import re
import time
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
PERIOD = 30  # seconds that one TOTP code is good for (RFC 6238); the panel takes none of the period before
TO_ENTER = 10  # seconds of that which are left to whoever is to enter a code

_used_counters: dict[str, int] = {}


class Person:
    """One session at the panel. Redirects are not followed: an answer of 302 is what a form should give."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.session = requests.Session()
        self.session.trust_env = False
        self._token = ""

    def get(self, path: str) -> requests.Response:
        reply = self.session.get(self.stack.panel + path, allow_redirects=False, timeout=30)
        if found := TOKEN.search(reply.text):
            self._token = found[1]
        return reply

    def post(self, path: str, **fields: object) -> requests.Response:
        """Send a form with the token of the last page that had one."""
        if not self._token:
            self.get("/order/")
        data = {"csrfmiddlewaretoken": self._token, **fields}
        return self.session.post(self.stack.panel + path, data=data, allow_redirects=False, timeout=30)

    def sends(self, path: str, **fields: object) -> str:
        """Send a form that is taken; the path it leads to. AssertionError with the page's errors otherwise."""
        reply = self.post(path, **fields)
        assert reply.status_code == 302, f"POST {path}: {reply.status_code} {errors_of(reply.text)}"
        location = urlsplit(reply.headers["Location"])
        return location.path + (f"?{location.query}" if location.query else "")

    def sign_up(self, address: str, password: str) -> None:
        """Make an account and confirm its address by the mail that comes; ends signed in."""
        self.get("/accounts/signup/")
        self.sends("/accounts/signup/", email=address, password1=password, password2=password)
        link = confirmation_link(self.stack, address)
        self.get(link)
        self.sends(link)
        self._token = ""

    def sign_in(self, address: str, password: str, totp_secret: str = "") -> None:
        self.get("/accounts/login/")
        self.sends("/accounts/login/", login=address, password=password)
        if totp_secret:
            self.get("/accounts/2fa/authenticate/")
            self.sends("/accounts/2fa/authenticate/", code=fresh_code(totp_secret))
        self._token = ""


def fresh_code(secret: str) -> str:
    """A TOTP code that this run has not used, and that holds for some seconds: waits for the next one where needed, for
    each is taken once.
    """
    if (left := PERIOD - time.time() % PERIOD) < TO_ENTER:
        time.sleep(left)
    while (counter := int(time.time()) // PERIOD) <= _used_counters.get(secret, 0):
        time.sleep(PERIOD - time.time() % PERIOD)
    _used_counters[secret] = counter
    digest = hmac.digest(base64.b32decode(secret, casefold=True), counter.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 0x0F  # RFC 4226, 5.3
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def confirmation_link(stack: Stack, address: str) -> str:
    return mailed_link(stack, address, "/accounts/confirm-email/")


def mailed_link(stack: Stack, address: str, beginning: str) -> str:
    """The path, which begins so, that the newest mail to `address` leads to; the mail comes in a moment."""
    pattern = re.compile(rf"https?://[^\s/]+({re.escape(beginning)}\S+)")

    def newest() -> str | None:
        links = [pattern.search(text) for text in mails_to(stack, address)]
        return next((link[1] for link in reversed(links) if link), None)

    return str(eventually(newest, 20))


def mails_to(stack: Stack, address: str) -> list[str]:
    """The plain text of the mails that the panel sent to `address`, oldest first, subject in the first line."""
    texts = []
    for path in sorted(stack.outbox.glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if address in str(message["To"]):
            body = message.get_body(("plain",))
            texts.append(f"{message['Subject']}\n{body.get_content() if body else ''}")
    return texts


def errors_of(page: str) -> list[str]:
    """The errors that a page shows, for messages of failed tests."""
    found = re.findall(r'<div class="field-error".*?</div>|<div class="notice error.*?</div>', page, re.S)
    texts = [" ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split()) for html in found]
    return texts or [" ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())[:300]]


def artifact(stack: Stack, name: str) -> Path:
    """The path of a picture with this name."""
    stack.artifacts.mkdir(exist_ok=True)
    return stack.artifacts / name
