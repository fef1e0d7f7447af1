"""The mails about renewals: each says what is to be paid, by when, what comes next, and how to act; to those who may order,
once, and not where it is over meanwhile.
"""

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import Customer, Notice, Role, User
from billing.invoice_pdf import invoice_pdf
from billing.models import CardOnFile, DunningKind, DunningStep, Subscription
from tests.billing.renewed import NEXT, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import StripeDesk, save_card
from tests.billing.stripe_desk import mails as delivered
from tests.billing.test_credit_grant import grant

NAME = 'Anna & "Sons" <b>'
INSTRUCTIONS = "IBAN XX00 & <nothing else>"
DECLINED, NEEDS_OWNER, EXPIRED = "4000000000000341", "4000002760003184", "4000000000000069"


@pytest.fixture(autouse=True)
def panel(settings: Any) -> None:
    settings.PANEL_URL = "https://panel.example"
    settings.PAYMENT_INSTRUCTIONS = INSTRUCTIONS


@pytest.fixture
def anna(service: Subscription) -> Customer:
    """Whose service it is, with a name that means something in HTML."""
    Customer.objects.filter(pk=service.customer_id).update(name=NAME)
    return Customer.objects.get(pk=service.customer_id)


def day(number: int) -> date:
    """So many days after it was to be paid."""
    return NEXT + timedelta(days=number)


def mails(kind: str) -> list[mail.EmailMessage]:
    """Those of a kind that are owed on this day, also since this very noon."""
    Notice.objects.filter(sent_at=None).update(next_attempt_at=timezone.now())
    return delivered(kind)


def at(number: int, kind: str) -> mail.EmailMessage:
    """The one mail of that kind that is owed on that day and goes to somebody; all are delivered."""
    with on_day(day(number)):
        (message,) = mails(kind)
        assert not mails(kind)
    must_be_plain(message)
    return message


def must_be_plain(message: mail.EmailMessage) -> None:
    """In the HTML nothing that somebody entered is markup; neither part has a hole or a stray tag of templates."""
    html = html_of(message)
    assert "<b>" not in html
    assert "<nothing" not in html
    assert NAME in message.body
    for part in (message.subject, message.body, html):
        assert "{{" not in part
        assert "{%" not in part
        assert "None" not in part
    assert "&amp;" not in message.body + message.subject
    assert "\n\n\n" not in message.body
    assert message.body.rstrip().endswith("https://panel.example/contact/")


def html_of(message: mail.EmailMessage) -> str:
    return str(message.alternatives[0][0])  # type: ignore[attr-defined]


def both(message: mail.EmailMessage) -> list[str]:
    """The text, and the HTML as it reads."""
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", html_of(message), flags=re.DOTALL)
    return [" ".join(message.body.split()), " ".join(text.replace("&amp;", "&").split())]


def must_say(message: mail.EmailMessage, *parts: str) -> None:
    for text in both(message):
        for part in parts:
            assert part in text, (part, text)


class TestComing:
    def test_with_a_card(self, anna: Customer, visa: CardOnFile) -> None:
        live(anna, day(-8), day(-7))
        message, invoice = at(-7, "renewal.coming"), newest(anna).invoice
        assert invoice
        assert message.subject == "Your service renews on 15 March 2028: 59.00 USD"
        assert message.attachments == [
            (f"{invoice.number}.pdf", invoice_pdf(invoice.said), "application/pdf")
        ]
        must_say(
            message,
            invoice.number,
            "15 March 2028 to 14 March 2029",
            "59.00 USD",
            "Visa ending in 4242 is charged on 15 March 2028 (in 7 days)",
        )
        assert "IBAN" not in message.body
        for part in (message.body, html_of(message)):
            assert f"https://panel.example/c/{anna.username}/billing/cards/" in part
            assert f"https://panel.example{invoice.get_absolute_url()}" in part

    def test_without_one(self, stripe: StripeDesk, anna: Customer) -> None:
        live(anna, day(-8), day(-7))
        message = at(-7, "renewal.coming")
        assert message.subject == "Please pay 59.00 USD by 15 March 2028"
        must_say(message, "there is no card to charge", "by card, on the page of the invoice", "IBAN XX00")
        must_say(message, "A card that you add", "Reference")
        assert f"Reference: {newest(anna).label}" in message.body
        assert "See the invoice and pay" in html_of(message)

    def test_where_cards_are_not_taken_nothing_of_them_is_said(self, anna: Customer, settings: Any) -> None:
        settings.STRIPE_SECRET_KEY = ""
        live(anna, day(-8), day(-7))
        message = at(-7, "renewal.coming")
        must_say(message, "IBAN XX00")
        for text in both(message):
            assert "A card" not in text
            assert "by card" not in text

    def test_with_tax(self, taxed: Any, anna: Customer) -> None:
        live(anna, day(-8), day(-7))
        must_say(at(-7, "renewal.coming"), "70.21 USD (59.00 USD and VAT 19%)")

    def test_the_invoice_goes_out_also_where_it_is_paid_already(self, anna: Customer, sam: User) -> None:
        live(anna, day(-8), day(-7))
        with on_day(day(-7)):
            pay(newest(anna), by=sam)
        message = at(-7, "renewal.coming")
        assert message.subject.endswith("59.00 USD, paid")
        assert message.attachments
        must_say(message, "There is nothing to pay any more.")
        assert "IBAN" not in message.body

    def test_what_credit_pays_is_not_asked_for(self, stripe: StripeDesk, anna: Customer, sam: User) -> None:
        grant(anna, 1000, by=sam)
        live(anna, day(-8), day(-7))
        message = at(-7, "renewal.coming")
        assert message.subject == "Please pay 49.00 USD by 15 March 2028"
        must_say(message, "10.00 USD that we hold for you pay a part of it", "49.00 USD are to be paid by")
        must_say(message, "IBAN XX00")
        assert "Amount: 49.00 USD" in message.body

    def test_nothing_is_asked_for_where_credit_pays_all(
        self, stripe: StripeDesk, anna: Customer, sam: User
    ) -> None:
        grant(anna, 10_000, by=sam)
        live(anna, day(-8), day(-7))
        message = at(-7, "renewal.coming")
        assert message.subject == "Your service renews on 15 March 2028, paid with your credit"
        must_say(message, "59.00 USD that we hold for you pay it", "You need not do anything.")
        assert "IBAN" not in message.body

    def test_of_one_that_is_taken_back_the_credit_note_tells(
        self, anna: Customer, alice: User, service: Subscription
    ) -> None:
        live(anna, day(-8), day(-7))
        with on_day(day(-7), 13):
            Subscription.objects.get(pk=service.pk).cancel(by=alice)
            assert newest(anna).is_over
            assert not mails("renewal.coming")

    def test_those_who_get_a_copy_are_told_the_same_state(self, anna: Customer) -> None:
        from billing.models.billing_details import details_of

        details = details_of(anna)
        details.recipients = ["books@example.test"]
        details.save()
        live(anna, day(-8), day(-7))
        with on_day(day(-7)):
            number = newest(anna).label
            (message,) = [each for each in mails("invoice.copied") if number in each.subject]
        assert message.to == ["books@example.test"]
        must_say(message, "Those who may order have a mail about how it is paid.")


class TestPaid:
    def test_by_card(self, anna: Customer, visa: CardOnFile) -> None:
        live(anna, day(-8), day(0))
        message = at(0, "renewal.paid")
        assert message.subject == "Thank you: 10 GB is paid for 15 March 2028 to 14 March 2029"
        must_say(message, "59.00 USD (card, Visa 4242)", "The next renewal is on 15 March 2029.")
        assert "What was stopped" not in message.body

    def test_in_two_parts_after_something_was_stopped(self, anna: Customer, sam: User) -> None:
        live(anna, day(-8), day(12))
        with on_day(day(12)):
            pay(newest(anna), "30.00", by=sam)
            pay(newest(anna), by=sam)
        message = at(12, "renewal.paid")
        must_say(message, "30.00 USD (bank transfer)", "29.00 USD (bank transfer)")
        must_say(message, "What was stopped goes on now, where it had been.")
        assert "deferred" not in message.body

    def test_after_receiving_was_stopped_too(self, anna: Customer, sam: User) -> None:
        live(anna, day(-8), day(24))
        with on_day(day(24)):
            pay(newest(anna), by=sam)
        must_say(
            at(24, "renewal.paid"), "Mail that was deferred comes in as the servers of its senders try again."
        )

    def test_what_staff_stopped_is_not_said_to_go_on(self, anna: Customer, sam: User) -> None:
        live(anna, day(-8), day(12))
        anna.suspend(reason="Spam", by=sam)
        with on_day(day(12)):
            pay(newest(anna), by=sam)
        message = at(12, "renewal.paid")
        must_say(message, "Our staff have stopped your service for another reason")
        assert "goes on now" not in message.body


class TestDeclined:
    def test_it_says_why_and_when_it_is_tried_again(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile
    ) -> None:
        stripe.change(visa, number=DECLINED)
        live(anna, day(-8), day(0))
        message = at(0, "renewal.declined")
        assert message.subject == "Visa 4242 was declined: 59.00 USD are to be paid"
        charge = newest(anna).charges.get()
        assert charge.reason
        must_say(
            message,
            charge.reason,
            "We try Visa 4242 again on 16 March 2028 (tomorrow).",
            "sending stops on 25 March 2028 (in 10 days)",
            "IBAN XX00",
            newest(anna).label,
        )
        assert f"https://panel.example{newest(anna).get_absolute_url()}" in message.body
        assert f"https://panel.example/c/{anna.username}/billing/cards/" in message.body
        assert "Pay now" in html_of(message)

    def test_where_the_bank_wants_to_hear_from_the_owner(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile
    ) -> None:
        stripe.change(visa, number=NEEDS_OWNER)
        live(anna, day(-8), day(0))
        message = at(0, "renewal.declined")
        assert message.subject == "Your bank wants to hear from you: 59.00 USD are to be paid"
        must_say(message, "where your bank asks you to confirm")

    def test_a_card_that_is_not_tried_again(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile
    ) -> None:
        stripe.change(visa, number=EXPIRED)
        live(anna, day(-8), day(0))
        must_say(at(0, "renewal.declined"), "Visa 4242 is not tried again by itself")

    def test_only_the_last_one_is_told(self, stripe: StripeDesk, anna: Customer, visa: CardOnFile) -> None:
        stripe.change(visa, number=DECLINED)
        live(anna, day(-8), day(3))
        assert Notice.objects.filter(kind="renewal.declined").count() == 3
        must_say(at(3, "renewal.declined"), "again on 20 March 2028 (in 2 days)")

    def test_nobody_hears_of_it_where_another_card_has_paid(
        self, stripe: StripeDesk, anna: Customer, visa: CardOnFile, alice: User
    ) -> None:
        stripe.change(visa, number=EXPIRED)
        live(anna, day(-8), day(0))
        with on_day(day(0)):
            save_card(stripe, anna, alice, "5555555555554444").make_default(by=alice)
            sweep(anna)
            assert not mails("renewal.declined")
        must_say(at(0, "renewal.paid"), "59.00 USD (card, Mastercard 4444)")


STEPS = {
    DunningKind.REMINDED: (0, "Please pay 59.00 USD for", ["to be paid now, and there is no card to charge"]),
    DunningKind.SENDING_ANNOUNCED: (
        7,
        "Sending stops on 25 March 2028 (in 3 days): 59.00 USD are not paid",
        ["can send from that day on. Receiving goes on."],
    ),
    DunningKind.SENDING_STOPPED: (
        10,
        "Sending is stopped: 59.00 USD are not paid",
        ["Mail still comes in. Nothing is deleted.", "the moment the money is in", "receiving stops on 8 April 2028"],
    ),
    DunningKind.RECEIVING_ANNOUNCED: (
        21,
        "Receiving stops on 8 April 2028 (in 3 days): 59.00 USD are not paid",
        ["Sending is stopped already.", "the servers of its senders keep it", "Nothing is deleted."],
    ),
    DunningKind.RECEIVING_STOPPED: (
        24,
        "Receiving is stopped: 59.00 USD are not paid",
        ["sends or receives now", "the servers of its senders keep it", "Nothing is deleted.", "Our staff look at it"],
    ),
    DunningKind.HANDED_OVER: (
        45,
        "Still not paid: 59.00 USD for",
        ["Our staff look at it now and will write to you. Nothing is deleted.", "the moment the money is in"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DunningKind)
def test_each_step_is_told(stripe: StripeDesk, anna: Customer, kind: DunningKind) -> None:
    number, subject, parts = STEPS[kind]
    live(anna, day(-8), day(number))
    assert DunningStep.objects.order_by("pk").last().kind == kind  # type: ignore[union-attr]
    message = at(number, "renewal.overdue")
    assert message.subject.startswith(subject)
    must_say(message, *parts, "IBAN XX00", "15 March 2028 to 14 March 2029")
    assert f"Reference: {newest(anna).label}" in message.body
    assert f"https://panel.example{newest(anna).get_absolute_url()}" in message.body
    assert message.to == ["alice@example.test"]


def test_staff_who_may_record_payments_are_told_at_the_end(anna: Customer, sam: User) -> None:
    live(anna, day(-8), day(44))
    assert not Notice.objects.filter(kind="renewal.handed_over").exists()
    live(anna, day(45), day(46))
    with on_day(day(46)):
        (message,) = mails("renewal.handed_over")
    assert message.to == [sam.email]
    assert message.subject == f"{anna.username} has not paid 59.00 USD"
    must_say(message, "was to be paid by 15 March 2028", "you may record payments")
    assert f"https://panel.example/admin/renewals/{newest(anna).label}/" in message.body


def test_only_who_may_order_gets_them(anna: Customer, bob: User, carol: User) -> None:
    anna.memberships.create(user=bob, role=Role.READER)
    anna.memberships.create(user=carol, role=Role.BILLING)
    live(anna, day(-8), day(0))
    for kind in ("renewal.coming", "renewal.overdue"):
        assert at(0, kind).to == ["alice@example.test", "carol@example.test"]


@pytest.mark.parametrize("kind", ["renewal.overdue", "renewal.handed_over"])
def test_who_has_paid_meanwhile_gets_none(anna: Customer, sam: User, kind: str) -> None:
    live(anna, day(-8), day(45))
    assert Notice.objects.filter(kind=kind).exists()
    with on_day(day(45)):
        pay(newest(anna), by=sam)
        assert not mails(kind)
