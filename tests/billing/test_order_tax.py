"""An order where tax is charged: shown before it is sent, due with it, and the same everywhere that compares sums."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import AuditEntry, User
from billing import card_refunds, screening, vat_ids
from billing.models import BillingDetails, Checkout, Order, Payment
from billing.review_queue import REFUND_OWED
from deploy.vies import Server
from tests.billing.conftest import FIELDS, fresh, pay
from tests.billing.stripe_desk import StripeDesk, catch_up, mails
from tests.program import Program, data, error

AsPerson = Callable[[User], Client]
FRENCH = {"country": "FR", "postcode": "75001", "vat_id": "FR61954506077"}


@pytest.fixture
def accepted(taxed: Any, ordered: Callable[..., Order], sam: User) -> Callable[..., Order]:
    """Make an order that waits for its payment."""

    def make(**changes: Any) -> Order:
        taxed.FRAUDRECORD_API_KEY = ""
        order = ordered(**changes)
        screening.check_order(order.pk)
        fresh(order).approve("", by=sam)
        return fresh(order)

    return make


def shown(client: Client, **changes: str) -> str:
    """The page before an order is sent."""
    answer = client.post("/order/", FIELDS | changes | {"step": "review"}, follow=True)
    return " ".join(answer.content.decode().split())


@pytest.mark.django_db
class TestShown:
    def test_net_tax_and_total_before_it_is_sent(self, taxed: Any, alice: User, as_: AsPerson) -> None:
        html = shown(as_(alice))
        assert "Review your order" in html
        for words in ("Without tax</dt> <dd> 59.00 USD", "VAT 19%</dt> <dd> 11.21 USD", "70.21 USD a year"):
            assert words in html

    def test_reverse_charge_is_named(self, taxed: Any, alice: User, as_: AsPerson) -> None:
        html = shown(as_(alice), **FRENCH)
        assert "Reverse charge: the customer owes the VAT" in html
        assert "<strong>59.00 USD a year</strong>" in html
        assert "FR61954506077" in html

    def test_the_form_says_what_is_added_once_the_country_is_known(
        self, taxed: Any, client: Client, alice: User, as_: AsPerson
    ) -> None:
        assert (
            "Prices are without tax, which is added where it applies."
            in client.get("/order/").content.decode()
        )
        for path in ("/", "/plans/"):
            assert "Prices are without tax" in client.get(path).content.decode()
        html = as_(alice).post("/order/", FIELDS | {"name": ""}).content.decode()
        assert "for Germany VAT 19% is added" in html
        assert "70.21 USD with VAT 19%" in html
        html = as_(alice).post("/order/", FIELDS | {"name": "", "country": "US"}).content.decode()
        assert "for United States none is added" in html
        assert "with VAT" not in html

    def test_nothing_of_it_where_tax_is_off(self, client: Client, alice: User, as_: AsPerson) -> None:
        pages = [
            client.get("/order/").content.decode(),
            client.get("/plans/").content.decode(),
            shown(as_(alice)),
        ]
        for html in pages:
            assert "tax" not in html.lower().replace("taxud", "")
            assert "vat_id" not in html
        assert '<p class="amount">59.00 USD a year</p>' in pages[-1]

    @pytest.mark.parametrize("vat_id", ["FR61954506077", "DE1"])
    def test_a_wrong_vat_id_is_told(self, taxed: Any, alice: User, as_: AsPerson, vat_id: str) -> None:
        answer = as_(alice).post("/order/", FIELDS | {"vat_id": vat_id})
        assert answer.status_code == 422
        assert 'id="id_vat_id_error"' in answer.content.decode()
        assert not Order.objects.exists()

    def test_a_country_whose_rate_is_missing_is_told_and_logged(
        self, taxed: Any, alice: User, as_: AsPerson, caplog: pytest.LogCaptureFixture
    ) -> None:
        taxed.SELLER_COUNTRY = "NO"
        answer = as_(alice).post("/order/", FIELDS | {"country": "NO"})
        assert answer.status_code == 422
        assert "We cannot work out the tax for this country" in answer.content.decode()
        assert "No tax rate of NO is known" in caplog.text
        assert not Order.objects.exists()


@pytest.mark.django_db
class TestDue:
    def test_placed_and_paid_by_card(
        self, stripe: StripeDesk, accepted: Callable[..., Order], alice: User, as_: AsPerson
    ) -> None:
        order = accepted()
        assert (order.amount_minor, order.tax_minor, order.total_minor) == (5900, 1121, 7021)
        assert (order.tax_kind, order.tax_rate, order.tax_label, order.tax_country) == (
            "domestic", Decimal(19), "VAT", "DE",
        )  # fmt: skip
        assert AuditEntry.objects.get(action="order.place").after == {
            "plan": "10gb", "period": "yearly", "price": "59.00 USD", "tax": "VAT 19%", "total": "70.21 USD",
        }  # fmt: skip
        client = as_(alice)
        html = client.get(order.get_absolute_url()).content.decode()
        assert 'data-amount="70.21"' in html
        assert 'data-tax="domestic"' in html
        stripe.pay(client.post(f"/order/{order.number}/pay/")["Location"])
        assert (
            'data-status="active"' in client.get(f"/order/{order.number}/paid/", follow=True).content.decode()
        )
        assert stripe.kept_minor == 7021
        assert Payment.objects.get().amount_minor == 7021
        assert fresh(order).subscription.amount_minor == 5900  # what a period costs, without tax
        assert fresh(order).refund_minor == 0

    def test_the_net_sum_alone_does_not_start_the_service(
        self, accepted: Callable[..., Order], sam: User
    ) -> None:
        order = accepted()
        pay(order, "59.00", by=sam)
        order = fresh(order)
        assert (order.status, order.due) == ("unpaid", "11.21 USD")
        pay(order, "11.21", by=sam, reference="R2")
        assert fresh(order).status == "active"

    def test_more_than_the_total_is_refused(
        self, accepted: Callable[..., Order], sam: User, as_: AsPerson
    ) -> None:
        order = accepted()
        page = f"/admin/review/{order.number}/"
        assert 'data-amount="70.21"' in as_(sam).get(page).content.decode()
        fields = {"method": "bank_transfer", "reference": "R1", "amount": "70.22", "currency": "USD"}
        answer = as_(sam).post(f"{page}payment/", fields)
        assert answer.status_code == 422
        assert "More than the 70.21 USD that is due" in answer.content.decode()
        assert as_(sam).post(f"{page}payment/", fields | {"amount": "70.21"}).status_code == 302
        assert fresh(order).status == "active"

    def test_paid_twice_keeps_the_total_alone(
        self, stripe: StripeDesk, accepted: Callable[..., Order], alice: User, sam: User, as_: AsPerson
    ) -> None:
        order = accepted()
        url = as_(alice).post(f"/order/{order.number}/pay/")["Location"]
        pay(order, "20.00", by=sam)
        stripe.pay(url)
        catch_up()
        assert fresh(order).status == "active"
        assert stripe.kept_minor == 7021 - 2000
        assert fresh(order).refund_minor == 0

    def test_all_of_it_goes_back(self, accepted: Callable[..., Order], alice: User, sam: User) -> None:
        order = accepted()
        pay(order, "70.20", by=sam)
        fresh(order).cancel(by=alice)
        assert fresh(order).refund_owed == "70.20 USD"
        assert Order.objects.filter(REFUND_OWED).get().pk == order.pk

    def test_sql_and_python_agree_on_what_is_owed(
        self, stripe: StripeDesk, accepted: Callable[..., Order], alice: User, sam: User, as_: AsPerson
    ) -> None:
        """A part that could not go back to a card: what the order costs is kept, with its tax."""
        order = accepted()
        url = as_(alice).post(f"/order/{order.number}/pay/")["Location"]
        pay(order, "0.01", by=sam)
        stripe.pay(url, "4242424242424242")
        catch_up()
        card_refunds._fail(order.payments.get(method="card").card_refunds.get(), "It came back")
        for owed in (1, 0):
            assert (fresh(order).refund_minor, Order.objects.filter(REFUND_OWED).count()) == (owed, owed)
            if owed:
                fresh(order).record_refund("R", by=sam)

    def test_two_decide_from_the_total_on(self, taxed: Any, ordered: Callable[..., Order]) -> None:
        taxed.REVIEW_SECOND_AMOUNT = 70.0
        assert ordered().needs_second
        assert not ordered(country="US").needs_second

    def test_mails_name_the_total(self, accepted: Callable[..., Order]) -> None:
        accepted()
        for kind in ("order.received", "order.approved"):
            [mail] = mails(kind)
            assert "70.21 USD (59.00 USD and VAT 19%)" in mail.body

    def test_the_api_says_it(self, taxed: Any, program: Program) -> None:
        wish = {name: value for name, value in FIELDS.items() if value} | {"terms": True}
        made = data(program.post("orders", wish | FRENCH), 201)
        assert (made["amount"], made["tax"]) == ("59.00", "0.00")
        assert Order.objects.get().tax_kind == "reverse_charge"
        assert data(program.post("orders", wish), 201)["tax"] == "11.21"
        assert (
            error(program.post("orders", wish | {"vat_id": "DE1"}), 400, "VALIDATION_ERROR")["field"]
            == "vat_id"
        )
        taxed.TAX = False
        assert error(program.post("orders", wish | FRENCH), 400, "VALIDATION_ERROR")["field"] == "vat_id"

    def test_the_database_wants_a_rate_for_a_tax(self, accepted: Callable[..., Order]) -> None:
        order = accepted()
        for wrong in ({"tax_rate": 0}, {"tax_kind": "some"}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Order.objects.filter(pk=order.pk).update(**wrong)

    def test_an_order_of_before_bears_none(
        self, unpaid: Order, taxed: Any, alice: User, as_: AsPerson
    ) -> None:
        assert (unpaid.tax_kind, unpaid.total_minor, unpaid.taxed) == ("off", 5900, None)
        assert "data-tax" not in as_(alice).get(unpaid.get_absolute_url()).content.decode()


@pytest.mark.django_db
class TestAnew:
    """What was decided is decided anew while nothing was paid."""

    def test_an_id_that_vies_does_not_know_brings_the_tax_back(
        self, vies: Server, stripe: StripeDesk, accepted: Callable[..., Order], alice: User, as_: AsPerson
    ) -> None:
        order = accepted(company="Acme", vat_id="DE200000005", country="DE")
        assert order.tax_minor == 1121  # at home also a business pays it
        order = accepted(country="FR", postcode="75001", vat_id="FR61954506077")
        assert (order.tax_kind, order.total_minor) == ("reverse_charge", 5900)
        details = order.customer.billing_details
        assert (details.vat_id, details.street) == ("FR61954506077", "1 Long Street")
        url = as_(alice).post(f"/order/{order.number}/pay/")["Location"]
        vat_ids._learn(details, vat_ids.vies.Answer(False, ""))
        order = fresh(order)
        assert (order.tax_kind, order.tax_rate, order.due) == ("destination", 20, "70.80 USD")
        entry = AuditEntry.objects.get(action="order.tax")
        assert (entry.before["total"], entry.after) == ("59.00 USD", {"tax": "VAT 20%", "total": "70.80 USD"})
        catch_up()  # the page at Stripe that wanted the sum of before is over
        stripe.pay(url)
        assert (stripe.charges, Checkout.objects.filter(ended_at=None).count()) == (0, 0)

    def test_what_was_paid_for_stays_as_it_was_known(
        self, vies: Server, accepted: Callable[..., Order], sam: User
    ) -> None:
        order = accepted(country="FR", postcode="75001", vat_id="FR61954506077")
        pay(order, "1.00", by=sam)
        vat_ids._learn(order.customer.billing_details, vat_ids.vies.Answer(False, ""))
        assert fresh(order).tax_kind == "reverse_charge"
        assert not AuditEntry.objects.filter(action="order.tax").exists()

    def test_details_that_change_before_the_payment_count(
        self, accepted: Callable[..., Order], alice: User, as_: AsPerson
    ) -> None:
        order = accepted(country="FR", postcode="75001")
        assert order.tax_kind == "destination"
        path = f"/c/{order.customer.username}/billing/details/"
        fields = {
            name: getattr(order, name) for name in ("name", "company", "street", "city", "region")
        } | FRENCH
        for _ in range(2):
            assert as_(alice).post(path, fields).status_code == 302
        assert (fresh(order).tax_kind, fresh(order).total_minor) == ("reverse_charge", 5900)
        assert AuditEntry.objects.filter(action="order.tax").count() == 1

    def test_an_order_that_is_over_is_left_alone(
        self, accepted: Callable[..., Order], alice: User, as_: AsPerson
    ) -> None:
        order = accepted()
        order.cancel(by=alice)
        path = f"/c/{order.customer.username}/billing/details/"
        fields = {name: getattr(order, name) for name in ("name", "street", "city")}
        assert as_(alice).post(path, fields | {"country": "US", "postcode": "1"}).status_code == 302
        assert fresh(order).tax_minor == 1121

    def test_nothing_happens_where_tax_is_off(self, unpaid: Order, alice: User, as_: AsPerson) -> None:
        path = f"/c/{unpaid.customer.username}/billing/details/"
        fields = {name: getattr(unpaid, name) for name in ("name", "street", "city")}
        assert as_(alice).post(path, fields | {"country": "US", "postcode": "1"}).status_code == 302
        assert fresh(unpaid).tax_kind == "off"
        assert BillingDetails.objects.get().country == "US"
