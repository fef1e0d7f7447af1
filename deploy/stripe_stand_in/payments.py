"""Payment methods, payment intents and charges: one function for each call of the API."""

import copy
import re
from typing import Any

import stripe

from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.cards import CARDS, NAMES, Card, declined
from deploy.stripe_stand_in.disputes import dispute
from deploy.stripe_stand_in.errors import Refusal, not_played
from deploy.stripe_stand_in.shapes import shape

_EMAIL = re.compile(r"[\x21-\x3f\x41-\x7e]+@[A-Za-z0-9.-]+\.[A-Za-z0-9-]{2,}")
LEAST, MOST = 1, 99_999_999
LEAST_OF = {
    **dict.fromkeys(("aud", "brl", "cad", "chf", "eur", "inr", "jpy", "nzd", "sgd", "usd"), 50),
    "aed": 200, "bgn": 100, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "mxn": 1000, "myr": 200,
    "nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000,
}  # fmt: skip
EXPIRY = (12, 2040)  # month and year of cards of which nobody says it
ADDRESS = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}
CHECKS = {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"}


def card_of(books: Books, method: Object) -> Card:
    return CARDS[books.numbers[method["id"]]]


def new_method(
    books: Books,
    number: str,
    *,
    email: str | None = None,
    name: str | None = None,
    expiry: tuple[int, int] = EXPIRY,
) -> Object:
    """A payment method for the card of that number."""
    card = CARDS[number]
    details = shape(
        stripe.PaymentMethod.Card, brand=card.brand, display_brand=card.brand, exp_month=expiry[0], exp_year=expiry[1],
        funding="credit", last4=number[-4:], country="US", checks=CHECKS, fingerprint=f"fp{number[-8:]}",
        networks={"available": [card.brand], "preferred": None}, three_d_secure_usage={"supported": True},
    )  # fmt: skip
    person = shape(stripe.PaymentMethod.BillingDetails, address=dict(ADDRESS), email=email, name=name)
    method = books.add(
        stripe.PaymentMethod, "pm", type="card", card=details, billing_details=person, metadata={}
    )
    books.numbers[method["id"]] = number
    return method


def find_method(books: Books, which: str) -> Object:
    """One that was made here, or a new one for the name of a test card."""
    if which in NAMES:
        return new_method(books, NAMES[which])
    return books.find("payment_method", which, "payment_method")


def create_intent(books: Books, params: dict[str, Any]) -> Object:
    if method := books.objects.get(params.get("payment_method", "")):
        refuse_detached(books, method)
    intent = new_intent(books, params)
    if params.get("confirm"):
        return confirm_intent(books, intent, params)
    if params.get("off_session"):
        raise Refusal(400, "off_session can only be set when confirm=true.", param="off_session")
    return intent


def new_intent(books: Books, params: dict[str, Any]) -> Object:
    check_amount(params["amount"], params["currency"])
    if customer := params.get("customer"):
        books.find("customer", customer, "customer")
    named = ("customer", "description", "receipt_email", "setup_future_usage", "statement_descriptor_suffix")
    intent = books.add(
        stripe.PaymentIntent, "pi", amount=params["amount"], currency=params["currency"], amount_capturable=0,
        amount_received=0, amount_details={"tip": {}}, capture_method="automatic_async", confirmation_method="automatic",
        metadata=params.get("metadata") or {}, payment_method_types=["card"], status="requires_payment_method",
        **{name: params.get(name) for name in named},
    )  # fmt: skip
    intent["client_secret"] = f"{intent['id']}_secret_stand_in"
    if which := params.get("payment_method"):
        intent["payment_method"] = find_method(books, which)["id"]
        intent["status"] = "requires_confirmation"
    books.tell("payment_intent.created", intent)
    return intent


def check_amount(amount: int, currency: str) -> None:
    if amount < LEAST:
        text = "This value must be greater than or equal to 1."
        raise Refusal(400, text, code="parameter_invalid_integer", param="amount")
    if amount < (least := LEAST_OF.get(currency, LEAST)):
        text = f"Amount must be at least {least} of the smallest unit of {currency}."
        raise Refusal(400, text, code="amount_too_small", param="amount")
    if amount > MOST:
        raise Refusal(400, "Amount must be no more than 999,999.99.", code="amount_too_large", param="amount")
    if not (currency.isascii() and currency.isalpha() and currency.islower() and len(currency) == 3):
        raise Refusal(400, f"Invalid currency: {currency}.", param="currency")


def check_email(email: str | None, param: str) -> None:
    if email and not _EMAIL.fullmatch(email):
        raise Refusal(400, f"Invalid email address: {email}", code="email_invalid", param=param)


def confirm_intent(books: Books, intent: Object, params: dict[str, Any]) -> Object:
    """Charge its card. Without anybody there, 3-D Secure cannot be done, so the card is declined for that."""
    if intent["status"] in ("succeeded", "canceled"):
        raise unexpected(intent, "confirm")
    if which := params.get("payment_method"):
        intent["payment_method"] = find_method(books, which)["id"]
    if not intent["payment_method"]:
        text = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise Refusal(400, text, code="payment_intent_unexpected_state", payment_intent=intent)
    method = books.find("payment_method", intent["payment_method"])
    refuse_detached(books, method)
    if method["customer"] != intent["customer"] and method["customer"]:
        raise Refusal(400, "The payment method belongs to another customer.", param="payment_method")
    if asks_now(books, method):
        if params.get("off_session"):
            raise fail(books, intent, "authentication_required", "authentication_required")
        intent["status"] = "requires_action"
        url = f"{books.base}/authenticate/{intent['id']}"
        intent["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"url": url, "return_url": params.get("return_url")},
        }
        books.tell("payment_intent.requires_action", intent)
        return intent
    return charge(books, intent)


def asks_now(books: Books, method: Object) -> bool:
    asks = card_of(books, method).asks
    return asks == "always" or (asks == "once" and method["id"] not in books.set_up)


def charge(books: Books, intent: Object) -> Object:
    """Take the money, or raise the Refusal of a declined card."""
    method = books.find("payment_method", intent["payment_method"])
    card = card_of(books, method)
    if card.code:
        raise fail(books, intent, card.code, card.decline)
    taken = _new_charge(books, intent, method, status="succeeded")
    intent.update(
        status="succeeded", amount_received=intent["amount"], latest_charge=taken["id"], next_action=None,
        last_payment_error=None,
    )  # fmt: skip
    if intent["setup_future_usage"] and intent["customer"]:
        keep_method(books, method, intent["customer"])
    books.tell("charge.succeeded", taken)
    books.tell("payment_intent.succeeded", intent)
    if card.disputed:
        dispute(books, taken)
    return intent


def fail(books: Books, intent: Object, code: str, decline: str) -> Refusal:
    """What a declined card leaves behind, and the error that says so."""
    method = books.find("payment_method", intent["payment_method"])
    refusal = declined(code, decline, payment_method=method)
    failed = _new_charge(books, intent, method, status="failed")
    failed.update(
        failure_code=code, failure_message=str(refusal), paid=False, captured=False, amount_captured=0
    )
    intent.update(
        status="requires_payment_method", payment_method=None, next_action=None, latest_charge=failed["id"],
        last_payment_error=refusal.body["error"],
    )  # fmt: skip
    books.tell("charge.failed", failed)
    books.tell("payment_intent.payment_failed", intent)
    refusal.body["error"] = {**refusal.body["error"], "charge": failed["id"], "payment_intent": intent}
    return refusal


def _new_charge(books: Books, intent: Object, method: Object, *, status: str) -> Object:
    card = method["card"]
    details = shape(
        stripe.Charge.PaymentMethodDetails.Card, exp_month=card["exp_month"], exp_year=card["exp_year"],
        brand=card["brand"], last4=card["last4"], funding="credit", country="US", checks=CHECKS,
        fingerprint=card["fingerprint"], network=card["brand"], amount_authorized=intent["amount"],
    )  # fmt: skip
    return books.add(
        stripe.Charge, "ch", amount=intent["amount"], amount_captured=intent["amount"], amount_refunded=0,
        billing_details=shape(stripe.Charge.BillingDetails, **_person(method)), captured=True,
        currency=intent["currency"], disputed=False, metadata=dict(intent["metadata"]), paid=True, refunded=False,
        status=status, customer=intent["customer"], description=intent["description"], payment_intent=intent["id"],
        payment_method=method["id"], payment_method_details={"type": "card", "card": details},
    )  # fmt: skip


def _person(method: Object) -> dict[str, Any]:
    return {name: method["billing_details"][name] for name in ("address", "email", "name", "phone")}


def cancel_intent(books: Books, intent: Object, params: dict[str, Any]) -> Object:
    if intent["status"] in ("succeeded", "canceled"):
        raise unexpected(intent, "cancel")
    reason = params.get("cancellation_reason")
    intent.update(status="canceled", canceled_at=books.now(), cancellation_reason=reason)
    books.tell("payment_intent.canceled", intent)
    return intent


def unexpected(intent: Object, verb: str) -> Refusal:
    text = f"You cannot {verb} this {intent['object']} because it has a status of {intent['status']}."
    more: dict[str, Any] = {intent["object"]: intent}
    return Refusal(400, text, code=f"{intent['object']}_unexpected_state", **more)


def create_method(books: Books, params: dict[str, Any]) -> Object:
    """Of a token alone: numbers of cards are entered at Stripe, never sent by programs."""
    token = (params.get("card") or {}).get("token", "")
    number = NAMES.get(token.replace("tok_", "pm_card_", 1))
    if params.get("type") != "card" or not number:
        raise not_played("other payment methods than cards by their test tokens, such as tok_visa")
    return new_method(books, number)


def attach_method(books: Books, method: Object, params: dict[str, Any]) -> Object:
    customer = books.find("customer", params["customer"], "customer")
    refuse_detached(books, method)
    card = card_of(books, method)
    if card.code and not card.saves:
        raise declined(card.code, card.decline)
    method["customer"] = customer["id"]
    books.tell("payment_method.attached", method)
    return method


def keep_method(books: Books, method: Object, customer: str) -> None:
    """Keep it with the customer, after its owner has been there to allow that."""
    if card_of(books, method).asks:
        books.set_up.append(method["id"])
    if method["customer"] != customer:
        method["customer"] = customer
        books.tell("payment_method.attached", method)


def detach_method(books: Books, method: Object, params: dict[str, Any]) -> Object:
    if not method["customer"]:
        text = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise Refusal(400, text)
    before = {"customer": method["customer"]}
    method["customer"] = None
    books.detached.append(method["id"])
    books.tell("payment_method.detached", method, before)
    return method


def refuse_detached(books: Books, method: Object) -> None:
    if method["id"] in books.detached:
        text = "The provided PaymentMethod was detached from a Customer. It may not be used again."
        raise Refusal(400, text)


def update_method(books: Books, method: Object, params: dict[str, Any]) -> Object:
    before = {name: copy.deepcopy(method[name]) for name in params}
    for name, value in params.items():
        method[name] = {**method[name], **value}
    books.tell("payment_method.updated", method, before)
    return method


def change_card(books: Books, wish: dict[str, Any]) -> None:
    """What a bank does to a saved card: `number`: from now on it does as the test card of that number; `exp_month`,
    `exp_year`, `last4`: it got a successor, of which Stripe learns by itself.
    """
    method = books.find("payment_method", wish["method"])
    if number := wish.get("number"):
        if number not in CARDS:
            raise Refusal(400, "There is no such test card.")
        books.numbers[method["id"]] = number
    if fresh := {name: wish[name] for name in ("exp_month", "exp_year", "last4") if name in wish}:
        before = {"card": {name: method["card"][name] for name in fresh}}
        method["card"] = {**method["card"], **fresh}
        books.tell("payment_method.automatically_updated", method, before)
