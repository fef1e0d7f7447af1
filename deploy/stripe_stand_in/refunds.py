"""Refunds: made by programs, and what becomes of them later by itself."""

from typing import Any

import stripe

from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.errors import Refusal
from deploy.stripe_stand_in.payments import card_of

SETTLES_AFTER = 60  # seconds


def create_refund(books: Books, params: dict[str, Any]) -> Object:
    """Send money of a charge back, all that is left of it or a part."""
    refunded = _charge_to_refund(books, params)
    left = refunded["amount"] - refunded["amount_refunded"]
    amount = params.get("amount", left)
    if any(each["charge"] == refunded["id"] and each["status"] != "won" for each in books.all("dispute")):
        raise Refusal(400, f"Charge {refunded['id']} has been charged back.", code="charge_disputed")
    if not left:
        text = f"Charge {refunded['id']} has already been refunded."
        raise Refusal(400, text, code="charge_already_refunded")
    if not 1 <= amount <= left:
        text = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise Refusal(400, text, param="amount")
    card = card_of(books, books.find("payment_method", refunded["payment_method"]))
    refund = books.add(
        stripe.Refund, "re", amount=amount, currency=refunded["currency"], charge=refunded["id"],
        payment_intent=refunded["payment_intent"], reason=params.get("reason"), status=card.refund,
        metadata=params.get("metadata") or {}, destination_details={"type": "card", "card": {"type": "refund"}},
    )  # fmt: skip
    if card.settles:
        books.settling[refund["id"]] = {"at": books.now() + SETTLES_AFTER, "status": card.settles}
    before = {"amount_refunded": refunded["amount_refunded"], "refunded": refunded["refunded"]}
    refunded["amount_refunded"] += amount
    refunded["refunded"] = refunded["amount_refunded"] == refunded["amount"]
    books.tell("refund.created", refund)
    books.tell("charge.refunded", refunded, before)
    return refund


def settle_due(books: Books) -> None:
    """Let become of refunds what becomes of them by itself."""
    for which, end in list(books.settling.items()):
        if end["at"] > books.now():
            continue
        del books.settling[which]
        refund = books.find("refund", which)
        before = {"status": refund["status"]}
        refund["status"] = end["status"]
        if end["status"] == "failed":
            refund["failure_reason"] = "lost_or_stolen_card"
            refunded = books.find("charge", refund["charge"])
            refunded["amount_refunded"] -= refund["amount"]
            refunded["refunded"] = False
            books.tell("refund.failed", refund, before)
        else:
            books.tell("refund.updated", refund, before)


def _charge_to_refund(books: Books, params: dict[str, Any]) -> Object:
    if which := params.get("charge"):
        return books.find("charge", which, "charge")
    if not params.get("payment_intent"):
        text = "One of the following params should be provided for this request: payment_intent or charge."
        raise Refusal(400, text, code="parameter_missing")
    intent = books.find("payment_intent", params["payment_intent"], "payment_intent")
    if intent["status"] != "succeeded":
        text = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise Refusal(400, text, code="payment_intent_unexpected_state")
    return books.find("charge", intent["latest_charge"])
