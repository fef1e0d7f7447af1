"""What a customer reads about renewals on the page of billing and on that of an invoice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Customer, Role, SuspensionCause, User
from billing import taxing
from billing.models import CardOnFile
from tests.billing.renewed import NEXT, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk

AsPerson = Callable[[User], Client]
DECLINED = "4000000000000341"


@pytest.fixture(autouse=True)
def instructions(settings: Any) -> None:
    settings.PAYMENT_INSTRUCTIONS = "IBAN XX00 & <nothing else>"


def day(number: int) -> date:
    """So many days after it was to be paid."""
    return NEXT + timedelta(days=number)


@contextmanager
def few_queries(client: Client, path: str) -> Iterator[None]:
    client.get(path)  # what is made once for a session
    with CaptureQueriesContext(connection) as queries:
        yield
    assert len(queries) <= 10, "\n".join(query["sql"][:200] for query in queries)


def page(client: Client, path: str) -> str:
    with few_queries(client, path):
        answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def billing(anna: Customer, client: Client) -> str:
    return page(client, f"/c/{anna.username}/billing/")


def must_say(html: str, *parts: str) -> None:
    for part in parts:
        assert part in html, part


class TestNext:
    def test_with_a_card(self, anna: Customer, visa: CardOnFile, alice: User, as_: AsPerson) -> None:
        with on_day(day(-30)):
            html = billing(anna, as_(alice))
        must_say(
            html,
            '<time datetime="2028-03-15">15 March 2028</time>, for 59.00 USD',
            "Visa ending in 4242",
            "The invoice comes by mail on 8 March 2028.",
            "The card is charged on the day of the renewal.",
        )
        assert "Renewal to be paid" not in html

    def test_without_one(self, anna: Customer, alice: User, as_: AsPerson) -> None:
        with on_day(day(-30)):
            html = billing(anna, as_(alice))
        must_say(html, "No card", f'href="/c/{anna.username}/billing/cards/"', "You pay it by the day")

    def test_with_the_tax_of_today(self, anna: Customer, taxed: Any, alice: User, as_: AsPerson) -> None:
        with on_day(day(-30)):
            html = billing(anna, as_(alice))
        must_say(html, "for 70.21 USD (59.00 USD and VAT 19%)", "The tax is that of today")

    def test_where_the_tax_is_not_known(
        self, anna: Customer, taxed: Any, alice: User, as_: AsPerson, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(taxing, "known_rates", list)
        with on_day(day(-30)):
            must_say(billing(anna, as_(alice)), "for 59.00 USD and tax")

    def test_after_it_is_paid_the_next_one_is_named(
        self, anna: Customer, visa: CardOnFile, alice: User, as_: AsPerson
    ) -> None:
        live(anna, day(-8), day(0))
        with on_day(day(0)):
            html = billing(anna, as_(alice))
        must_say(html, "15 March 2029", "The invoice comes by mail on 8 March 2029.")
        assert "Renewal to be paid" not in html

    def test_a_service_of_one_who_has_ended_is_not_renewed(
        self, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        Customer.objects.filter(pk=anna.pk).update(ended_at=anna.created_at)
        with on_day(day(-30)):
            assert "Renews" not in billing(anna, as_(alice))


class TestOpen:
    def test_before_its_day(self, anna: Customer, visa: CardOnFile, alice: User, as_: AsPerson) -> None:
        live(anna, day(-8), day(-3))
        with on_day(day(-3)):
            client = as_(alice)
            for html in (billing(anna, client), page(client, newest(anna).get_absolute_url())):
                must_say(
                    html,
                    "Due on 15 March 2028",
                    'data-amount="59.00"',
                    "Visa 4242 is charged on 15 March 2028 (in 3 days).",
                    "Pay by card",
                    "IBAN XX00 &amp; &lt;nothing else&gt;",
                    newest(anna).label,
                )
                assert "stops" not in html

    def test_a_declined_card(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User, as_: AsPerson
    ) -> None:
        stripe.change(visa, number=DECLINED)
        live(anna, day(-8), day(3))
        with on_day(day(3)):
            client = as_(alice)
            invoice = page(client, newest(anna).get_absolute_url())
            for html in (billing(anna, client), invoice):
                must_say(
                    html,
                    "Overdue since 15 March 2028",
                    "We try Visa 4242 again on 20 March 2028 (in 2 days).",
                    "sending stops on 25 March 2028 (in 7 days)",
                )
        reason = newest(anna).charges.all()[0].reason
        assert reason
        for number, tried in ((1, "15 March 2028"), (2, "16 March 2028"), (3, "18 March 2028")):
            must_say(invoice, f"Visa 4242, declined on {tried}: {reason}")
            assert newest(anna).charges.count() >= number

    def test_what_is_stopped(self, stripe: StripeDesk, anna: Customer, alice: User, as_: AsPerson) -> None:
        live(anna, day(-8), day(12))
        with on_day(day(12)):
            html = billing(anna, as_(alice))
        must_say(
            html,
            "Sending is stopped since 25 March 2028, for all mailboxes.",
            "receiving stops on 8 April 2028 (in 12 days)",
            "Nothing is deleted.",
        )
        assert "Receiving is stopped" not in html
        live(anna, day(13), day(50))
        with on_day(day(50)):
            html = billing(anna, as_(alice))
        must_say(
            html,
            "Sending is stopped since 25 March 2028",
            "Receiving is stopped since 8 April 2028.",
            "the servers of its senders keep it",
            "Our staff have it and write to you.",
        )

    def test_what_staff_lifted_is_not_said_to_be_stopped(
        self, stripe: StripeDesk, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        live(anna, day(-8), day(12))
        with on_day(day(12)):
            anna.lift_suspension(by=sam, cause=SuspensionCause.UNPAID)
            assert "Sending is stopped" not in billing(anna, as_(alice))

    def test_after_paying_nothing_of_it_is_left(
        self, stripe: StripeDesk, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        live(anna, day(-8), day(12))
        with on_day(day(12)):
            pay(newest(anna), by=sam)
            client = as_(alice)
            for html in (billing(anna, client), page(client, newest(anna).get_absolute_url())):
                for over in ("Renewal to be paid", "Pay by card", "IBAN", "stopped"):
                    assert over not in html, over

    def test_a_reader_reads_it_and_is_offered_nothing(
        self, stripe: StripeDesk, anna: Customer, bob: User, as_: AsPerson
    ) -> None:
        anna.memberships.create(user=bob, role=Role.READER)
        live(anna, day(-8), day(1))
        with on_day(day(1)):
            html = billing(anna, as_(bob))
        must_say(html, "Overdue since 15 March 2028", "can pay by card here")
        assert "/pay/" not in html


def test_a_page_leads_to_stripe_by_the_policy_only_where_it_has_the_button(
    stripe: StripeDesk, anna: Customer, alice: User, as_: AsPerson, settings: Any
) -> None:
    path = f"/c/{anna.username}/billing/"
    with on_day(day(-30)):
        assert settings.STRIPE_CHECKOUT_ORIGIN not in as_(alice).get(path)["Content-Security-Policy"]
    live(anna, day(-8), day(0))
    with on_day(day(0)):
        for each in (path, newest(anna).get_absolute_url()):
            assert settings.STRIPE_CHECKOUT_ORIGIN in as_(alice).get(each)["Content-Security-Policy"]
