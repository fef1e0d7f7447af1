"""Taking a dearer plan at once, for the difference of the days left."""

import threading
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEntry, Customer, User
from billing import card_payments, crediting, entitlements
from billing.entitlements import Feature, limit
from billing.models import CardOnFile, Invoice, Plan, PriceChanged, Renewal, RenewalKind, Subscription
from billing.periods import period_start
from billing.proration import for_days_left
from billing.submissions import Submission, new_token
from tests.billing.renewed import BEGAN, NEXT, live, newest, on_day, pay, sweep
from tests.billing.stripe_desk import StripeDesk, catch_up, mails
from tests.billing.test_credit_grant import grant

AsPerson = Callable[[User], Client]
BILLING = "/c/annaexampl/billing/"
CHOOSE, KEEP, TO = f"{BILLING}plan/", f"{BILLING}plan/keep/", f"{BILLING}plan/to/25gb/"
DAY_100 = NEXT - timedelta(days=100)  # so many of the 366 are left
COSTS = 1093  # 40.00 × 100 / 366, in cents


def again(service: Subscription) -> Subscription:
    return Subscription.objects.get(pk=service.pk)


def plan(slug: str = "25gb", **terms: Any) -> Any:
    """The version by which it is sold, with these terms."""
    found = Plan.objects.get(slug=slug)
    for name, value in terms.items():
        setattr(found, name, value)
    found.save()
    return found.present_version()


def upgrade(service: Subscription, by: User, total_minor: int = COSTS) -> Renewal:
    assert again(service).change_plan(plan(), total_minor=total_minor, by=by)
    return newest_upgrade()


def newest_upgrade() -> Renewal:
    return Renewal.objects.filter(kind=RenewalKind.UPGRADE).order_by("-made_at")[0]


class TestPaidWithCredit:
    def test_all_of_it(
        self,
        stripe: StripeDesk,
        service: Subscription,
        anna: Customer,
        visa: CardOnFile,
        alice: User,
        sam: User,
        as_: AsPerson,
    ) -> None:
        with on_day(DAY_100):
            grant(anna, COSTS, by=sam)
            page = " ".join(as_(alice).get(TO).content.decode().split())
            assert "It is paid at once with what we hold for you, and the plan changes with that." in page
            made = upgrade(service, alice)
            (told,) = mails("renewal.coming")
            assert told.subject.endswith("Change of plan: 10.93 USD, paid with your credit")
            assert "10.93 USD that we hold for you pay it today. You need not do anything." in told.body
            page = as_(alice).get(made.get_absolute_url()).content.decode()
            assert "10.93 USD that we hold for you pay it today" in page
            sweep(anna)
        assert again(service).plan.slug == "25gb"
        assert (stripe.charges, crediting.available(anna, "USD")) == (0, 0)

    def test_but_not_a_part(
        self,
        stripe: StripeDesk,
        service: Subscription,
        anna: Customer,
        visa: CardOnFile,
        alice: User,
        sam: User,
        as_: AsPerson,
    ) -> None:
        with on_day(DAY_100):
            grant(anna, COSTS - 1, by=sam)
            assert "is charged at once" in as_(alice).get(TO).content.decode()
            upgrade(service, alice)
            (told,) = mails("renewal.coming")
            assert "that we hold for you" not in told.body
            sweep(anna)
        assert again(service).plan.slug == "25gb"
        assert (stripe.kept_minor, crediting.available(anna, "USD")) == (COSTS, COSTS - 1)

    def test_a_late_transfer_for_one_that_was_taken_back(
        self, service: Subscription, anna: Customer, alice: User, sam: User
    ) -> None:
        with on_day(DAY_100):
            first = upgrade(service, alice)
            again(service).keep_plan(by=alice)
            upgrade(service, alice)
            sweep(anna)
            first.record_payment(
                method="bank_transfer", reference="R1", amount_minor=COSTS, currency="USD",
                submission=Submission(new_token(), "", True), by=sam,
            )  # fmt: skip
            sweep(anna)
        assert again(service).plan.slug == "25gb"


class TestWorks:
    def test_it_says_what_it_costs_and_holds_once_paid(
        self, service: Subscription, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        with on_day(DAY_100):
            page = as_(alice).get(CHOOSE)
            kinds = {option.plan.slug: option.kind for option in page.context["options"]}
            assert kinds["10gb"] == "own"
            assert kinds["25gb"] == "up"
            page = as_(alice).get(TO).content.decode()
            assert 'data-amount="10.93"' in page
            assert "until 15 March 2028" in page
            assert "<strong>99.00 USD</strong>" in page
            answer = as_(alice).post(TO, {"total_minor": COSTS})
            made = newest_upgrade()
            assert (answer.status_code, answer["Location"]) == (302, made.get_absolute_url())
            assert (made.amount_minor, made.from_on, made.until_on) == (COSTS, DAY_100, NEXT)
            assert made.title == "25 GB in place of 10 GB, yearly"
            assert limit(anna, Feature.STORAGE_MB) == 10240
            page = as_(alice).get(answer["Location"]).content.decode()
            assert "Change of plan to be paid" in page
            assert "If it is not paid by the end of 13 December 2027" in page
            assert "Change of plan to be paid" in as_(alice).get(BILLING).content.decode()
            (told,) = mails("renewal.coming")
            assert "for the change of plan of" in told.body
            pay(made, by=sam)
            assert limit(anna, Feature.STORAGE_MB) == 25600
            (told,) = mails("renewal.paid")
            assert "to 25 GB is paid, and holds from now on" in told.body
        live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=7))
        assert (newest(anna).amount_minor, newest(anna).plan.slug) == (9900, "25gb")
        acts = AuditEntry.objects.filter(action__startswith="subscription.").order_by("at")
        assert list(acts.values_list("action", flat=True)) == [
            "subscription.upgrade",
            "subscription.change_plan",
            "subscription.renew",
        ]

    def test_a_card_on_file_is_charged_at_once(
        self,
        stripe: StripeDesk,
        service: Subscription,
        anna: Customer,
        visa: CardOnFile,
        alice: User,
        as_: AsPerson,
    ) -> None:
        with on_day(DAY_100):
            assert "Visa ending in 4242 is charged at once" in as_(alice).get(TO).content.decode()
            as_(alice).post(TO, {"total_minor": COSTS})
            sweep(anna)
            assert (stripe.charges, stripe.kept_minor) == (1, COSTS)
            assert again(service).plan.slug == "25gb"

    def test_a_lost_reply_charges_once(
        self, stripe: StripeDesk, service: Subscription, anna: Customer, visa: CardOnFile, alice: User
    ) -> None:
        stripe.fail("POST /v1/payment_intents", "lost", "lost")
        with on_day(DAY_100):
            upgrade(service, alice)
        for hours in (12, 12.2, 13, 14):
            with on_day(DAY_100, hours):
                sweep(anna)
        assert (stripe.charges, stripe.kept_minor) == (1, COSTS)
        assert again(service).plan.slug == "25gb"

    def test_with_tax(self, taxed: Any, service: Subscription, alice: User, as_: AsPerson) -> None:
        with on_day(DAY_100):
            page = as_(alice).get(TO).content.decode()
            assert 'data-amount="13.01"' in page  # and 19 %: 2.0767
            as_(alice).post(TO, {"total_minor": 1301})
        assert (newest_upgrade().amount_minor, newest_upgrade().tax_minor) == (1093, 208)

    def test_a_missing_rate_is_told(
        self,
        taxed: Any,
        service: Subscription,
        alice: User,
        as_: AsPerson,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("billing.taxing.known_rates", lambda: ())
        with on_day(DAY_100):
            for answer in (as_(alice).get(TO), as_(alice).post(TO, {"total_minor": COSTS})):
                assert "We cannot work out the tax for this country" in answer.content.decode()
        assert again(service).plan.slug == "10gb"

    def test_what_was_announced_is_issued_anew(
        self, service: Subscription, anna: Customer, alice: User, sam: User
    ) -> None:
        live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=5))
        announced = newest(anna)
        with on_day(NEXT - timedelta(days=5)):
            pay(upgrade(service, alice, 55), by=sam)  # 40.00 × 5 / 366
            sweep(anna)
        announced.refresh_from_db()
        assert announced.taken_back_at
        assert (newest(anna).from_on, newest(anna).amount_minor) == (NEXT, 9900)

    def test_of_a_period_that_is_paid_ahead_the_difference_is_whole(
        self, service: Subscription, anna: Customer, alice: User, sam: User
    ) -> None:
        live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=3))
        with on_day(NEXT - timedelta(days=3)):
            pay(newest(anna), by=sam)
            made = upgrade(service, alice, 4033)
        assert made.until_on == period_start(BEGAN, "yearly", 2)

    def test_a_difference_that_no_card_could_pay_is_none(self, service: Subscription, alice: User) -> None:
        with on_day(NEXT - timedelta(days=4)):
            assert again(service).change_plan(plan(), total_minor=0, by=alice)  # 40.00 × 4 / 366 are 44 cents
        assert (again(service).plan.slug, Renewal.objects.count()) == ("25gb", 0)

    def test_a_difference_of_nothing(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        plan(yearly_minor=5901)
        with on_day(DAY_100):
            assert "the plan changes at once" in as_(alice).get(TO).content.decode()
            answer = as_(alice).post(TO, {"total_minor": 0})
            assert answer["Location"] == BILLING
            (told,) = mails("plan.changed")
        assert "from now on: 25 GB" in told.body
        assert limit(anna, Feature.STORAGE_MB) == 25600
        assert not Renewal.objects.exists()
        assert again(service).amount_minor == 5901


def test_a_stranger_gets_404(service: Subscription, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).get(CHOOSE).status_code == 404
    assert as_(mallory).post(TO, {"total_minor": 0}).status_code == 404
    assert as_(mallory).post(KEEP).status_code == 404


def test_a_reader_gets_403(service: Subscription, anna: Customer, bob: User, as_: AsPerson) -> None:
    anna.add_member(bob, "reader", by=None)
    assert as_(bob).get(TO).status_code == 403
    assert as_(bob).post(TO, {"total_minor": COSTS}).status_code == 403
    assert not Renewal.objects.exists()


def test_twice_is_harmless(service: Subscription, alice: User, as_: AsPerson) -> None:
    with on_day(DAY_100):
        for _ in range(2):
            assert as_(alice).post(TO, {"total_minor": COSTS}).status_code == 302
        assert Renewal.objects.count() == 1
        for _ in range(2):
            assert as_(alice).post(KEEP).status_code == 302
    assert AuditEntry.objects.filter(action="subscription.keep_plan").count() == 1


def test_the_sum_has_changed_meanwhile(service: Subscription, alice: User, as_: AsPerson) -> None:
    with on_day(DAY_100 + timedelta(days=1)):
        answer = as_(alice).post(TO, {"total_minor": COSTS})
    assert answer.status_code == 409
    assert 'data-amount="10.82"' in answer.content.decode()
    assert not Renewal.objects.exists()


@pytest.mark.parametrize("wrong", ["", "x", "-1", "1e9", "99999999999999999999", "1\r\n2", "\x00"])
def test_a_wrong_sum_changes_nothing(wrong: str, service: Subscription, alice: User, as_: AsPerson) -> None:
    assert as_(alice).post(TO, {"total_minor": wrong}).status_code == 422
    assert not Renewal.objects.exists()


def test_plans_that_are_not_open_are_unknown(service: Subscription, alice: User, as_: AsPerson) -> None:
    Plan.objects.filter(slug="25gb").update(is_open=False)
    assert as_(alice).get(TO).status_code == 404
    assert as_(alice).get(f"{BILLING}plan/to/none/").status_code == 404


class TestUnpaid:
    def test_it_is_taken_back_and_nothing_is_stopped(
        self, service: Subscription, anna: Customer, alice: User
    ) -> None:
        with on_day(DAY_100):
            made = upgrade(service, alice)
        live(anna, DAY_100, DAY_100 + timedelta(days=7))
        assert Renewal.objects.get(pk=made.pk).is_open
        live(anna, DAY_100 + timedelta(days=8), DAY_100 + timedelta(days=8))
        made.refresh_from_db()
        assert made.taken_back_at
        assert not made.steps.exists()
        assert not anna.suspensions.exists()
        assert again(service).plan.slug == "10gb"
        with on_day(DAY_100 + timedelta(days=8), 13):
            (told,) = mails("renewal.lapsed")
        assert "You keep 10 GB" in told.body
        assert (again(service).periods, again(service).renews_on) == (1, NEXT)

    def test_a_card_that_is_declined_is_not_tried_again(
        self, stripe: StripeDesk, service: Subscription, anna: Customer, visa: CardOnFile, alice: User
    ) -> None:
        stripe.change(visa, number="4000000000000341")
        with on_day(DAY_100):
            made = upgrade(service, alice)
        live(anna, DAY_100, DAY_100 + timedelta(days=9))
        assert made.charges.count() == 1
        assert Renewal.objects.get(pk=made.pk).taken_back_at
        assert not anna.suspensions.exists()

    def test_what_was_paid_on_a_page_that_was_open_goes_back(
        self, stripe: StripeDesk, service: Subscription, alice: User, as_: AsPerson
    ) -> None:
        with on_day(DAY_100):
            url = card_payments.pay_by_card(upgrade(service, alice), by=alice)
            as_(alice).post(KEEP)
            stripe.pay(url)
            catch_up()
            catch_up()
        assert (stripe.charges, stripe.kept_minor) == (1, 0)
        assert again(service).plan.slug == "10gb"

    def test_a_part_is_not_taken(self, service: Subscription, alice: User, sam: User) -> None:
        with on_day(DAY_100):
            made = upgrade(service, alice)
            with pytest.raises(ValidationError, match="in one sum"):
                pay(made, "5.00", by=sam)
            pay(made, by=sam)

    def test_the_next_period_is_sold_when_it_is_over(
        self, service: Subscription, anna: Customer, alice: User
    ) -> None:
        with on_day(NEXT - timedelta(days=5)):
            upgrade(service, alice, 55)
        live(anna, NEXT, NEXT)
        assert (newest(anna).from_on, newest(anna).amount_minor) == (NEXT, 5900)


class TestRefused:
    def refused(self, as_: AsPerson, alice: User, words: str, on: date = DAY_100) -> None:
        with on_day(on):
            page = as_(alice).get(TO)
            assert words in page.content.decode()
            assert page.context["quote"] is None
            before = Invoice.objects.count()
            assert as_(alice).post(TO, {"total_minor": COSTS}).status_code == 422
            assert Invoice.objects.count() == before

    def test_while_another_is_to_be_paid(self, service: Subscription, alice: User, as_: AsPerson) -> None:
        with on_day(DAY_100):
            again(service).change_plan(plan("50gb"), total_minor=2459, by=alice)
        self.refused(as_, alice, "The change to 50 GB is not paid yet.")

    def test_while_a_period_that_has_begun_is_unpaid(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        live(anna, NEXT - timedelta(days=8), NEXT + timedelta(days=1))
        self.refused(as_, alice, "The period that has begun is not paid yet.", NEXT + timedelta(days=1))

    def test_while_it_is_cancelled(self, service: Subscription, alice: User, as_: AsPerson) -> None:
        with on_day(DAY_100):
            again(service).cancel(by=alice)
        self.refused(as_, alice, "The service is cancelled.")

    def test_while_what_is_used_does_not_fit(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        plan(storage_mb=1024, mailboxes=0, domains=0)
        with on_day(DAY_100):
            entitlements.report_usage(anna, 2 << 30, service.started_at)
        anna.domains.create(name="anna.test")
        too_small = "25 GB is too small for what you use."
        words = (
            f"{too_small} It holds 1.0\xa0GB, and 2.0\xa0GB are used. It holds 0 domains, and 1 are there."
        )
        self.refused(as_, alice, words)

    def test_too_often(self, service: Subscription, alice: User, as_: AsPerson) -> None:
        with on_day(DAY_100):
            for _ in range(6):
                upgrade(service, alice)
                again(service).keep_plan(by=alice)
        self.refused(as_, alice, "too often")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_eight_at_once_one_succeeds(service: Subscription, alice: User, quiet_broker: None) -> None:
    versions = [plan(slug) for slug in ("25gb", "50gb", "100gb", "reseller100gb")]
    came: list[str] = []
    start = threading.Barrier(8)

    def change(number: int) -> None:
        try:
            version = versions[number % 4]
            total = again(service).plan_quote(version).total_minor
            start.wait(30)
            came.append("made" if again(service).change_plan(version, total_minor=total, by=alice) else "so")
        except (ValidationError, PriceChanged):
            came.append("refused")
        finally:
            connection.close()

    with on_day(DAY_100):
        threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(came) == ["made", *["refused"] * 6, "so"]
    assert Renewal.objects.count() == Invoice.objects.filter(renewal__isnull=False).count() == 1


@given(
    more=st.integers(0, 10**7),
    anchor=st.dates(date(2024, 1, 1), date(2032, 12, 31)),
    period=st.sampled_from(["monthly", "yearly"]),
    first=st.integers(0, 40),
    count=st.integers(1, 3),
    gone=st.integers(0, 400),
)
def test_a_part_of_a_period_is_what_fractions_say(
    more: int, anchor: date, period: str, first: int, count: int, gone: int
) -> None:
    starts = [period_start(anchor, period, first + number) for number in range(count + 1)]
    today = starts[0] + timedelta(days=gone)
    owed = 0
    for begins, ends in pairwise(starts):
        days = [begins + timedelta(days=number) for number in range((ends - begins).days)]
        left = sum(day >= today for day in days)
        owed += int(Fraction(more * left, len(days)) + Fraction(1, 2))  # half up, and never below zero
    assert for_days_left(more, today, starts) == owed
