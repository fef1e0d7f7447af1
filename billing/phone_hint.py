"""What libphonenumber makes of a phone number. It only helps: an order is taken with whatever was entered."""

import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

_REASONS = {
    ValidationResult.TOO_SHORT: "It seems to lack digits",
    ValidationResult.TOO_LONG: "It seems to have too many digits",
    ValidationResult.INVALID_COUNTRY_CODE: "Its country code does not exist",
}


def read_phone(phone: str, country: str) -> str:
    """The number in international form (`+49 30 1234567`), read as somebody in `country` (ISO 3166-1 alpha-2) would
    dial it; empty where it is not one that exists.
    """
    number = _parsed(phone, country)
    if number is None or not phonenumbers.is_valid_number(number):
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


def phone_hint(phone: str, country: str) -> str:
    """What to look at once more, in a sentence; empty where the number looks right, or where there is none."""
    if not phone or not country or read_phone(phone, country):
        return ""
    number = _parsed(phone, country)
    reason = number and _REASONS.get(phonenumbers.is_possible_number_with_reason(number))
    why = reason or "We do not recognise it as a phone number of that country"
    return f"{why}. Look at it once more, with the country code (+…) if it is of another country."


def _parsed(phone: str, country: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(phone[:64], country)
    except phonenumbers.NumberParseException:
        return None
