import pytest

from accounts.models import AuditEntry, Customer
from billing.models import Order
from tests.program import Program, data, error
from tests.test_census import order_of

WISH = {
    "plan": "10gb", "period": "yearly", "domain": "new.test", "name": "Nora New", "street": "1 Road", "city": "Leeds",
    "postcode": "LS1", "country": "GB", "phone": "+44 113 496 0000", "terms": True,
}  # fmt: skip


class TestPlace:
    def test_works(self, program, alice):
        made = data(program.post("orders", WISH), 201)

        order = Order.objects.get()
        assert (made["number"], made["status"], made["amount"], made["currency"]) == (
            order.number, "checking", "59.00", "USD"
        )  # fmt: skip
        assert made["account"] == order.customer.username != "acme"
        assert (order.placed_by, order.client_address) == (alice, "127.0.0.1")
        assert AuditEntry.objects.get(action="order.place").by == alice

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("plan", "none"), ("period", "weekly"), ("country", "XX"), ("phone", "1"), ("terms", False), ("name", ""),
            ("street", None), ("username", "Bad Name"), ("domain", "x"), ("surprise", 1),
        ],
    )  # fmt: skip
    def test_wrong_values(self, program, field, value):
        error(program.post("orders", WISH | {field: value}), 400, "VALIDATION_ERROR")
        assert not Order.objects.exists()

    def test_a_name_that_is_taken(self, program, acme):
        answer = program.post("orders", WISH | {"username": "acme"})
        assert error(answer, 409, "CONFLICT")["field"] == "username"

    def test_the_same_call_again_is_one_order(self, program):
        once = {"Idempotency-Key": "order-1"}
        first, second = (data(program.post("orders", WISH, **once), 201) for _ in range(2))
        assert first == second
        assert Order.objects.count() == 1

    def test_a_reader_may_not(self, acme, bob):
        error(Program(acme, bob).post("orders", WISH), 403, "FORBIDDEN")


class TestSee:
    def test_works(self, program, acme, alice, other, mallory):
        order, foreign = order_of(acme, alice), order_of(other, mallory)
        found = data(program.get("orders"))
        assert [each["number"] for each in found["orders"]] == [order.number]
        assert found["next_cursor"] is None
        assert data(program.get(f"orders/{order.number}")) == found["orders"][0]
        answers = [program.get(f"orders/{number}") for number in (foreign.number, "NONE-NONE-99")]
        for answer in answers:
            error(answer, 404, "NOT_FOUND")
        assert answers[0].content == answers[1].content


class TestCancel:
    def test_works_before_activation(self, alice):
        pending = Customer.objects.create(username="pending", name="Pending")
        pending.memberships.create(user=alice, role="owner")
        order = order_of(pending, alice)
        program = Program(pending, alice)
        assert data(program.post(f"orders/{order.number}/cancel"))["status"] == "cancelled"
        assert data(program.post(f"orders/{order.number}/cancel"))["status"] == "cancelled"

    def test_what_is_another_s(self, program, other, mallory):
        foreign = order_of(other, mallory)
        error(program.post(f"orders/{foreign.number}/cancel"), 404, "NOT_FOUND")

    def test_what_is_rejected(self, program, acme, alice, sam):
        order = order_of(acme, alice)
        order.reject("No", by=sam)
        error(program.post(f"orders/{order.number}/cancel"), 409, "CONFLICT")
