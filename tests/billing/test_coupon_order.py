"""A coupon on the order form: what it takes off is shown before anything is sent, and why one cannot be used."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from billing.models import Coupon, CouponUse, Order, OrderDraft, Plan, Subscription
from tests.billing.conftest import check, fresh
from tests.billing.coupons import coupon
from tests.billing.renewed import pay
from tests.billing.stripe_desk import StripeDesk
from tests.faults import kills

AsPerson = Callable[[User], Client]
AT_ONCE = kills(8, 50)


def words(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def error(answer: Any) -> str:
    found = re.search(r'id="id_coupon_error"[^>]*>(.*?)</ul>', answer.content.decode(), re.S)
    assert found, "no error at the coupon"
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


def reviewed(client: Client, fields: dict[str, str]) -> Any:
    """What the button Review leads to."""
    return client.post("/order/", fields | {"step": "review"}, follow=True)


class TestWorks:
    def test_both_prices_are_shown_before_anything_is_sent(
        self, taxed: Any, as_: AsPerson, mallory: User, fields: dict[str, str]
    ) -> None:
        coupon()
        shown = words(reviewed(as_(mallory), fields | {"coupon": " spring-20 "}))
        assert "Without the coupon 59.00 USD a year, with tax 70.21 USD" in shown
        assert "SPRING-20 takes off 11.80 USD" in shown
        assert "For the first 2 years; then the full price." in shown
        assert "Without tax 47.20 USD VAT 19% 8.97 USD Total 56.17 USD a year" in shown
        assert not CouponUse.objects.exists()

    def test_without_tax(self, as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
        coupon("OFF5", amount_minor=500, periods=None)
        shown = words(reviewed(as_(mallory), fields | {"coupon": "OFF5", "period": "monthly"}))
        assert "Without the coupon 5.90 USD a month Coupon OFF5 takes off 5.00 USD For every month." in shown
        assert "0.90 USD a month" in shown

    def test_the_order_costs_less_and_so_does_its_invoice(
        self, taxed: Any, as_: AsPerson, mallory: User, sam: User, fields: dict[str, str], settings: Any
    ) -> None:
        settings.FRAUDRECORD_API_KEY = ""
        coupon()
        client = as_(mallory)
        assert client.post("/order/", fields | {"coupon": "Spring-20"}).status_code == 302
        order = check(Order.objects.get())
        assert (order.amount_minor, order.discount_minor, order.tax_minor) == (4720, 1180, 897)
        use = order.coupon_use
        assert use
        assert (use.code, use.percent, use.periods, use.by, use.first_period) == (
            "SPRING-20",
            20,
            2,
            mallory,
            0,
        )
        assert "11.80 USD off 59.00 USD" in AuditEntry.objects.get(action="order.place").after["discount"]
        assert "Coupon SPRING-20, 20 %: 11.80 USD off 59.00 USD" in words(
            client.get(order.get_absolute_url())
        )
        assert "Coupon SPRING-20, 20 %" in words(as_(sam).get(f"/admin/review/{order.number}/"))
        order.approve("", by=sam)
        invoice = fresh(order).invoice
        assert invoice
        assert [(line.text, line.net_minor, line.tax_minor) for line in invoice.said.lines] == [
            ("10 GB, yearly", 5900, 1121), ("Coupon SPRING-20, 20 %", -1180, -224)
        ]  # fmt: skip
        assert (invoice.net_minor, invoice.tax_minor, invoice.total_minor) == (4720, 897, 5617)
        page = words(client.get(f"{invoice.get_absolute_url()}"))
        assert "Coupon SPRING-20, 20 % 1 19 % -11.80" in page
        assert client.get(f"{invoice.get_absolute_url()}pdf/").content.startswith(b"%PDF")
        pay(order, by=sam)
        assert Subscription.objects.get().amount_minor == 5900

    def test_it_waits_in_the_draft_and_a_link_can_name_it(
        self, as_: AsPerson, mallory: User, fields: dict[str, str]
    ) -> None:
        coupon()
        client = as_(mallory)
        assert 'value="SPRING-20"' in client.get("/order/?coupon=SPRING-20").content.decode()
        client.post("/order/", fields | {"step": "save", "coupon": "spring-20"})
        assert OrderDraft.objects.get().fields["coupon"] == "spring-20"
        assert 'value="spring-20"' in client.get("/order/").content.decode()


class TestRefused:
    @pytest.mark.parametrize(
        ("terms", "why"),
        [
            ({"is_active": False}, "We do not know this coupon"),
            ({"valid_from_on": timedelta(days=1)}, "We do not know this coupon"),
            ({"valid_until_on": timedelta(days=-1)}, "could be used until"),
            ({"plans": ("25gb", "50gb")}, "not for the plan 10 GB. It is for: 25 GB, 50 GB."),
            ({"amount_minor": 5900}, "takes off 59.00 USD, which does not fit a price of 59.00 USD"),
            ({"amount_minor": 500, "currency": "EUR"}, "takes off 5.00 EUR, which does not fit"),
        ],
    )
    def test_it_says_why(
        self, as_: AsPerson, mallory: User, fields: dict[str, str], terms: dict[str, Any], why: str
    ) -> None:
        today = timezone.localdate()
        coupon(**{
            name: today + value if isinstance(value, timedelta) else value for name, value in terms.items()
        })  # fmt: skip
        for step in ("review", "place"):
            answer = as_(mallory).post("/order/", fields | {"coupon": "SPRING-20", "step": step})
            assert answer.status_code == 422
            assert why in error(answer)
        assert not Order.objects.exists()

    @pytest.mark.django_db
    def test_plans_that_are_closed_are_not_named(self) -> None:
        Plan.objects.filter(slug="25gb").update(is_open=False)
        made, plan = coupon(plans=("25gb",)), Plan.objects.get(slug="10gb")
        with pytest.raises(ValidationError) as refusal:
            made.refuse_sale(plan, 5900, "USD")
        assert refusal.value.messages == ["This coupon is not for the plan 10 GB."]

    @pytest.mark.parametrize(
        "code", ["AB", "NOSUCH", "ÄÖÜ", "ſpring-20", "a" * 41, "x y z", "a\r\nb", "%", "🎁" * 30]
    )
    def test_one_that_is_not_there_reads_as_one_that_is_off(
        self, as_: AsPerson, mallory: User, fields: dict[str, str], code: str
    ) -> None:
        coupon(is_active=False)
        client = as_(mallory)
        off = error(client.post("/order/", fields | {"coupon": "SPRING-20"}))
        assert error(client.post("/order/", fields | {"coupon": code})) == off
        assert not Order.objects.exists()

    def test_the_first_and_the_last_day_count(
        self, as_: AsPerson, mallory: User, fields: dict[str, str]
    ) -> None:
        today = timezone.localdate()
        coupon(valid_from_on=today, valid_until_on=today)
        assert as_(mallory).post("/order/", fields | {"coupon": "SPRING-20"}).status_code == 302

    def test_once_for_a_person_whatever_customer(
        self, as_: AsPerson, mallory: User, alice: User, fields: dict[str, str]
    ) -> None:
        coupon()
        sent = fields | {"coupon": "SPRING-20"}
        assert as_(mallory).post("/order/", sent).status_code == 302
        for step in ("review", "place"):
            assert "used this coupon before" in error(
                as_(mallory).post("/order/", sent | {"street": "2 Road", "step": step})
            )
        assert as_(alice).post("/order/", sent).status_code == 302
        Coupon.objects.update(once_each=False)
        assert as_(mallory).post("/order/", sent | {"street": "3 Road"}).status_code == 302

    def test_used_up(self, as_: AsPerson, mallory: User, alice: User, fields: dict[str, str]) -> None:
        coupon(most_uses=1)
        sent = fields | {"coupon": "SPRING-20"}
        as_(mallory).post("/order/", sent)
        answer = as_(alice).post("/order/", sent | {"street": "9 Kept Lane"})
        assert "used as often as it can be" in error(answer)
        assert "9 Kept Lane" in answer.content.decode()


def test_twice_is_one_order_and_one_use(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    coupon(most_uses=1)
    sent = fields | {"coupon": "SPRING-20", "submission": "a" * 32}
    places = {as_(mallory).post("/order/", sent)["Location"] for _ in range(2)}
    assert len(places) == Order.objects.count() == CouponUse.objects.count() == 1


@pytest.mark.parametrize("verb", ["cancel", "reject"])
def test_an_order_that_comes_to_nothing_gives_it_back(
    ordered: Callable[..., Order], alice: User, sam: User, settings: Any, verb: str
) -> None:
    settings.FRAUDRECORD_API_KEY = ""
    coupon(most_uses=1)
    order = check(ordered(coupon="SPRING-20"))
    if verb == "cancel":
        order.cancel(by=alice)
    else:
        order.reject("", by=sam)
    use = CouponUse.objects.get()
    assert use.given_back_at
    assert ordered(coupon="SPRING-20").discount_minor == 1180


def test_paid_by_card_exactly_what_is_due(
    stripe: StripeDesk, ordered: Callable[..., Order], alice: User, sam: User, settings: Any
) -> None:
    from billing import card_payments
    from tests.billing.stripe_desk import catch_up

    settings.FRAUDRECORD_API_KEY = ""
    coupon()
    order = check(ordered(coupon="SPRING-20"))
    order.approve("", by=sam)
    stripe.pay(card_payments.pay_by_card(fresh(order), by=alice))
    catch_up()
    assert fresh(order).status == "active"
    assert stripe.kept_minor == 4720
    subscription = Subscription.objects.get()
    assert subscription.coupon_use == fresh(order).coupon_use


@pytest.mark.soak
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_of_many_at_once_one_gets_the_last_use(
    as_: AsPerson, person: Callable[..., User], fields: dict[str, str], quiet_broker: None, settings: Any
) -> None:
    settings.FORM_LIMITS = {}
    coupon(most_uses=1)
    clients = [as_(person(f"p{number}@example.test")) for number in range(AT_ONCE)]

    def send(client: Client) -> Any:
        try:
            return client.post("/order/", fields | {"coupon": "SPRING-20", "street": "9 Kept Lane"})
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(send, clients))
    assert sorted(answer.status_code for answer in answers) == [302] + [422] * (AT_ONCE - 1)
    assert CouponUse.objects.count() == Order.objects.count() == 1
    for answer in answers:
        if answer.status_code == 422:
            assert "used as often as it can be" in error(answer)
            assert "9 Kept Lane" in answer.content.decode()


def test_the_database_wants_a_coupon_for_a_discount(ordered: Callable[..., Order]) -> None:
    coupon()
    order = ordered(coupon="SPRING-20")
    for wrong in ({"coupon_use": None}, {"discount_minor": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Order.objects.filter(pk=order.pk).update(**wrong)
    for terms in (
        {"percent": 100},
        {"percent": None},
        {"amount_minor": 5},
        {"code": "spring"},
        {"periods": 0},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Coupon.objects.update(**terms)
