"""A coupon for the renewals of a service that runs: used on the page of billing, and removed while it is unused."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import AuditEntry, Customer, Role, User
from billing.models import CardOnFile, CouponUse, Invoice, Plan, Renewal, Subscription
from tests.billing.coupons import coupon
from tests.billing.renewed import BEGAN, NEXT, live, newest, on_day, pay
from tests.billing.stripe_desk import StripeDesk

AsPerson = Callable[[User], Client]
SOON = NEXT - timedelta(days=5)  # its invoice is issued


def send(client: Client, customer: Customer, code: str = "spring-20") -> Any:
    return client.post(f"/c/{customer.username}/billing/coupon/use/", {"coupon": code}, follow=True)


def drop(client: Client, customer: Customer) -> Any:
    return client.post(f"/c/{customer.username}/billing/coupon/drop/", follow=True)


def words(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


@pytest.fixture
def announced(service: Subscription, anna: Customer) -> Renewal:
    live(anna, NEXT - timedelta(days=7), SOON)
    return newest(anna)


class TestWorks:
    def test_for_the_next_renewals(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        made = coupon(periods=2)
        with on_day(BEGAN + timedelta(days=9)):
            client = as_(alice)
            assert "Use a coupon" in words(client.get(f"/c/{anna.username}/billing/"))
            html = words(send(client, anna))
        assert "Coupon SPRING-20, 20 % is taken off the price from 15 March 2028 on." in html
        assert "Coupon SPRING-20, 20 %: for 2 more years" in html
        assert "for 47.20 USD, instead of 59.00 USD" in html
        use = made.uses.get()
        assert (use.first_period, use.customer, use.by) == (1, anna, alice)
        entry = AuditEntry.objects.get(action="coupon.use")
        assert (entry.subject, entry.customer, entry.after["takes_off"]) == ("SPRING-20", anna, "20 %")

    def test_what_is_announced_is_issued_anew(
        self,
        stripe: StripeDesk,
        announced: Renewal,
        visa: CardOnFile,
        anna: Customer,
        alice: User,
        as_: AsPerson,
        django_assert_max_num_queries: Any,
    ) -> None:
        coupon(periods=1)
        with on_day(SOON):
            client = as_(alice)
            html = words(send(client, anna))
            with django_assert_max_num_queries(12):
                client.get(f"/c/{anna.username}/billing/")
        assert "Coupon SPRING-20, 20 %: for the renewal that is announced" in html
        assert "47.20 USD" in html
        renewal = newest(anna)
        assert (renewal.pk, renewal.amount_minor, renewal.discount_minor) == (announced.pk, 4720, 1180)
        notes = (
            Invoice.objects.filter(renewal=renewal).order_by("issued_at").values_list("kind", "total_minor")
        )
        assert list(notes) == [("invoice", 5900), ("credit_note", 5900), ("invoice", 4720)]
        live(anna, SOON, NEXT)
        assert newest(anna).settled_at
        assert stripe.kept_minor == 4720

    def test_for_the_plan_that_is_planned(self, service: Subscription, alice: User) -> None:
        planned = Plan.objects.get(slug="25gb")
        planned.yearly_minor, planned.storage_mb = 1000, 1024
        planned.save()
        coupon("OLD").plans.add(service.plan)
        coupon("DEAR", amount_minor=2000)
        coupon(percent=50).plans.add(planned)
        with on_day(BEGAN + timedelta(days=9)):
            assert service.change_plan(planned.present_version(), total_minor=0, by=alice)
            for code, why in (("OLD", "not for the plan 25 GB"), ("DEAR", "price of 10.00 USD")):
                with pytest.raises(ValidationError, match=why):
                    service.use_coupon(code, by=alice)
            service.use_coupon("SPRING-20", by=alice)
        live(service.customer, NEXT - timedelta(days=7), SOON)
        assert newest(service.customer).amount_minor == 500

    def test_twice_is_harmless(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        coupon()
        for _ in range(2):
            assert send(as_(alice), anna).status_code == 200
        assert CouponUse.objects.count() == AuditEntry.objects.filter(action="coupon.use").count() == 1

    @pytest.mark.parametrize("paid", [True, False])
    def test_one_that_has_begun_or_is_paid_in_part_stays_as_it_is(
        self, announced: Renewal, anna: Customer, alice: User, sam: User, as_: AsPerson, paid: bool
    ) -> None:
        coupon(periods=1)
        if paid:
            with on_day(SOON):
                pay(announced, "10.00", by=sam)
        with on_day(SOON if paid else NEXT + timedelta(days=2)):
            html = words(send(as_(alice), anna))
        assert "from 15 March 2029 on" in html
        assert newest(anna).amount_minor == 5900
        assert CouponUse.objects.get().first_period == 2


class TestRefused:
    def test_it_says_why_and_keeps_what_was_entered(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        coupon("DEAR", amount_minor=5900)
        for code, why in (
            ("NOSUCH", "We do not know this coupon"),
            ("DEAR", "does not fit a price of 59.00 USD"),
        ):
            answer = send(as_(alice), anna, code)
            assert answer.status_code == 422
            assert why in words(answer)
            assert f'value="{code}"' in answer.content.decode()
        assert not CouponUse.objects.exists()

    def test_another_one_only_after_it(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        coupon()
        coupon("OTHER-1")
        send(as_(alice), anna)
        answer = send(as_(alice), anna, "OTHER-1")
        assert answer.status_code == 422
        assert "The coupon SPRING-20 still holds." in words(answer)

    def test_nothing_is_renewed_of_what_is_cancelled(
        self, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        coupon()
        service.cancel(by=alice)
        assert "there is no renewal that could be cheaper" in words(send(as_(alice), anna))
        assert not CouponUse.objects.exists()

    def test_an_invoice_is_not_issued_for_ever(
        self, announced: Renewal, service: Subscription, anna: Customer, alice: User
    ) -> None:
        coupon()
        with on_day(SOON):
            for _ in range(2):
                service.use_coupon("SPRING-20", by=alice)
                service.drop_coupon(by=alice)
            service.use_coupon("SPRING-20", by=alice)
            with pytest.raises(ValidationError, match="was issued 6 times"):
                service.drop_coupon(by=alice)
        assert CouponUse.objects.filter(given_back_at=None).count() == 1


class TestDropped:
    def test_works(self, announced: Renewal, anna: Customer, alice: User, as_: AsPerson) -> None:
        made = coupon(most_uses=1)
        with on_day(SOON):
            client = as_(alice)
            assert "Remove the coupon" in words(send(client, anna))
            html = words(drop(client, anna))
            assert "The coupon is removed." in html
            assert (newest(anna).amount_minor, newest(anna).discount_minor) == (5900, 0)
            assert made.uses.get().given_back_at
            drop(client, anna)
            assert AuditEntry.objects.filter(action="coupon.drop").count() == 1
            assert "still" not in words(send(client, anna))
        assert newest(anna).amount_minor == 4720

    def test_one_that_was_used_stays(
        self, announced: Renewal, anna: Customer, alice: User, sam: User, as_: AsPerson
    ) -> None:
        coupon()
        with on_day(SOON):
            client = as_(alice)
            send(client, anna)
            pay(newest(anna), by=sam)
            assert "Remove the coupon" not in words(client.get(f"/c/{anna.username}/billing/"))
            assert "This coupon has been used, so it stays." in words(drop(client, anna))
        assert CouponUse.objects.get().given_back_at is None


class TestWho:
    def test_a_stranger_gets_404(
        self, service: Subscription, anna: Customer, mallory: User, as_: AsPerson
    ) -> None:
        assert send(as_(mallory), anna).status_code == drop(as_(mallory), anna).status_code == 404

    @pytest.mark.parametrize(("role", "status"), [(Role.READER, 403), (Role.BILLING, 200)])
    def test_of_members_those_of_billing(
        self, service: Subscription, anna: Customer, bob: User, as_: AsPerson, role: Role, status: int
    ) -> None:
        coupon()
        anna.memberships.create(user=bob, role=role)
        assert send(as_(bob), anna).status_code == status
        page = words(as_(bob).get(f"/c/{anna.username}/billing/"))
        assert ("Remove the coupon" in page) == (status == 200)
        assert "Use a coupon" not in page

    def test_guesses_are_counted(
        self, settings: Any, service: Subscription, anna: Customer, alice: User, as_: AsPerson
    ) -> None:
        assert {"billing:coupon-use", "billing:order-place"} <= settings.FORM_LIMITS.keys()
        settings.FORM_LIMITS = {"billing:coupon-use": {"person": 2}}
        statuses = [send(as_(alice), anna, f"GUESS-{number}").status_code for number in range(3)]
        assert statuses == [422, 422, 429]
