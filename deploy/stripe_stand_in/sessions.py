"""Checkout Sessions, and setup intents, which save a card for later: made by programs, brought to their end by people."""

from typing import Any

import stripe
from stripe.checkout import Session

from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.cards import declined
from deploy.stripe_stand_in.errors import Refusal, not_played
from deploy.stripe_stand_in.payments import (
    asks_now,
    card_of,
    charge,
    check_amount,
    check_email,
    fail,
    find_method,
    keep_method,
    new_intent,
    new_method,
    unexpected,
)
from deploy.stripe_stand_in.shapes import shape

SHORTEST, LONGEST = 30 * 60, 24 * 3600  # seconds for which a session can be open


def create_session(books: Books, params: dict[str, Any]) -> Object:
    mode = params.get("mode")
    if mode not in ("payment", "setup"):
        raise not_played("Checkout Sessions without a mode, or of subscriptions")
    if params.get("allowed_payment_method_types", ["card"]) != ["card"]:
        raise not_played("other payment methods than cards")
    if not params.get("success_url"):
        raise Refusal(
            400, "Missing required param: success_url.", code="parameter_missing", param="success_url"
        )
    if customer := params.get("customer"):
        books.find("customer", customer, "customer")
        if params.get("customer_email"):
            raise Refusal(400, "You may only specify one of these parameters: customer, customer_email.")
    check_email(params.get("customer_email"), "customer_email")
    lines, currency = _lines(books, params) if mode == "payment" else ([], params.get("currency"))
    amount = sum(line["amount_total"] for line in lines) if lines else None
    expires_at = params.get("expires_at", books.now() + LONGEST)
    if not SHORTEST <= expires_at - books.now() <= LONGEST:
        text = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise Refusal(400, text, param="expires_at")
    named = ("cancel_url", "client_reference_id", "customer", "customer_creation", "customer_email", "locale",
             "submit_type", "success_url")  # fmt: skip
    totals = (
        shape(Session.TotalDetails, amount_discount=0, amount_shipping=0, amount_tax=0) if lines else None
    )
    texts = shape(Session.CustomText, **params.get("custom_text", {}))
    which = books.new_id("cs_test")
    session = books.add(
        Session, "cs_test", id=which, mode=mode, status="open", payment_status="unpaid" if lines else "no_payment_required",
        allowed_payment_method_types=["card"], payment_method_types=["card"], amount_subtotal=amount, amount_total=amount,
        currency=currency, expires_at=expires_at, metadata=params.get("metadata") or {}, custom_fields=[],
        shipping_options=[], automatic_tax=shape(Session.AutomaticTax, enabled=False), custom_text=texts,
        ui_mode="hosted_page", total_details=totals, url=f"{books.base}/c/pay/{which}", payment_method_options={},
        phone_number_collection={"enabled": False}, **{name: params.get(name) for name in named},
    )  # fmt: skip
    session["line_items"] = lines
    session["intent_data"] = params.get(f"{mode}_intent_data") or {}
    return session


def shown(session: Object) -> Object:
    """The session as Stripe shows it: what is bought stands in a list of its own."""
    return {name: value for name, value in session.items() if name not in ("line_items", "intent_data")}


def _lines(books: Books, params: dict[str, Any]) -> tuple[list[Object], str]:
    if not params.get("line_items"):
        raise Refusal(
            400, "Missing required param: line_items.", code="parameter_missing", param="line_items"
        )
    lines = [_line(books, item) for item in params["line_items"]]
    currencies = {line["currency"] for line in lines}
    if len(currencies) > 1:
        raise Refusal(400, "All line items must have the same currency.", param="line_items")
    return lines, currencies.pop()


def _line(books: Books, item: dict[str, Any]) -> Object:
    price, quantity = item.get("price_data"), item.get("quantity", 1)
    if not price or "unit_amount" not in price or "product_data" not in price:
        raise not_played("line items without price_data of a unit_amount and product_data")
    check_amount(price["unit_amount"] * quantity, price["currency"])
    made = shape(
        stripe.Price, id=books.new_id("price"), object="price", active=False, billing_scheme="per_unit",
        created=books.now(), currency=price["currency"], livemode=False, metadata={}, product=books.new_id("prod"),
        type="one_time", unit_amount=price["unit_amount"], unit_amount_decimal=str(price["unit_amount"]),
    )  # fmt: skip
    total = price["unit_amount"] * quantity
    return shape(
        stripe.LineItem, id=books.new_id("li"), object="item", amount_discount=0, amount_subtotal=total, amount_tax=0,
        amount_total=total, currency=price["currency"], description=price["product_data"]["name"], price=made,
        quantity=quantity,
    )  # fmt: skip


def list_lines(books: Books, session: Object, params: dict[str, Any]) -> Object:
    url = f"/v1/checkout/sessions/{session['id']}/line_items"
    return {"object": "list", "data": session["line_items"], "has_more": False, "url": url}


def expire_session(books: Books, session: Object, params: dict[str, Any]) -> Object:
    if session["status"] != "open":
        text = f'Only Checkout Sessions with a status in ["open"] can be expired. This has a status of {session["status"]}.'
        raise Refusal(400, text)
    _end(books, session, "expired")
    return session


def expire_due(books: Books) -> None:
    """Bring those to their end whose time is over."""
    for session in books.all("checkout.session", status="open"):
        if session["expires_at"] <= books.now():
            _end(books, session, "expired")


def _end(books: Books, session: Object, status: str) -> None:
    session.update(status=status, url=None)
    kind = {"expired": "checkout.session.expired", "complete": "checkout.session.completed"}[status]
    books.tell(kind, shown(session))


def enter_card(
    books: Books, session: Object, number: str, *, email: str, name: str, expiry: tuple[int, int]
) -> bool:
    """What the button of the hosted page does: false where 3-D Secure is asked first. Refusal of a declined card."""
    if session["status"] != "open":
        raise Refusal(400, "This page is over: the session is complete or has expired.")
    method = new_method(books, number, email=email or session["customer_email"], name=name, expiry=expiry)
    intent = _intent_of(books, session)
    intent["payment_method"] = method["id"]
    if asks_now(books, method):
        intent["status"] = "requires_action"
        return False
    _complete(books, session, intent)
    return True


def authenticate(books: Books, session: Object, *, passed: bool) -> None:
    """How 3-D Secure ended. Refusal where it failed, or where the card is declined after all."""
    intent = _intent_of(books, session)
    if session["status"] != "open" or intent["status"] != "requires_action":
        raise Refusal(400, "Nothing is to be authenticated here.")
    if not passed:
        if session["mode"] == "payment":
            raise fail(books, intent, "authentication_required", "authentication_required")
        raise _fail_setup(books, intent, "authentication_required", "authentication_required")
    _complete(books, session, intent)


def _intent_of(books: Books, session: Object) -> Object:
    """Stripe makes the intent when somebody first pays."""
    name = f"{session['mode']}_intent"
    if not session[name]:
        data = {**session["intent_data"], "customer": session["customer"]}
        if session["mode"] == "payment":
            data |= {"amount": session["amount_total"], "currency": session["currency"]}
            session[name] = new_intent(books, data)["id"]
        else:
            session[name] = create_setup(books, data)["id"]
    return books.find(name, session[name])


def _complete(books: Books, session: Object, intent: Object) -> None:
    if session["mode"] == "setup":
        succeed_setup(books, intent)
    else:
        charge(books, intent)
        session["payment_status"] = "paid"
    person = books.find("payment_method", intent["payment_method"])["billing_details"]
    if (customer := books.objects.get(session["customer"] or "")) and not customer["email"]:
        customer["email"] = person["email"]  # as Checkout does where it had to ask
    session["customer_details"] = shape(
        Session.CustomerDetails, email=person["email"], name=person["name"], address=person["address"], tax_exempt="none",
        tax_ids=[],
    )  # fmt: skip
    _end(books, session, "complete")


def create_setup(books: Books, params: dict[str, Any]) -> Object:
    if customer := params.get("customer"):
        books.find("customer", customer, "customer")
    setup = books.add(
        stripe.SetupIntent, "seti", payment_method_types=["card"], status="requires_payment_method",
        usage=params.get("usage", "off_session"), customer=params.get("customer"), metadata=params.get("metadata") or {},
        description=params.get("description"), payment_method_options={},
    )  # fmt: skip
    setup["client_secret"] = f"{setup['id']}_secret_stand_in"
    books.tell("setup_intent.created", setup)
    if which := params.get("payment_method"):
        setup.update(payment_method=find_method(books, which)["id"], status="requires_confirmation")
    return confirm_setup(books, setup, params) if params.get("confirm") else setup


def confirm_setup(books: Books, setup: Object, params: dict[str, Any]) -> Object:
    if setup["status"] in ("succeeded", "canceled"):
        raise unexpected(setup, "confirm")
    if which := params.get("payment_method"):
        setup["payment_method"] = find_method(books, which)["id"]
    if not setup["payment_method"]:
        raise Refusal(
            400, "This SetupIntent is missing a payment method.", code="setup_intent_unexpected_state"
        )
    if asks_now(books, books.find("payment_method", setup["payment_method"])):
        setup["status"] = "requires_action"
        books.tell("setup_intent.requires_action", setup)
        return setup
    return succeed_setup(books, setup)


def succeed_setup(books: Books, setup: Object) -> Object:
    method = books.find("payment_method", setup["payment_method"])
    card = card_of(books, method)
    if card.code and not card.saves:
        raise _fail_setup(books, setup, card.code, card.decline)
    setup.update(status="succeeded", next_action=None, last_setup_error=None)
    if setup["customer"]:
        keep_method(books, method, setup["customer"])
    elif card.asks:
        books.set_up.append(method["id"])
    books.tell("setup_intent.succeeded", setup)
    return setup


def _fail_setup(books: Books, setup: Object, code: str, decline: str) -> Refusal:
    refusal = declined(code, decline)
    setup.update(
        status="requires_payment_method", payment_method=None, last_setup_error=refusal.body["error"]
    )
    books.tell("setup_intent.setup_failed", setup)
    refusal.body["error"] = {**refusal.body["error"], "setup_intent": setup}
    return refusal
