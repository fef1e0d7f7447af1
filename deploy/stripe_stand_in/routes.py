"""The calls that the stand-in plays: path, the library's type of its parameters, which of them it heeds, what it does."""

import copy
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import stripe
from stripe import params as of
from stripe.params import checkout as of_checkout

from deploy.stripe_stand_in import payments, refunds, sessions
from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.errors import Refusal, not_played
from deploy.stripe_stand_in.parameters import checked

Act = Callable[[Books, str, dict[str, Any]], Object]
PAGING = "created limit starting_after ending_before"


class Route(NamedTuple):
    """`path` with `{}` where the id stands; `heeds`: the names of the parameters that are played, without `expand`."""

    method: str
    path: str
    params: type
    heeds: str
    act: Act

    def read(self, tree: dict[str, Any]) -> dict[str, Any]:
        params = checked(self.params, tree)
        if strange := params.keys() - {*self.heeds.split(), "expand"}:
            raise not_played(f"the parameter {', '.join(sorted(strange))} of {self.method} {self.path}")
        return params


def of_all(act: Callable[[Books, dict[str, Any]], Object]) -> Act:
    return lambda books, which, params: act(books, params)


def of_one(kind: str, act: Callable[[Books, Object, dict[str, Any]], Object], param: str = "id") -> Act:
    return lambda books, which, params: act(books, books.find(kind, which, param), params)


def listed(kind: str, url: str, *filters: str) -> Act:
    return lambda books, which, params: books.page(kind, url, params, *filters)


def as_it_is(books: Books, found: Object, params: dict[str, Any]) -> Object:
    return found


def create_customer(books: Books, params: dict[str, Any]) -> Object:
    named = ("address", "description", "email", "name", "phone")
    payments.check_email(params.get("email"), "email")
    customer = books.add(
        stripe.Customer, "cus", balance=0, delinquent=False, metadata=params.get("metadata") or {},
        invoice_settings={"default_payment_method": None}, tax_exempt="none", preferred_locales=[],
        next_invoice_sequence=1, **{name: params.get(name) for name in named},
    )  # fmt: skip
    books.tell("customer.created", customer)
    return customer


def update_customer(books: Books, customer: Object, params: dict[str, Any]) -> Object:
    before = {name: copy.deepcopy(customer[name]) for name in params}
    for name, value in params.items():
        customer[name] = (
            {**customer[name], **value} if isinstance(customer[name], dict) and value else value or None
        )
    books.tell("customer.updated", customer, before)
    return customer


def retrieve_customer(books: Books, which: str, params: dict[str, Any]) -> Object:
    """Of one that was deleted Stripe remembers that it was there."""
    found = books.objects.get(which, {})
    return found if found.get("deleted") else books.find("customer", which)


def delete_customer(books: Books, customer: Object, params: dict[str, Any]) -> Object:
    for method in books.all("payment_method", customer=customer["id"]):
        payments.detach_method(books, method, {})
    books.tell("customer.deleted", customer)
    gone = {"id": customer["id"], "object": "customer", "deleted": True}
    books.objects[customer["id"]] = gone
    return gone


def list_methods_of(books: Books, customer: Object, params: dict[str, Any]) -> Object:
    url = f"/v1/customers/{customer['id']}/payment_methods"
    return books.page("payment_method", url, {**params, "customer": customer["id"]}, "customer", "type")


def attach(books: Books, which: str, params: dict[str, Any]) -> Object:
    return payments.attach_method(books, payments.find_method(books, which), params)


CUSTOMER = "address description email name phone metadata"
INTENT = (
    "amount currency confirm customer description metadata off_session payment_method receipt_email return_url "
    "setup_future_usage allowed_payment_method_types"
)
SESSION = (
    "mode line_items success_url cancel_url client_reference_id customer customer_creation customer_email currency "
    "expires_at locale metadata submit_type payment_intent_data setup_intent_data allowed_payment_method_types "
    "custom_text"
)
ROUTES = (
    Route("POST", "/v1/customers", of.CustomerCreateParams, CUSTOMER, of_all(create_customer)),
    Route(
        "GET",
        "/v1/customers",
        of.CustomerListParams,
        f"{PAGING} email",
        listed("customer", "/v1/customers", "email"),
    ),
    Route("GET", "/v1/customers/{}", of.CustomerRetrieveParams, "", retrieve_customer),
    Route("DELETE", "/v1/customers/{}", of.CustomerDeleteParams, "", of_one("customer", delete_customer)),
    Route(
        "POST",
        "/v1/customers/{}",
        of.CustomerUpdateParams,
        f"{CUSTOMER} invoice_settings",
        of_one("customer", update_customer),
    ),
    Route(
        "GET",
        "/v1/customers/{}/payment_methods",
        of.CustomerPaymentMethodListParams,
        f"{PAGING} type",
        of_one("customer", list_methods_of),
    ),
    Route(
        "POST",
        "/v1/payment_methods",
        of.PaymentMethodCreateParams,
        "type card",
        of_all(payments.create_method),
    ),
    Route(
        "GET",
        "/v1/payment_methods",
        of.PaymentMethodListParams,
        f"{PAGING} customer type",
        listed("payment_method", "/v1/payment_methods", "customer", "type"),
    ),
    Route(
        "GET",
        "/v1/payment_methods/{}",
        of.PaymentMethodRetrieveParams,
        "",
        of_one("payment_method", as_it_is),
    ),
    Route(
        "POST",
        "/v1/payment_methods/{}",
        of.PaymentMethodUpdateParams,
        "card metadata",
        of_one("payment_method", payments.update_method),
    ),
    Route("POST", "/v1/payment_methods/{}/attach", of.PaymentMethodAttachParams, "customer", attach),
    Route(
        "POST",
        "/v1/payment_methods/{}/detach",
        of.PaymentMethodDetachParams,
        "",
        of_one("payment_method", payments.detach_method),
    ),
    Route(
        "POST", "/v1/payment_intents", of.PaymentIntentCreateParams, INTENT, of_all(payments.create_intent)
    ),
    Route(
        "GET",
        "/v1/payment_intents",
        of.PaymentIntentListParams,
        f"{PAGING} customer",
        listed("payment_intent", "/v1/payment_intents", "customer"),
    ),
    Route(
        "GET",
        "/v1/payment_intents/{}",
        of.PaymentIntentRetrieveParams,
        "",
        of_one("payment_intent", as_it_is, "intent"),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{}/confirm",
        of.PaymentIntentConfirmParams,
        "payment_method off_session return_url",
        of_one("payment_intent", payments.confirm_intent, "intent"),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{}/cancel",
        of.PaymentIntentCancelParams,
        "cancellation_reason",
        of_one("payment_intent", payments.cancel_intent, "intent"),
    ),
    Route(
        "POST",
        "/v1/setup_intents",
        of.SetupIntentCreateParams,
        "confirm customer description metadata payment_method usage",
        of_all(sessions.create_setup),
    ),
    Route(
        "GET",
        "/v1/setup_intents",
        of.SetupIntentListParams,
        f"{PAGING} customer",
        listed("setup_intent", "/v1/setup_intents", "customer"),
    ),
    Route(
        "GET",
        "/v1/setup_intents/{}",
        of.SetupIntentRetrieveParams,
        "",
        of_one("setup_intent", as_it_is, "intent"),
    ),
    Route(
        "POST",
        "/v1/setup_intents/{}/confirm",
        of.SetupIntentConfirmParams,
        "payment_method",
        of_one("setup_intent", sessions.confirm_setup, "intent"),
    ),
    Route(
        "GET",
        "/v1/charges",
        of.ChargeListParams,
        f"{PAGING} customer payment_intent",
        listed("charge", "/v1/charges", "customer", "payment_intent"),
    ),
    Route("GET", "/v1/charges/{}", of.ChargeRetrieveParams, "", of_one("charge", as_it_is, "charge")),
    Route(
        "POST",
        "/v1/refunds",
        of.RefundCreateParams,
        "amount charge payment_intent metadata reason",
        of_all(refunds.create_refund),
    ),
    Route(
        "GET",
        "/v1/refunds",
        of.RefundListParams,
        f"{PAGING} charge payment_intent",
        listed("refund", "/v1/refunds", "charge", "payment_intent"),
    ),
    Route("GET", "/v1/refunds/{}", of.RefundRetrieveParams, "", of_one("refund", as_it_is)),
    Route("GET", "/v1/disputes/{}", of.DisputeRetrieveParams, "", of_one("dispute", as_it_is)),
    Route(
        "POST",
        "/v1/checkout/sessions",
        of_checkout.SessionCreateParams,
        SESSION,
        of_all(sessions.create_session),
    ),
    Route(
        "GET",
        "/v1/checkout/sessions",
        of_checkout.SessionListParams,
        f"{PAGING} customer payment_intent status",
        listed("checkout.session", "/v1/checkout/sessions", "customer", "payment_intent", "status"),
    ),
    Route(
        "GET",
        "/v1/checkout/sessions/{}",
        of_checkout.SessionRetrieveParams,
        "",
        of_one("checkout.session", as_it_is, "session"),
    ),
    Route(
        "POST",
        "/v1/checkout/sessions/{}/expire",
        of_checkout.SessionExpireParams,
        "",
        of_one("checkout.session", sessions.expire_session, "session"),
    ),
    Route(
        "GET",
        "/v1/checkout/sessions/{}/line_items",
        of_checkout.SessionLineItemListParams,
        "limit",
        of_one("checkout.session", sessions.list_lines, "session"),
    ),
    Route("GET", "/v1/events", of.EventListParams, f"{PAGING} type", listed("event", "/v1/events", "type")),
    Route("GET", "/v1/events/{}", of.EventRetrieveParams, "", of_one("event", as_it_is)),
)


def route_of(method: str, path: str) -> tuple[Route, str]:
    """The call, and the id that stands in its path."""
    for route in ROUTES:
        pattern = re.escape(route.path).replace(r"\{\}", "([A-Za-z0-9_]+)")
        if route.method == method and (match := re.fullmatch(pattern, path)):
            return route, match[1] if match.groups() else ""
    raise Refusal(404, f"Unrecognized request URL ({method}: {path}).")
