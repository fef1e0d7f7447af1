"""Hostile values through every form: a clear answer, no crash, and nothing stored that could become a second line,
a path or another name.
"""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.db import models, transaction
from django.test import Client

from accounts.models import Customer, User, Webhook
from accounts.models.webhook import add_webhook
from billing.models import CardOnFile, FraudCheck, Invoice, Order, Plan, QuestionLink
from billing.models.question import give_link
from domains.models import Domain, Mailbox, MailServer, ServerSync
from foundation.unit_of_work import unit_of_work
from tests.test_census import card_of, renewal_of

HOSTILE = {
    "newline": "x\r\ny",
    "header": "x\nBcc: victim@example.test",
    "nul": "a\0b",
    "single quote": "a' OR '1'='1",
    "double quote": 'a" onfocus="alert(1)',
    "markup": "<script>alert(1)</script>",
    "percent": "%s%n%d",
    "dollar": "${IFS}$(id)`id`",
    "dots": "../../etc/passwd",
    "long": "x" * 65_536,
    "dash": "-oProxyCommand=x",
    "idn": "пример.test",
    "upper": "ACME.TEST",
    "trailing dot": "acme.test.",
    "right to left": "a\u202eb",
    "template": "{{ settings.SECRET_KEY }}{% load %}",
    "spaces": "   ",
    "negative": "-1",
    "huge number": "9" * 40,
    "sql": "1; DROP TABLE accounts_user; --",
}

ORDER = {
    "plan": "10gb", "period": "yearly", "username": "", "domain": "", "name": "Nora New", "company": "", "street": "1 Road",
    "city": "Leeds", "region": "", "postcode": "LS1", "country": "GB", "phone": "+44 113 496 0000", "terms": "on",
}  # fmt: skip
MAILBOX = {
    "username": "new", "password": "plenty-of-entropy-7391", "invite": "", "quota_mb": "100", "name": "New"
}  # fmt: skip

REPORT = "7f3d2c1b-0a9e-4d8c-b7a6-000000000001"
FORMS: dict[str, dict[str, str]] = {
    "/order/": ORDER,
    "/order/{number}/answer/": {"text": "An answer"},
    "/order/question/{question}/": {"text": "An answer"},
    "/admin/review/{number}/": {"decision": "ask", "text": "A question"},
    "/admin/review/{number}/note/": {"text": "A note"},
    "/admin/review/{number}/refund/": {"reference": "r"},
    "/admin/review/{number}/payment/": {
        "method": "bank_transfer", "reference": "r", "amount": "1.00", "currency": "USD"
    },
    "/admin/renewals/{invoice}/payment/": {
        "method": "bank_transfer", "reference": "r", "amount": "1.00", "currency": "USD"
    },
    "/admin/customers/acme/goodwill/credit/": {"amount": "1.00", "reason": "They asked"},
    "/admin/customers/acme/goodwill/months/": {"months": "1", "reason": "They asked"},
    "/admin/invoices/{invoice}/refund/": {
        "way": "bank_transfer", "amount": "1.00", "reference": "r", "reason": "They asked"
    },
    "/admin/review/{number}/report/": {"type": "fraud", "severity": "5", "text": "Chargeback"},
    "/admin/review/{number}/report/withdraw/": {
        "which": REPORT, "reason": "A mistake"
    },
    "/admin/review/{number}/exempt/": {"reason": "An old friend"},
    "/admin/domains/mailserver/{server}/lost_history/": {"decision": "panel", "comparison": "1-2-mark"},
    "/c/acme/billing/coupon/use/": {"coupon": "SPRING-20"},
    "/c/acme/billing/cards/{card}/remove/": {"confirm": "on"},
    "/c/acme/billing/plan/to/25gb/": {"total_minor": "0"},
    "/c/acme/billing/period/to/monthly/": {"total_minor": "590"},
    "/c/acme/billing/come-back/": {"total_minor": "0"},
    "/c/acme/keys/add/": {
        "name": "Backup", "scopes": "domains:read", "networks": "192.0.2.1", "expires_at": ""
    },
    "/c/acme/webhooks/add/": {"url": "https://hooks.example.com/x", "groups": "mailboxes"},
    "/c/acme/webhooks/{webhook}/change/": {"url": "https://hooks.example.com/x", "groups": "orders"},
    "/c/acme/members/invite/": {"email": "new@example.test", "role": "reader"},
    "/c/acme/members/{member}/change/": {"role": "billing"},
    "/c/acme/members/ownership/offer/": {"to": "1"},
    "/c/acme/billing/details/": {
        "name": "Nora New", "company": "", "street": "1 Road", "city": "Leeds", "region": "", "postcode": "LS1",
        "country": "GB", "vat_id": "", "reference": "PO 1", "recipients": "books@example.test",
    },
    "/c/acme/domains/add/": {"domain": "new.test"},
    "/c/acme/domains/acme.test/delete/": {"confirm": "other.test"},
    "/c/acme/domains/acme.test/bulk/add/": {
        "verb": "suspend", "scope": "matching", "quota_mb": "", "list": "q=a", "mailbox": ""
    },
    "/c/acme/domains/acme.test/mailboxes/add/": MAILBOX,
    "/c/acme/domains/acme.test/mailboxes/anna/limit/": {"limit": "100"},
    "/c/acme/domains/acme.test/mailboxes/anna/change/": {"quota_mb": "100", "name": "Anna"},
    "/c/acme/domains/acme.test/mailboxes/anna/password/": {"password": "plenty-of-entropy-7391"},
    "/c/acme/domains/acme.test/mailboxes/anna/invite/": {"invite": "anna@home.example"},
    "/c/acme/domains/acme.test/mailboxes/anna/suspend/": {"stops": "send", "reason": "Holiday"},
    "/c/acme/domains/acme.test/imports/add/": {"file": "username,password"},
    "/accounts/login/": {"login": "alice@example.test", "password": "wrong-password-1"},
    "/accounts/password/reset/": {"email": "nobody@example.test"},
    "/accounts/signup/": {
        "email": "new@example.test", "password1": "plenty-of-entropy-7391", "password2": "plenty-of-entropy-7391"
    },
}  # fmt: skip

# Fields that become a name in DNS, SMTP, a URL or a configuration: these refuse, or normalise to the strict form.
NAMES = {("/order/", "username"), ("/order/", "domain"), ("/c/acme/domains/add/", "domain"),
         ("/c/acme/domains/acme.test/mailboxes/add/", "username")}  # fmt: skip


@pytest.fixture
def number(acme: Customer, alice: User) -> str:
    domain = acme.domains.create(name="acme.test")
    domain.dkim_keys.create(private_key="not used", public_key="not used")
    domain.mailboxes.create(local_part="anna", password_hash="{ARGON2ID}$argon2id$none")
    plan = Plan.objects.get(slug="10gb")
    details = {
        key: ORDER[key] for key in ("name", "street", "city", "postcode", "country", "phone", "period")
    }
    order = Order.objects.create(
        customer=acme, placed_by=alice, plan=plan, amount_minor=5900, currency="USD", email=alice.email,
        terms_accepted_at=acme.created_at, **details,
    )  # fmt: skip
    FraudCheck.objects.create(
        order=order, outcome="reported", value=1, count=1, reliability=1, next_ask_at=None
    )
    order.fraud_reports.create(id=REPORT, kind="spam", severity=1, text="Spam", by=alice, next_try_at=None)
    give_link(order.messages.create(kind="question", text="A question", by=alice))
    add_webhook(acme, "https://hooks.example.com/", ["orders"], by=alice)
    card_of(acme, alice)
    with unit_of_work():
        renewal_of(acme, alice)
    return order.number


@pytest.fixture
def halted(db: None) -> int:
    """A mail server of lost history that is compared and waits for a decision."""
    server = MailServer.objects.create(
        name="mx1.mxpanel.test", address="127.0.0.1", agent_url="https://127.0.0.1:9", agent_key="k" * 40
    )
    ServerSync.objects.create(
        server=server, halted_at=server.enrolled_at, halted_revision=2, halted_mark="mark",
        compared_at=server.enrolled_at, compared_revision=1, compared_node_revision=2, compared_node_mark="mark",
    )  # fmt: skip
    return server.pk


@pytest.fixture(autouse=True)
def no_name_server(settings: Any) -> None:
    """DNS is asked at a port where nothing listens, so that names which pass the form get "unchecked"."""
    settings.DNS_NAMESERVERS = ["127.0.0.1@9"]


@pytest.mark.parametrize("path", sorted(FORMS))
def test_hostile_values(
    path: str, number: str, halted: int, as_: Callable[[User], Client], alice: User, sam: User
) -> None:
    anonymous = path.startswith("/accounts/")
    link = QuestionLink.objects.get().secret
    webhook = Webhook.objects.get().pk
    bob = Customer.objects.get(username="acme").memberships.get(role="reader").pk
    card = CardOnFile.objects.get().pk
    invoice = Invoice.objects.get(order=None).number
    client = Client() if anonymous else as_(sam if path.startswith("/admin/") else alice)
    for field in FORMS[path]:
        for label, value in HOSTILE.items():
            where = f"{path} {field} {label}"
            before = names()
            block = transaction.atomic()
            block._from_testcase = True  # type: ignore[attr-defined]  # units of work may be durable inside
            with block:
                where_to = path.format(
                    number=number,
                    question=link,
                    server=halted,
                    member=bob,
                    webhook=webhook,
                    card=card,
                    invoice=invoice,
                )
                answer = client.post(where_to, {**FORMS[path], field: value})
                assert answer.status_code in (200, 302, 409, 422), f"{where}: {answer.status_code}"
                if answer.status_code in (200, 302):
                    assert_nothing_smuggled(where)
                if (path, field) in NAMES and answer.status_code == 422:
                    assert names() == before, where
                if answer.status_code == 422 and path != "/c/acme/domains/add/":
                    assert errors_on(answer.content.decode()), f"{where}: no error is shown"
                transaction.set_rollback(True)
            if anonymous:
                client = Client()


@pytest.mark.parametrize("size", [2 * 2**20, 10 * 2**20])
def test_an_oversized_body_is_refused(
    as_: Callable[[User], Client], number: str, alice: User, size: int
) -> None:
    answer = as_(alice).post(
        "/c/acme/domains/add/", {"domain": "x" * size}, "application/x-www-form-urlencoded"
    )
    assert answer.status_code in (400, 413)


def test_a_thousand_fields_are_refused(as_: Callable[[User], Client], number: str, alice: User) -> None:
    body = "&".join(f"f{n}=1" for n in range(1000))
    answer = as_(alice).post("/c/acme/domains/add/", body, "application/x-www-form-urlencoded")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "path",
    ["/c/%00/", "/c/acme/?x=%00", "/c/acme/domains/%0d%0aX: y/", "/order/%2e%2e%2f/", "/c/acme/?q=%ff"],
)
def test_hostile_addresses(as_: Callable[[User], Client], number: str, alice: User, path: str) -> None:
    assert as_(alice).get(path).status_code in (200, 400, 404)


def names() -> set[str]:
    """Every name that stands in the database and reaches DNS, SMTP or a URL."""
    return {
        *Customer.objects.values_list("username", flat=True),
        *Domain.objects.values_list("name", flat=True),
        *(f"{m.local_part}@{m.domain.name}" for m in Mailbox.objects.select_related("domain")),
    }


def assert_nothing_smuggled(where: str) -> None:
    """No single-line field of any row holds a control character; every name has its strict form."""
    for model in apps.get_models():
        if model._meta.app_label not in ("accounts", "billing", "domains"):
            continue
        fields = [
            f.attname
            for f in model._meta.concrete_fields
            if type(f) is models.CharField and f.max_length < 2000
        ]
        for row in model._default_manager.values(*fields) if fields else []:
            for field, value in row.items():
                assert not re.search(r"[\x00-\x1f\x7f\u2028\u2029]", value or ""), (
                    f"{where}: {model.__name__}.{field}"
                )
    for name in names():
        assert re.fullmatch(r"[a-z0-9_.@-]+", name), f"{where}: {name!r}"
        assert ".." not in name, where


class _Errors(HTMLParser):
    """Finds what stands in elements whose id ends in _error, or that have the role alert."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._depth or (given.get("id") or "").endswith("_error") or given.get("role") == "alert":
            self._depth += tag not in ("input", "br", "img", "link", "meta")

    def handle_endtag(self, tag: str) -> None:
        self._depth -= self._depth > 0

    def handle_data(self, data: str) -> None:
        if self._depth and data.strip():
            self.found.append(data.strip())


def errors_on(page: str) -> list[str]:
    parser = _Errors()
    parser.feed(page)
    return parser.found


@pytest.mark.django_db
def test_a_nul_in_a_cookie_is_refused(client: Client) -> None:
    client.cookies["sessionid"] = '\0"' * 16  # sent in quotes, as \000
    assert client.get("/accounts/home/").status_code == 400
