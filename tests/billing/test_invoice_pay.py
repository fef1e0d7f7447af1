"""Paying a renewal by card on the page of its invoice: to Stripe's page and back, whatever happens meanwhile."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Customer, Role, User
from billing.models import Checkout, Invoice, Order, Payment, Renewal
from tests.billing.renewed import NEXT, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk, catch_up

AsPerson = Callable[[User], Client]
LATE = NEXT + timedelta(days=12)  # sending is stopped since two days


@pytest.fixture
def renewal(stripe: StripeDesk, anna: Customer) -> Iterator[Renewal]:
    """One that is not paid; it is twelve days late."""
    live(anna, NEXT - timedelta(days=7), LATE)
    with on_day(LATE):
        yield newest(anna)


def invoice_of(renewal: Renewal) -> Invoice:
    found = renewal.invoice
    assert found
    return found


def click(client: Client, renewal: Renewal) -> Any:
    return client.post(f"{renewal.get_absolute_url()}pay/")


def come_back(client: Client, renewal: Renewal) -> str:
    """The page as the browser shows it that comes back from Stripe."""
    Checkout.objects.update(looked_at=timezone.now() - timedelta(seconds=3))
    return " ".join(client.get(renewal.paid_path, follow=True).content.decode().split())


def page_of(client: Client, renewal: Renewal) -> str:
    return " ".join(client.get(renewal.get_absolute_url()).content.decode().split())


def test_works(
    stripe: StripeDesk, renewal: Renewal, anna: Customer, alice: User, as_: AsPerson, settings: Any
) -> None:
    client = as_(alice)
    assert "Pay by card" in page_of(client, renewal)
    assert anna.suspensions.in_force().get().stops == ["send"]
    answer = click(client, renewal)
    assert answer.status_code == 302
    assert answer["Location"].startswith(f"{stripe.books.base}/c/pay/cs_test_")
    back = stripe.pay(answer["Location"])
    assert back.headers["Location"] == f"{settings.PANEL_URL}{renewal.paid_path}"
    html = come_back(client, renewal)
    assert "Thank you, your payment is in." in html
    assert 'data-status="paid"' in html
    assert "Paid: card, Visa 4242" in html
    for over in ("Pay by card", "In another way", "Sending is stopped", "Reference</dt>"):
        assert over not in html, over
    assert stripe.kept_minor == 5900
    assert not anna.suspensions.in_force().exists()


def test_a_stranger_gets_404(stripe: StripeDesk, renewal: Renewal, mallory: User, as_: AsPerson) -> None:
    assert click(as_(mallory), renewal).status_code == 404
    assert as_(mallory).get(renewal.paid_path).status_code == 404
    assert not stripe.sessions()


def test_a_reader_gets_403(
    stripe: StripeDesk, renewal: Renewal, anna: Customer, bob: User, as_: AsPerson
) -> None:
    anna.memberships.create(user=bob, role=Role.READER)
    assert click(as_(bob), renewal).status_code == 403
    html = page_of(as_(bob), renewal)
    assert "can pay by card here" in html
    assert "Pay by card" not in html
    assert not stripe.sessions()


def test_twice_leads_to_the_same_page(
    stripe: StripeDesk, renewal: Renewal, alice: User, as_: AsPerson
) -> None:
    first, second = (click(as_(alice), renewal)["Location"] for _ in range(2))
    assert first == second
    assert len(stripe.sessions()) == 1


def test_what_is_paid_meanwhile_is_not_paid_again(
    stripe: StripeDesk, renewal: Renewal, alice: User, sam: User, as_: AsPerson
) -> None:
    pay(renewal, by=sam)
    client = as_(alice)
    answer = client.post(f"{renewal.get_absolute_url()}pay/", follow=True)
    assert answer.redirect_chain == [(renewal.get_absolute_url(), 302)]
    assert "No payment is due: the whole sum is in." in answer.content.decode()
    assert not stripe.sessions()


def test_what_is_paid_by_transfer_while_somebody_is_at_stripe_goes_back(
    stripe: StripeDesk, renewal: Renewal, alice: User, sam: User, as_: AsPerson
) -> None:
    url = click(as_(alice), renewal)["Location"]
    stripe.pay(url)
    pay(renewal, by=sam)
    come_back(as_(alice), renewal)
    catch_up()
    assert stripe.kept_minor == 0
    assert Payment.objects.filter(renewal=renewal).count() == 2


def test_another_sum_is_another_page(
    stripe: StripeDesk, renewal: Renewal, alice: User, sam: User, as_: AsPerson
) -> None:
    click(as_(alice), renewal)
    pay(renewal, "20.00", by=sam)
    html = page_of(as_(alice), renewal)
    assert 'data-amount="39.00"' in html
    stripe.pay(click(as_(alice), renewal)["Location"])
    assert "Thank you, your payment is in." in come_back(as_(alice), renewal)
    assert stripe.kept_minor == 3900


def test_who_comes_back_without_paying_is_told_so(
    stripe: StripeDesk, renewal: Renewal, alice: User, as_: AsPerson
) -> None:
    click(as_(alice), renewal)
    html = come_back(as_(alice), renewal)
    assert "Nothing was paid by card. You can try again, or pay in another way." in html
    assert "Pay by card" in html


def test_stripe_is_away_for_a_moment(
    stripe: StripeDesk, renewal: Renewal, alice: User, as_: AsPerson
) -> None:
    stripe.fail("POST /v1/checkout/sessions", "unreached")
    answer = as_(alice).post(f"{renewal.get_absolute_url()}pay/", follow=True)
    assert "try again in a minute" in answer.content.decode()
    url = click(as_(alice), renewal)["Location"]
    stripe.pay(url)
    stripe.fail("GET /v1/checkout/sessions", "unreached")
    assert "We have not heard from Stripe yet" in come_back(as_(alice), renewal)
    catch_up()
    assert newest(renewal.customer).settled_at


def test_an_orders_invoice_is_paid_on_the_orders_page(
    stripe: StripeDesk, unpaid: Order, alice: User, as_: AsPerson
) -> None:
    path = Invoice.objects.get(order=unpaid).get_absolute_url()
    assert as_(alice).post(f"{path}pay/").status_code == 404
    assert as_(alice).get(f"{path}paid/").status_code == 404
    assert not stripe.sessions()


@pytest.mark.parametrize("number", ["INV-2026-99999", "cn", "x" * 300])
def test_what_does_not_exist_is_not_there(acme: Customer, alice: User, as_: AsPerson, number: str) -> None:
    assert as_(alice).post(f"/c/acme/billing/invoices/{number}/pay/").status_code == 404


def test_without_a_key_nothing_is_offered(
    stripe: StripeDesk, renewal: Renewal, alice: User, as_: AsPerson, settings: Any
) -> None:
    settings.STRIPE_SECRET_KEY = ""
    html = page_of(as_(alice), renewal)
    assert "Pay by card" not in html
    assert "How to pay" in html
    assert invoice_of(renewal).number in html
    answer = as_(alice).post(f"{renewal.get_absolute_url()}pay/", follow=True)
    assert "This cannot be paid by card here." in answer.content.decode()


def test_somebody_who_is_suspended_may_pay(
    stripe: StripeDesk, renewal: Renewal, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    anna.suspend(reason="Spam", by=sam)
    assert click(as_(alice), renewal).status_code == 302
