"""The test cards: what each does when it is charged, and what Stripe says then."""

from dataclasses import dataclass
from typing import Any

from deploy.stripe_stand_in.errors import Refusal


@dataclass(frozen=True)
class Card:
    """`code` and `decline` are Stripe's words for why it is declined, empty where it is not. `asks` for 3-D Secure:
    `always`, `once` (until it was saved with it) or never. `saves`: whether it can be saved although it is declined.
    `refund` is the status that a refund begins with, `settles` what becomes of it a minute later; `disputed`: its
    owner says at once that they never paid.
    """

    number: str
    brand: str = "visa"
    code: str = ""
    decline: str = ""
    asks: str = ""
    saves: bool = True
    refund: str = "succeeded"
    settles: str = ""
    disputed: bool = False

    @property
    def message(self) -> str:
        return _MESSAGES[self.decline or self.code]


_MESSAGES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}
CARDS = {
    card.number: card
    for card in (
        Card("4242424242424242"),
        Card("5555555555554444", brand="mastercard"),
        Card("4000000000000002", code="card_declined", decline="generic_decline", saves=False),
        Card("4000000000009995", code="card_declined", decline="insufficient_funds", saves=False),
        Card("4000000000000069", code="expired_card", saves=False),
        Card("4000000000000341", code="card_declined", decline="generic_decline"),
        Card("4000002760003184", asks="always"),
        Card("4000002500003155", asks="once"),
        Card("4000000000007726", refund="pending", settles="succeeded"),
        Card("4000000000005126", settles="failed"),
        Card("4000000000000259", disputed=True),
    )
}
# The names by which programs use them, as they must never send a card's number.
NAMES = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_visa_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_chargeDeclinedExpiredCard": "4000000000000069",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_pendingRefund": "4000000000007726",
    "pm_card_refundFail": "4000000000005126",
    "pm_card_createDispute": "4000000000000259",
}


def declined(code: str, decline: str, **objects: Any) -> Refusal:
    """The error with which a charge fails; `objects` are what Stripe shows with it."""
    message = _MESSAGES[decline or code]
    return Refusal(402, message, kind="card_error", code=code, decline_code=decline, **objects)
