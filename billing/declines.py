"""Why a bank declines a card, in words for its owner (https://docs.stripe.com/declines/codes).

Of a card that is reported lost or stolen Stripe asks to say no more than that the bank declined it.
"""

AUTHENTICATION = frozenset(
    {
        "authentication_required", "offline_pin_required", "online_or_offline_pin_required",
        "payment_intent_authentication_failure",
    }
)  # fmt: skip
# What no later attempt with the same card mends.
FINAL = frozenset(
    {
        "card_not_supported", "currency_not_supported", "expired_card", "fraudulent", "incorrect_number",
        "invalid_account", "invalid_number", "lost_card", "merchant_blacklist", "new_account_information_available",
        "pickup_card", "restricted_card", "revocation_of_all_authorizations", "revocation_of_authorization",
        "stolen_card", "stop_payment_order",
    }
)  # fmt: skip
GONE = "The card was taken off at Stripe."
REFUSED = "Stripe cannot charge this card."
NOT_DUE = "It was not needed any more."
ENDED = "The payment was ended at Stripe."
_PLAIN = "The bank declined the card and does not say why."
_WORDS = {
    "authentication_required": "The bank wants to hear from you first.",
    "card_not_supported": "The card cannot be used for such payments.",
    "card_velocity_exceeded": "The card has reached its limit.",
    "currency_not_supported": "The card cannot pay in this currency.",
    "expired_card": "The card has expired.",
    "insufficient_funds": "There is not enough money on the card.",
    "invalid_account": "The card's account does not exist any more.",
    "issuer_not_available": "The bank could not be reached.",
    "new_account_information_available": "The bank has given out a new card in place of this one.",
    "processing_error": "The bank could not work the payment just now.",
    "reenter_transaction": "The bank could not work the payment just now.",
    "try_again_later": "The bank could not work the payment just now.",
    "withdrawal_count_limit_exceeded": "The card has reached its limit.",
}  # fmt: skip


def reason_of(word: str) -> str:
    """A sentence for Stripe's word (`decline_code`, or `code` where there is none)."""
    return _WORDS.get(word, _PLAIN)
