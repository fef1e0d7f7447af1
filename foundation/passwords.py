"""Rules for passwords, of people and of mailboxes (NIST SP 800-63B: length and common ones, no composition)."""

from typing import Any

from django.core.exceptions import ValidationError


class MaximumLengthValidator:
    """Refuses more than `max_length` characters, so that hashing has a bound."""

    def __init__(self, max_length: int = 128) -> None:
        self.max_length = max_length

    def validate(self, password: str, user: Any = None) -> None:
        if len(password) > self.max_length:
            raise ValidationError(
                f"This password has more than {self.max_length} characters.", code="password_too_long"
            )

    def get_help_text(self) -> str:
        return f"Your password can have up to {self.max_length} characters."
