"""Having back a service that has ended, by one button."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import AuditEntry, Customer, User
from billing import card_payments, stripe_customers
from billing.entitlements import Feature, limit
from billing.models import CardOnFile, FreeMonths, Order, PriceChanged, Renewal, RenewalKind, Subscription
from billing.submissions import Submission, new_token
from tests.billing.renewed import NEXT, begin, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import StripeDesk, catch_up, mails
from tests.billing.test_free_months_give import give as give_months
from tests.billing.test_free_months_give import must_add_up, page_of

AsPerson = Callable[[User], Client]
BILLING = "/c/annaexampl/billing/"
URL, KEEP = f"{BILLING}come-back/", f"{BILLING}plan/keep/"


def day(number: int) -> date:
    return NEXT + timedelta(days=number)


def again(service: Subscription) -> Subscription:
    return Subscription.objects.get(pk=service.pk)


def end_now(service: Subscription, by: User, on: date) -> None:
    with on_day(on):
        again(service).cancel(by=by, at_once=True)


@pytest.fixture
def ended(service: Subscription, anna: Customer, alice: User) -> Subscription:
    """Cancelled, and over on 15 March 2028."""
    with on_day(day(-30)):
        again(service).cancel(by=alice)
    live(anna, day(0), day(0))
    assert again(service).ended_at
    return again(service)


def stopped(customer: Customer) -> bool:
    """Whether mail servers are told to stop."""
    return bool(customer.service_stops.filter(lifted_at=None).exists())  # type: ignore[attr-defined]


class TestWorks:
    def test_the_card_is_named_and_nobody_charges_it_who_does_not_prove_who_they_are(
        self,
        stripe: StripeDesk,
        visa: CardOnFile,
        ended: Subscription,
        anna: Customer,
        alice: User,
        as_: AsPerson,
    ) -> None:
        with on_day(day(5)):
            client = as_(alice)
            assert "Visa ending in 4242 is charged at once" in " ".join(
                client.get(BILLING).content.decode().split()
            )
            session = client.session
            methods = "account_authentication_methods"
            session[methods] = [{**each, "at": 1} for each in session[methods]]
            session.save()
            answer = client.post(URL, {"total_minor": 5900})
            assert "reauthenticate" in answer["Location"]
            sweep(anna)
        assert stripe.charges == 0

    @pytest.mark.parametrize(("sent_back", "costs"), [(5900, 5900), (2950, 5900), (2949, 0)])
    def test_what_was_sent_back_is_not_had_for_nothing(
        self, service: Subscription, anna: Customer, alice: User, sam: User, sent_back: int, costs: int
    ) -> None:
        with on_day(day(-31)):
            service.order.refund(
                way="bank_transfer", amount_minor=sent_back, reason="It was down", reference="R-9",
                submission=Submission(new_token(), "", True), by=sam,
            )  # fmt: skip
        end_now(service, alice, day(-30))
        with on_day(day(-20)):
            assert again(service).return_quote().total_minor == costs

    def test_while_it_is_paid_it_runs_at_once(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        end_now(service, alice, day(-30))
        assert stopped(anna)
        with on_day(day(-20)):
            page = as_(alice).get(BILLING).content.decode()
            assert "It is paid until 15 March 2028." in page
            assert as_(alice).post(URL, {"total_minor": 0})["Location"] == BILLING
            (told,) = mails("subscription.back")
            assert "runs again" in told.body
            assert not mails("subscription.ended")
            assert "Change plan" in as_(alice).get(BILLING).content.decode()
        anna.refresh_from_db()
        assert anna.status == "active"
        assert not stopped(anna)
        assert limit(anna, Feature.STORAGE_MB) == 10240
        assert not again(service).cancellation
        live(anna, day(-8), day(-7))
        assert newest(anna).from_on == NEXT

    def test_later_a_period_is_sold_from_that_day_on(
        self, ended: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        with on_day(day(5)):
            page = as_(alice).get(BILLING).content.decode()
            assert "from today until 20 March 2029: 59.00 USD" in page
            answer = as_(alice).post(URL, {"total_minor": 5900})
            made = newest(anna)
            assert answer["Location"] == made.get_absolute_url()
            assert stopped(anna)
            assert limit(anna, Feature.STORAGE_MB) == 0
            page = as_(alice).get(BILLING).content.decode()
            assert "Restart of the service to be paid" in page
            assert f"the moment the invoice {made.label} is paid" in page
            (told,) = mails("renewal.coming")
            assert "for the restart of the service of" in told.body
            pay(made, by=sam)
            (told,) = mails("renewal.paid")
            assert "is back: mail is sent and received again" in told.body
        anna.refresh_from_db()
        assert anna.status == "active"
        assert not stopped(anna)
        assert (again(ended).periods, again(ended).renews_on) == (2, date(2029, 3, 20))
        live(anna, date(2029, 3, 12), date(2029, 3, 13))
        assert (newest(anna).from_on, newest(anna).until_on) == (date(2029, 3, 20), date(2030, 3, 20))

    def test_a_card_on_file_is_charged(
        self,
        stripe: StripeDesk,
        service: Subscription,
        anna: Customer,
        visa: CardOnFile,
        alice: User,
        as_: AsPerson,
    ) -> None:
        with on_day(day(-30)):
            again(service).cancel(by=alice)
        live(anna, day(0), day(0))
        with on_day(day(5)):
            as_(alice).post(URL, {"total_minor": 5900})
            sweep(anna)
        assert (stripe.charges, stripe.kept_minor) == (1, 5900)
        assert not again(service).ended_at

    def test_days_that_were_used_and_not_paid_are_paid_with_it(
        self, service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        """Twelve days of 365 of a period of 59.00 USD."""
        live(anna, day(-8), day(12))
        with on_day(day(12)):
            page = " ".join(as_(alice).get(f"{BILLING}cancel/").content.decode().split())
            assert (
                "If you have it back later, the days since then are paid with it: 1.94 USD without tax today."
                in page
            )
        end_now(service, alice, day(12))
        with on_day(day(13)):
            (told,) = mails("subscription.ended")
            assert (
                "The days from 15 March 2028 to 26 March 2028 were used and not paid: they are paid with it."
                in told.body
            )
            page = " ".join(as_(alice).get(BILLING).content.decode().split())
            assert (
                "and the days from 15 March 2028 to 26 March 2028, which were used and not paid: 60.94 USD"
                in page
            )
            assert "1.94 USD of it are for those days." in page
            with pytest.raises(PriceChanged):
                again(service).come_back(total_minor=5900, by=alice)
            assert as_(alice).post(URL, {"total_minor": 6094}).status_code == 302
            made = newest(anna)
            lines = [(each.from_on, each.until_on, each.net_minor) for each in made.invoice.said.lines]  # type: ignore[union-attr]
            assert lines == [(day(13), date(2029, 3, 27), 5900), (NEXT, day(11), 194)]
            pay(made, by=sam)
        assert again(service).renews_on == date(2029, 3, 28)
        assert not anna.suspensions.in_force().exists()
        live(anna, date(2029, 3, 20), date(2029, 3, 21))
        assert (newest(anna).number, newest(anna).total_minor) == (2, 5900)

    def test_it_is_the_price_of_the_period_at_most_and_paid_once(
        self, unpaid: Order, alice: User, sam: User
    ) -> None:
        own = begin(unpaid, on=date(2028, 2, 15), by=sam, period="monthly")
        Subscription.objects.filter(pk=own.pk).update(amount_minor=590)
        with on_day(NEXT):
            again(own).renew()
        for on in (day(40), day(50)):
            with on_day(on):
                again(own).cancel(by=alice, at_once=True)
                quote = again(own).return_quote()
                assert quote.unpaid
                assert (quote.total_minor, quote.unpaid.last_on) == (1180, date(2028, 4, 14))
                again(own).come_back(total_minor=1180, by=alice)
                again(own).keep_plan(by=alice)
        with on_day(day(51)):
            again(own).come_back(total_minor=1180, by=alice)
            pay(newest(own.customer), by=sam)
        with on_day(date(2028, 6, 5)):
            again(own).renew()
        with on_day(date(2028, 6, 8)):
            again(own).cancel(by=alice, at_once=True)
            assert again(own).return_quote().total_minor == 590 + 59  # three days of thirty

    def test_free_months_behind_it_come_in_its_place(
        self, service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        """So the days are not asked for, now or later, and the months are not given twice."""
        live(anna, day(-8), day(9))
        with on_day(day(10)):
            give_months(service, 1, by=sam)
            assert "days since then are paid with it" not in page_of(as_(alice), f"{BILLING}cancel/")
        end_now(service, alice, day(10))
        with on_day(day(11)):
            assert "were used and not paid" not in mails("subscription.ended")[-1].body
            quote = again(service).return_quote()
            assert (quote.total_minor, quote.until_on) == (0, date(2028, 4, 15))
            again(service).come_back(total_minor=0, by=alice)
            month = FreeMonths.objects.with_facts().get()
            assert month.why_they_stay == "They have begun, or are sold, so they stay."
        live(anna, day(12), day(25))
        with on_day(day(26)):
            pay(newest(anna), by=sam)
            assert newest(anna).from_on == date(2028, 4, 15)
            must_add_up(service)
            again(service).cancel(by=alice)
        live(anna, date(2029, 4, 15), date(2029, 4, 15))
        with on_day(date(2029, 4, 16)):
            assert again(service).return_quote().unpaid is None

    def test_what_ends_on_the_first_day_owes_nothing(
        self, service: Subscription, anna: Customer, alice: User
    ) -> None:
        live(anna, day(-8), day(0))
        end_now(service, alice, day(0))
        with on_day(day(0)):
            assert again(service).return_quote().total_minor == 5900

    def test_those_days_are_taxed_as_the_period_is(
        self, taxed: Any, service: Subscription, anna: Customer, alice: User
    ) -> None:
        live(anna, day(-8), day(12))
        end_now(service, alice, day(12))
        with on_day(day(12)):
            again(service).come_back(total_minor=7252, by=alice)
        document = newest(anna).invoice.said  # type: ignore[union-attr]
        assert [(each.net_minor, each.tax_minor) for each in document.lines] == [(5900, 1121), (194, 37)]
        assert (document.net_minor, document.tax_minor) == (6094, 1158)


def test_what_is_held_pays_it(
    stripe: StripeDesk,
    service: Subscription,
    anna: Customer,
    visa: CardOnFile,
    alice: User,
    sam: User,
    as_: AsPerson,
) -> None:
    live(anna, day(-8), day(-7))
    with on_day(day(-6)):
        renewal = newest(anna)
        again(service).cancel(by=alice)
        pay(renewal, "59.00", by=sam)  # too late, so it is held
    live(anna, day(0), day(0))
    with on_day(day(5)):
        page = " ".join(as_(alice).get(BILLING).content.decode().split())
        assert "It is paid at once with what we hold for you, and runs with that." in page
        as_(alice).post(URL, {"total_minor": 5900})
        sweep(anna)
    assert stripe.charges == 0
    assert (again(service).ended_at, again(service).renews_on) == (None, date(2029, 3, 20))


class TestFreeMonths:
    def test_those_to_come_come_behind_the_period_that_is_paid(
        self, service: Subscription, anna: Customer, alice: User, sam: User
    ) -> None:
        with on_day(day(-351)):
            given = [give_months(service, months, by=sam) for months in (4, 2)]
            service.order.refund(
                way="bank_transfer", amount_minor=2950, reason="It was down", reference="R-9",
                submission=Submission(new_token(), "", True), by=sam,
            )  # fmt: skip
            again(service).cancel(by=alice, at_once=True)
            again(service).come_back(total_minor=5900, by=alice)
            pay(newest(anna), by=sam)
        own = again(service)
        assert (own.periods, own.free_months, own.renews_on) == (2, 6, date(2028, 9, 30))
        shown = [(each.period, each.from_on) for each in own.free_to_come]
        assert shown == [(2, date(2028, 3, 30)), (2, date(2028, 7, 30))]
        with on_day(day(-350)):
            assert all(each.withdraw(by=sam) for each in reversed(given))
        assert again(service).renews_on == date(2028, 3, 30)

    def test_those_that_are_over_stay(
        self, service: Subscription, anna: Customer, alice: User, sam: User
    ) -> None:
        with on_day(day(-30)):
            given = give_months(service, 1, by=sam)
            again(service).cancel(by=alice)
        live(anna, date(2028, 4, 15), date(2028, 4, 15))
        with on_day(day(40)):
            again(service).come_back(total_minor=5900, by=alice)
            pay(newest(anna), by=sam)
            with pytest.raises(ValidationError, match="they stay"):
                given.withdraw(by=sam)
        own = again(service)
        assert (own.free_months, own.renews_on) == (0, date(2029, 4, 24))

    def test_those_behind_a_period_that_nobody_paid(
        self, service: Subscription, anna: Customer, alice: User, sam: User
    ) -> None:
        live(anna, day(-8), day(1))
        with on_day(day(2)):
            given = give_months(service, 1, by=sam)
            again(service).cancel(by=alice, at_once=True)
        with on_day(day(40)):
            again(service).come_back(total_minor=5900, by=alice)  # they came in its place, and are over
            pay(newest(anna), by=sam)
            with pytest.raises(ValidationError, match="they stay"):
                given.withdraw(by=sam)
        own = again(service)
        assert (own.free_months, own.renews_on) == (0, date(2029, 4, 24))


def test_a_stranger_gets_404(ended: Subscription, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).post(URL, {"total_minor": 5900}).status_code == 404
    assert not Renewal.objects.exists()


def test_a_reader_gets_403(ended: Subscription, anna: Customer, bob: User, as_: AsPerson) -> None:
    anna.add_member(bob, "reader", by=None)
    with on_day(day(5)):
        assert "Someone who may order" in as_(bob).get(BILLING).content.decode()
        assert as_(bob).post(URL, {"total_minor": 5900}).status_code == 403
    assert not Renewal.objects.exists()


def test_twice_is_harmless(
    service: Subscription, ended: Subscription, alice: User, as_: AsPerson, sam: User
) -> None:
    with on_day(day(5)):
        for _ in range(2):
            as_(alice).post(URL, {"total_minor": 5900})
        assert Renewal.objects.count() == 1
        pay(Renewal.objects.get(), by=sam)
        as_(alice).post(URL, {"total_minor": 5900})
    assert Renewal.objects.count() == 1
    assert AuditEntry.objects.filter(action="customer.come_back").count() == 1


@pytest.mark.parametrize("wrong", ["0", "5899", "", "x", "9" * 30])
def test_another_sum_changes_nothing(wrong: str, ended: Subscription, alice: User, as_: AsPerson) -> None:
    with on_day(day(5)):
        page = as_(alice).post(URL, {"total_minor": wrong}, follow=True).content.decode()
    assert "is not what you saw" in page
    assert not Renewal.objects.exists()


def test_not_paid_it_stays_ended(ended: Subscription, anna: Customer, alice: User) -> None:
    with on_day(day(5)):
        again(ended).come_back(total_minor=5900, by=alice)
    live(anna, day(5), day(13))
    assert newest(anna).taken_back_at
    assert not newest(anna).steps.exists()
    assert again(ended).ended_at
    with on_day(day(13), 13):
        (told,) = mails("renewal.lapsed")
        assert "The service stays ended." in told.body


def test_it_is_taken_back_and_what_was_paid_meanwhile_goes_back(
    stripe: StripeDesk, ended: Subscription, anna: Customer, alice: User, as_: AsPerson
) -> None:
    with on_day(day(5)):
        again(ended).come_back(total_minor=5900, by=alice)
        url = card_payments.pay_by_card(newest(anna), by=alice)
        as_(alice).post(KEEP)
        assert AuditEntry.objects.get(action="subscription.stay_ended").subject == "10 GB"
        assert not AuditEntry.objects.filter(action="subscription.keep_plan").exists()
        stripe.pay(url)
        catch_up()
        catch_up()
    assert (stripe.charges, stripe.kept_minor) == (1, 0)
    assert again(ended).ended_at


def test_after_the_days_it_is_for_staff(ended: Subscription, alice: User, as_: AsPerson) -> None:
    for on, words in ((day(60), "Have it back"), (day(61), "It ended too long ago")):
        with on_day(on):
            assert words in as_(alice).get(BILLING).content.decode()
    with on_day(day(61)):
        as_(alice).post(URL, {"total_minor": 5900})
    assert not Renewal.objects.exists()


def test_what_staff_have_stopped_stays(
    ended: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
) -> None:
    anna.suspend(reason="Spam was sent", by=sam)
    with on_day(day(5)):
        page = as_(alice).post(URL, {"total_minor": 5900}, follow=True).content.decode()
    assert "The reason: Spam was sent." in page
    assert not Renewal.objects.exists()


def test_with_tax(taxed: Any, ended: Subscription, alice: User, as_: AsPerson) -> None:
    with on_day(day(5)):
        assert "70.21 USD (59.00 USD and VAT 19%)" in as_(alice).get(BILLING).content.decode()
        as_(alice).post(URL, {"total_minor": 7021})
    assert (Renewal.objects.get().kind, Renewal.objects.get().total_minor) == (RenewalKind.RETURN, 7021)


def test_the_mail_about_the_end_says_until_when(ended: Subscription) -> None:
    with on_day(day(0), 13):
        (told,) = mails("subscription.ended")
    assert "Until 14 May 2028 you can have the service back" in told.body


def test_it_is_not_charged_while_staff_suspend_them(
    stripe: StripeDesk, service: Subscription, anna: Customer, visa: CardOnFile, alice: User, sam: User
) -> None:
    end_now(service, alice, day(-30))
    with on_day(day(5)):
        again(service).come_back(total_minor=5900, by=alice)
        anna.suspend(reason="Spam", by=sam)
        sweep(anna)
        assert stripe.charges == 0
        pay(newest(anna), by=sam)
        (told,) = mails("renewal.paid")
    assert "is paid for again, and everything is kept as it was." in told.body
    assert "Our staff have stopped your service for another reason" in told.body
    assert "received again" not in told.body
    assert "free again" not in told.body


def test_stripe_keeps_who_is_coming_back(
    stripe: StripeDesk, visa: CardOnFile, ended: Subscription, anna: Customer, alice: User
) -> None:
    Customer.objects.filter(pk=anna.pk).update(ended_at=ended.ended_at)
    with on_day(day(40)):
        again(ended).come_back(total_minor=5900, by=alice)
        assert stripe_customers.leave_ended() == 0
        again(ended).keep_plan(by=alice)
        assert stripe_customers.leave_ended() == 1
