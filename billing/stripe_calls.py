"""What all calls of Stripe have in common: how they fail, in our words, and small readings of its objects."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import stripe

KEY_IN_USE = "idempotency_key_in_use"  # Stripe's word for a call whose twin is under way
EMAIL_INVALID = "email_invalid"
GONE = "resource_missing"
LATER = "balance_insufficient"  # our own balance at Stripe, which the next payments fill
_WORD = re.compile(r"[a-z_]{1,30}")


class StripeGatewayError(Exception):
    """Stripe did not do it, or we do not know. `retry`: the same call, under the same key, may succeed later.

    `spent`: what was answered stays the answer under this key. `code`: Stripe's word for what is wrong, or empty.
    The text never holds what was sent or what came back.
    """

    def __init__(self, message: str, *, retry: bool, spent: bool = False, code: str = "") -> None:
        super().__init__(message)
        self.retry = retry
        self.spent = spent
        self.code = code


@contextmanager
def spoken() -> Iterator[None]:
    """Around a call: turns the library's errors into ours."""
    try:
        yield
    except ValueError as error:
        raise StripeGatewayError(str(error), retry=False) from error
    except stripe.APIConnectionError as error:
        raise StripeGatewayError(f"Stripe could not be asked: {error.__cause__ or ''}", retry=True) from error
    except stripe.StripeError as error:
        status = error.http_status or 0
        code = error.code or (error.error.code if error.error else "") or ""  # of a 409 it has no `code`
        if status in (409, 429):
            raise StripeGatewayError("Stripe is busy with it.", retry=True, code=code) from error
        if status in (401, 403):
            raise StripeGatewayError("Stripe refuses our key.", retry=True, code=code) from error
        if status >= 500 or isinstance(error, stripe.IdempotencyError):
            raise StripeGatewayError(
                f"Stripe failed with status {status}.", retry=True, spent=True
            ) from error
        text = f"Stripe refused the call: {code if _WORD.fullmatch(code) else status}."
        retry = not status or code == LATER
        raise StripeGatewayError(text, retry=retry, spent=True, code=code) from error


def id_of(found: "str | stripe.PaymentIntent | stripe.Customer | stripe.PaymentMethod | None") -> str:
    """The id of what is there, expanded or not; empty where nothing is."""
    return found or "" if isinstance(found, str | None) else found.id


def named(metadata: stripe.StripeObject | None, name: str) -> str:
    """What we called it, under this name; empty where we did not."""
    return str(metadata[name]) if metadata is not None and name in metadata else ""
