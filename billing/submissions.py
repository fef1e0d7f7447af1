"""The same form sent twice (a double click, a repeated request) is one submission.

A page carries a hidden `submission` token. A program that posts without it is known by what it sent:
identical fields with an identical CSRF token within five seconds. Callers hold a row lock that brings
submissions into a line; a unique constraint on the token stands behind that.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

REPEAT_WITHIN = timedelta(seconds=5)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,64}")
_Model = TypeVar("_Model", bound=models.Model)


@dataclass(frozen=True)
class Submission:
    """`token` names it; `fingerprint` is a keyed hash of what was sent; `is_given`: the form had a token."""

    token: str
    fingerprint: str
    is_given: bool

    def earlier(self, rows: "models.QuerySet[_Model]", at: str) -> "_Model | None":
        """What this very submission has already made among `rows` (whose time of making is the field `at`).

        ValidationError when the same form was sent before with other content.
        """
        if not self.is_given:
            recent = {f"{at}__gte": timezone.now() - REPEAT_WITHIN}
            return rows.filter(fingerprint=self.fingerprint, **recent).first()
        row = rows.filter(submission=self.token).first()
        if row is not None and row.fingerprint != self.fingerprint:  # type: ignore[attr-defined]
            raise ValidationError(
                "This form was sent before with other details, and what it asked for was done. "
                "If you want it once more with the details below, press the button again.",
                code="submission_used",
            )
        return row


def read_submission(fields: Mapping[str, Any], posted: Mapping[str, str]) -> Submission:
    """The submission of a valid form: `fields` its cleaned data, `posted` what came over the wire."""
    token = posted.get("submission", "")
    is_given = bool(_TOKEN.fullmatch(token))
    sent = {name: str(value) for name, value in fields.items() if name not in ("submission", "began")}
    sent["csrf"] = "" if is_given else posted.get("csrfmiddlewaretoken", "")
    fingerprint = salted_hmac(
        "billing.submission", json.dumps(sent, sort_keys=True), algorithm="sha256"
    ).hexdigest()
    return Submission(token if is_given else new_token(), fingerprint, is_given)


def new_token() -> str:
    return secrets.token_urlsafe(24)


class SubmissionInput(forms.HiddenInput):
    """A hidden input that holds a new token each time it is drawn, whatever was sent before."""

    def format_value(self, value: object) -> str:
        return new_token()


class SubmissionField(forms.CharField):
    """Carries the token of a form; without one, or with a damaged one, the content tells."""

    widget = hidden_widget = SubmissionInput

    def __init__(self) -> None:
        super().__init__(required=False)

    def clean(self, value: Any) -> str:
        return str(value or "")[:64]


def _stamp() -> str:
    return signing.dumps(int(timezone.now().timestamp() * 10), salt="billing.began")


class BeganField(forms.CharField):
    """Carries when the form was first shown, signed; it stays the same when the form comes back with errors.

    Cleaned: a datetime, or None where nothing, or nothing of ours, came back.
    """

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False, initial=_stamp)

    def clean(self, value: Any) -> datetime | None:
        try:
            tenths = signing.loads(str(value or "")[:200], salt="billing.began")
            return datetime.fromtimestamp(tenths / 10, UTC)
        except (signing.BadSignature, TypeError, ValueError, OverflowError):
            return None
