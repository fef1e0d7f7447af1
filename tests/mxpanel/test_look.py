"""The look keeps its promises: one small stylesheet, nothing inline, nothing from elsewhere, no dead link."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.defaults import bad_request, server_error

from foundation.templatetags.look import TONES, tone

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
STYLESHEET = ROOT / "static/css/mxpanel.css"
PUBLIC = ["/", "/plans/", "/status/", "/privacy/", "/terms/", "/contact/"]
ENTRANCE = [
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/confirm-email/",
    "/order/",
]
SIGNED_IN = [
    "/accounts/home/?all",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/2fa/totp/activate/",
    "/accounts/2fa/webauthn/add/",
    "/accounts/sessions/",
    "/accounts/logout/",
    "/c/acme/",
    "/c/acme/members/",
]
PAGE_BYTES = 150_000


def page_templates() -> list[Path]:
    return [path for path in sorted(TEMPLATES.rglob("*.html")) if not is_mail(path)]


def is_mail(path: Path) -> bool:
    return bool({"email", "emails"} & set(path.relative_to(TEMPLATES).parts))


class Page(HTMLParser):
    """What a page holds: addresses it fetches or links, inline styles and scripts, ids, headings."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.headings = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "style" or (tag == "script" and "src" not in values):
            self.inline.append(tag)
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        if tag in ("script", "img"):
            self.fetched.append(values.get("src", ""))
        if tag == "link":
            self.fetched.append(values["href"])
        if tag == "a":
            self.links.append(values["href"])
        if "id" in values:
            self.ids.append(values["id"])
        self.headings += tag == "h1"


def test_the_stylesheet_is_small_and_fetches_nothing() -> None:
    text = STYLESHEET.read_text()
    assert len(text.encode()) <= 28 * 1024
    assert "@import" not in text
    assert "url(" not in text


def test_components_take_their_colours_from_tokens() -> None:
    _, components = STYLESHEET.read_text().split("@layer base {", 1)
    raw = [
        line for line in components.splitlines() if re.search(r"#[0-9a-f]{3,8}\b", line) and ".qr" not in line
    ]
    assert raw == []  # the QR code alone stays black on white: cameras read it so


def test_dark_sets_every_colour_that_light_sets() -> None:
    light, dark = STYLESHEET.read_text().split("@media (prefers-color-scheme: dark)", 1)
    colours = set(re.findall(r"(--[\w-]+): #", light))
    assert colours == set(re.findall(r"(--[\w-]+): #", dark.split("@layer base", 1)[0]))


@pytest.mark.parametrize("path", page_templates(), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_template_has_inline_style_or_script_or_a_foreign_address(path: Path) -> None:
    text = re.sub(r"\{% comment %\}.*?\{% endcomment %\}|\{#.*?#\}", "", path.read_text(), flags=re.S)
    assert not re.search(r"\sstyle\s*=|<style|\son[a-z]+\s*=|javascript:", text, flags=re.I)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text, flags=re.I)
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""", text, flags=re.I)


@pytest.mark.django_db
@pytest.mark.parametrize("url", PUBLIC + ENTRANCE)
def test_public_pages_ask_for_nothing_foreign(client: Client, url: str) -> None:
    check_page(client, url)


@pytest.mark.parametrize("url", SIGNED_IN)
def test_pages_behind_the_sign_in_ask_for_nothing_foreign(
    as_: Callable[..., Client], acme: Any, alice: Any, url: str
) -> None:
    check_page(as_(alice), url)


def check_page(client: Client, url: str) -> None:
    answer = client.get(url)
    assert answer.status_code == 200
    html = answer.content.decode()
    page = Page(html)
    assert page.inline == []
    assert page.headings == 1
    assert len(page.ids) == len(set(page.ids))
    assert "main" in page.ids
    assert all(address.startswith("/") for address in page.fetched)
    sizes = [
        Path(str(finders.find(address.removeprefix("/static/")))).stat().st_size for address in page.fetched
    ]
    assert len(html.encode()) + sum(sizes) <= PAGE_BYTES
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.django_db
def test_links_of_the_public_pages_lead_somewhere(client: Client) -> None:
    links = {link.split("#")[0] for url in PUBLIC for link in Page(client.get(url).content.decode()).links}
    for link in sorted(link for link in links if link.startswith("/")):
        assert client.get(link).status_code == 200, link


def test_an_unknown_page_says_so_and_shows_nothing_else(client: Client, db: None) -> None:
    answer = client.get("/no/such/page-4711/")
    assert answer.status_code == 404
    assert b"There is nothing here" in answer.content
    assert b"4711" not in answer.content
    assert b"csrf" not in answer.content.lower()


def test_the_pages_of_faults_need_no_context() -> None:
    request = RequestFactory().get("/")
    for answer in (server_error(request), bad_request(request, Exception("detail"))):
        page = Page(answer.content.decode())
        assert page.headings == 1
        assert page.inline == []
        assert b"detail" not in answer.content


def test_a_mail_has_a_text_and_an_html_part_that_fetches_nothing(client: Client, db: None) -> None:
    client.post(reverse("account_reset_password"), {"email": "nobody@example.test"})
    [message] = mail.outbox
    [(html, kind)] = message.alternatives  # type: ignore[attr-defined]
    assert kind == "text/html"
    assert "nobody@example.test" in message.body
    assert "&" not in message.subject
    assert Page(html).fetched == []
    assert "{" not in message.body


def test_every_tone_is_one_that_the_stylesheet_knows() -> None:
    text = STYLESHEET.read_text()
    assert all(f"[data-tone={name}]" in text for name in set(TONES.values()))
    assert tone("a state that nobody has heard of") == "off"
