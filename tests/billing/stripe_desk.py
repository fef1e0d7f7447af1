"""The stand-in for Stripe as tests use it: a person at its pages, its switches, and its webhooks in the test's hands."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from django.core import mail
from django.utils import timezone
from stripe import WebhookSignature

from accounts import notices
from accounts.models import Customer, Notice, User
from billing import (
    card_payments,
    card_refunds,
    card_setups,
    hosted_pages,
    kept_cards,
    stripe_customers,
    stripe_events,
)
from billing.models import CardOnFile, CardRefund, CardSetup, Checkout, StripeCustomer, StripeEvent
from deploy.stripe_stand_in.disputes import decide_dispute
from deploy.stripe_stand_in.payments import change_card, detach_method
from deploy.stripe_stand_in.refunds import create_refund
from deploy.stripe_stand_in.routes import delete_customer
from deploy.stripe_stand_in.server import Server

SECRET_KEY, WEBHOOK_SECRET = "sk_test_of_tests", "whsec_of_tests"
VISA = "4242424242424242"


class StripeDesk:
    """One stand-in, whose webhooks go nowhere by themselves."""

    def __init__(self, server: Server) -> None:
        self.server, self.books = server, server.books
        self.heard: list[str] = []
        take = server.take_fault
        server.take_fault = lambda call: self.heard.append(call) or take(call)  # type: ignore[func-returns-value, method-assign]

    def fail(self, on: str, *faults: str, **more: Any) -> None:
        """Let the next calls that begin so meet these faults, one after the other."""
        with self.books.lock:
            self.server.faults.add([{"on": on, "fault": fault, **more} for fault in faults])

    def pay(self, url: str, number: str = VISA, expiry: str = "12 / 40") -> requests.Response:
        """What a person does at the hosted page."""
        fields = {
            "email": "anna@example.test",
            "name": "Anna",
            "number": number,
            "expiry": expiry,
            "cvc": "123",
        }
        return requests.post(url, data=fields, allow_redirects=False, timeout=5)

    def authenticate(self, url: str, how: str = "complete") -> requests.Response:
        """What a person does in the window of 3-D Secure: `complete` or `fail` it."""
        return requests.post(url, data={"authentication": how}, allow_redirects=False, timeout=5)

    def change(self, card: CardOnFile, **wish: Any) -> None:
        """What a bank does to a card: it behaves as that of another `number`, or has a successor."""
        with self.books.lock:
            change_card(self.books, {"method": card.method, **wish})

    def detach(self, card: CardOnFile) -> None:
        """What somebody does in the dashboard."""
        with self.books.lock:
            detach_method(self.books, self.books.objects[card.method], {})

    def methods(self, customer: Customer) -> list[str]:
        """Ids of the cards that are kept for the customer there, newest first."""
        at_stripe = StripeCustomer.objects.get(customer=customer).stripe_id
        found = self.books.all("payment_method", customer=at_stripe) if at_stripe else []
        return [each["id"] for each in found]

    def delete(self, customer: Customer) -> None:
        """The customer, in the dashboard."""
        at_stripe = StripeCustomer.objects.get(customer=customer).stripe_id
        with self.books.lock:
            delete_customer(self.books, self.books.objects[at_stripe], {})

    def calls(self, begin: str) -> list[str]:
        """Those so far whose method and path begin so, oldest first."""
        return [call for call in self.heard if call.startswith(begin)]

    def send_by_hand(self, amount: int | None = None) -> dict[str, Any]:
        """What somebody does in the dashboard: a part of the last payment goes back, or all of it."""
        with self.books.lock:
            charge = self.books.all("charge", status="succeeded")[0]
            some = {} if amount is None else {"amount": amount}
            return create_refund(self.books, {"charge": charge["id"], **some})

    def decide(self, status: str) -> dict[str, Any]:
        """What a bank does with the last dispute that is open."""
        with self.books.lock:
            return decide_dispute(self.books, {"status": status})

    def sessions(self, *statuses: str) -> list[dict[str, Any]]:
        """Those that were made, newest first."""
        return [
            each for each in self.books.all("checkout.session") if not statuses or each["status"] in statuses
        ]

    def events(self) -> list[dict[str, Any]]:
        """All that happened, oldest first."""
        return list(reversed(self.books.all("event")))

    @property
    def kept_minor(self) -> int:
        """What was charged and not refunded, in all currencies."""
        return sum(each["charged"] - each["refunded"] for each in self.books.sums().values())

    @property
    def charges(self) -> int:
        return sum(each["charges"] for each in self.books.sums().values())


@contextmanager
def at_desk() -> Iterator[StripeDesk]:
    with Server("127.0.0.1", 0, SECRET_KEY, WEBHOOK_SECRET) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield StripeDesk(server)
        server.shutdown()


def save_card(
    stripe: StripeDesk, customer: Customer, by: User, number: str = VISA, expiry: str = "12 / 40"
) -> CardOnFile:
    """The card of that number, saved on Stripe's page, with 3-D Secure where it asks for it."""
    url = card_setups.add_card(customer, by=by)
    if "Your bank asks" in stripe.pay(url, number, expiry).text:
        stripe.authenticate(url)
    CardSetup.objects.update(looked_at=None)
    card = card_setups.learn_card(customer)
    assert card
    return card


def signed(event: dict[str, Any], *, secret: str = WEBHOOK_SECRET, at: int | None = None) -> tuple[str, str]:
    """The body and the signature with which Stripe sends an event."""
    body = json.dumps(event)
    return body, WebhookSignature.generate_signature_header(body, secret, at)


def catch_up() -> None:
    """What sweeps and workers do until nothing is left to do, as if time had passed."""
    for _ in range(4):
        CardRefund.objects.filter(sent_at=None, failed_at=None).update(next_try_at=timezone.now())
        StripeEvent.objects.filter(outcome="").update(next_try_at=timezone.now())
        Checkout.objects.filter(ended_at=None).update(next_look_at=timezone.now())
        CardSetup.objects.filter(ended_at=None).update(next_look_at=timezone.now())
        CardOnFile.objects.exclude(next_look_at=None).update(next_look_at=timezone.now())
        StripeCustomer.objects.exclude(next_try_at=None).update(next_try_at=timezone.now())
        for event in stripe_events.due_events():
            stripe_events.work_event(event)
        for checkout in hosted_pages.due_pages(Checkout):
            card_payments.look_at_checkout(checkout)
        for setup in hosted_pages.due_pages(CardSetup):
            card_setups.look_at_card_setup(setup)
        for card in kept_cards.due_cards():
            kept_cards.look_at_card(card)
        for row in stripe_customers.due_deletions():
            stripe_customers.delete_when_due(row)
        for refund in card_refunds.due_refunds():
            card_refunds.send_card_refund(refund)


def mails(kind: str) -> list[mail.EmailMessage]:
    """Those of a kind that are owed now, delivered."""
    mail.outbox.clear()
    for notice in Notice.objects.filter(kind=kind, sent_at=None):
        assert notices.deliver(notice.pk)
    return list(mail.outbox)
