"""Orders: list, one, place, cancel."""

from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Permission
from accounts.api.once import answered_once
from accounts.api.paging import page_of
from accounts.api.view import ApiView
from billing.coupon_guesses import count_guess, is_guessing
from billing.models import Order, OrderConflict
from billing.money import format_amount
from billing.ordering import place_order
from billing.place_form import OrderPlaceForm
from billing.submissions import new_token, read_submission
from foundation.api import Body, Conflict, checked
from foundation.api_schema import CURSOR, LIMIT, described
from foundation.client_address import client_address
from foundation.limits import RETRY_AFTER

EXAMPLE = {
    "number": "K7QP-2MXD-9C", "status": "unpaid", "account": "acme", "plan": "10gb", "period": "yearly",
    "amount": "59.00", "discount": "0.00", "tax": "0.00", "currency": "USD", "due": "59.00", "domain": "example.com",
    "placed_at": "2026-01-31T12:00:00Z",
}  # fmt: skip

WISH = {
    "plan": "10gb", "period": "yearly", "name": "Anna Example", "street": "1 Road", "city": "Leeds",
    "postcode": "LS1 1AA", "country": "GB", "phone": "+44 113 496 0000", "terms": True,
}  # fmt: skip


class OrderFacts(serializers.Serializer):
    number = serializers.CharField()
    status = serializers.CharField(
        help_text="`checking`, `review`, `question`, `unpaid`, `active`, `rejected` or `cancelled`."
    )
    account = serializers.CharField(help_text="The username of the customer that it makes.")
    plan = serializers.CharField()
    period = serializers.CharField()
    amount = serializers.CharField(help_text="The price, without tax, less the discount.")
    discount = serializers.CharField(help_text="What a coupon took off the price.")
    tax = serializers.CharField(help_text="The tax that is added to it.")
    currency = serializers.CharField()
    due = serializers.CharField(help_text="What must come in now.")
    domain = serializers.CharField(allow_blank=True)
    placed_at = serializers.DateTimeField()


class OrderPage(serializers.Serializer):
    orders = OrderFacts(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class OrderBody(Body):
    plan = serializers.CharField(max_length=50)
    period = serializers.ChoiceField(["monthly", "yearly"])
    coupon = serializers.CharField(
        required=False, allow_blank=True, max_length=100, help_text="A code that makes it cheaper."
    )
    username = serializers.CharField(required=False, allow_blank=True, max_length=100)
    domain = serializers.CharField(required=False, allow_blank=True, max_length=1000)
    name = serializers.CharField(max_length=1000)
    company = serializers.CharField(required=False, allow_blank=True, max_length=1000)
    street = serializers.CharField(max_length=1000)
    city = serializers.CharField(max_length=1000)
    region = serializers.CharField(required=False, allow_blank=True, max_length=1000)
    postcode = serializers.CharField(max_length=1000)
    country = serializers.CharField(max_length=2, help_text="ISO 3166 alpha-2.")
    vat_id = serializers.CharField(
        required=False, allow_blank=True, max_length=1000, help_text="Of a business in the European Union."
    )
    phone = serializers.CharField(max_length=1000)
    terms = serializers.BooleanField(help_text="That you accept the terms.")


class OrdersView(ApiView):
    permissions: ClassVar = {"GET": Permission.ORDERS_READ, "POST": Permission.ORDERS_EDIT}
    form: OrderPlaceForm

    def prepare(self, request: Request) -> None:
        """Look the wish over, before the transaction, which would take the count of wrong coupons back."""
        wish = checked(OrderBody, request.data)
        if wish.get("vat_id") and not settings.TAX:
            text = "No tax is charged here, so an order takes no VAT id. Enter it in the billing details."
            raise ValidationError({"vat_id": text})
        self.form = form = OrderPlaceForm(wish)
        if is_guessing(request._request, form):
            raise Throttled(RETRY_AFTER, "Too many unknown coupons came from your network.")
        count_guess(request._request, form)
        if not form.is_valid():
            raise ValidationError(form.errors.as_data())

    @described(
        "List the orders of this account, the newest first",
        data=OrderPage,
        example={"orders": [EXAMPLE], "next_cursor": None},
        parameters=(CURSOR, LIMIT),
        tag="orders",
    )
    def get(self, request: Request) -> Response:
        orders, following = page_of(self.customer.orders.with_facts(), request, order=("placed_at", "pk"))
        return Response({"orders": [_facts(order) for order in orders], "next_cursor": following})

    @described(
        "Order a plan; it makes an account of its own",
        body=OrderBody,
        sent=WISH,
        data=OrderFacts,
        example={**EXAMPLE, "status": "checking"},
        status=201,
        errors=(409, 422),
        tag="orders",
    )
    @answered_once
    def post(self, request: Request) -> Response:
        order = place_order(
            self.form.cleaned_data,
            by=self.person,
            client_address=client_address(request._request),
            submission=read_submission(self.form.cleaned_data, {"submission": new_token()}),
        )
        return Response(_facts(_order(order.customer, order.number)), status=201)


class OrderView(ApiView):
    permissions: ClassVar = {"GET": Permission.ORDERS_READ}

    @described("One order", data=OrderFacts, example=EXAMPLE, tag="orders")
    def get(self, request: Request, number: str) -> Response:
        return Response(_facts(_order(self.customer, number)))


class OrderCancelView(ApiView):
    permissions: ClassVar = {"POST": Permission.ORDERS_EDIT}
    before_activation = frozenset({"POST"})

    @described(
        "Cancel an order that is not active yet",
        data=OrderFacts,
        example={**EXAMPLE, "status": "cancelled", "due": "0.00"},
        errors=(409,),
        tag="orders",
    )
    @answered_once
    def post(self, request: Request, number: str) -> Response:
        try:
            _order(self.customer, number).cancel(by=self.person)
        except OrderConflict as conflict:
            raise Conflict(str(conflict)) from conflict
        return Response(_facts(_order(self.customer, number)))


def _order(customer: Any, number: str) -> Order:
    found: Order = get_object_or_404(customer.orders.with_facts(), number=number)
    return found


def _facts(order: Order) -> dict[str, Any]:
    return {
        "number": order.number,
        "status": str(order.status),
        "account": order.customer.username,
        "plan": order.plan.slug,
        "period": order.period,
        "amount": format_amount(order.amount_minor, order.currency),
        "discount": format_amount(order.discount_minor, order.currency),
        "tax": format_amount(order.tax_minor, order.currency),
        "currency": order.currency,
        "due": order.due_amount,
        "domain": order.domain,
        "placed_at": order.placed_at,
    }
