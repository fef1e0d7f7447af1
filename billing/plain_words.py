"""Text as it is compared: neither case, accents, punctuation nor spacing tells two apart."""

import re
import unicodedata


def plain_words(text: str) -> str:
    """Lower case without accents, everything but letters and digits as single spaces."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return " ".join(re.findall(r"\w+", plain.casefold().replace("_", " ")))


def plain_digits(text: str) -> str:
    """The digits alone, of whatever script, as 0 to 9."""
    return "".join(
        str(unicodedata.digit(sign)) for sign in unicodedata.normalize("NFKC", text) if sign.isdigit()
    )
