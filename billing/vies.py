"""VIES, by which the member states of the European Union say whether a VAT id is valid: the one place that knows how
its REST service is spoken to.

Source: the Commission's description of the service, https://ec.europa.eu/assets/taxud/vow-information/swagger_publicVAT.yaml.
An outage of one state comes as `valid: false` with an error beside it, so the error is looked at first; a verdict comes with
status 200 alone.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from foundation import outbound

DEADLINE = 20.0  # seconds in all; some member states take fifteen
MAX_ANSWER_BYTES = 64 * 1024
# Errors that the same question will bring again: the fault is in it, or in our own VAT id.
_OUR_FAULT = frozenset({"INVALID_INPUT", "INVALID_REQUESTER_INFO", "VAT_BLOCKED", "IP_BLOCKED"})
_VERDICTS = frozenset({"", "VALID", "INVALID"})


class ViesError(Exception):
    """No answer. `retry`: an outage, ask again later; otherwise ours to mend. The text never holds what was sent."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(frozen=True)
class Answer:
    """`consultation`: VIES's number of the check, which proves it; empty unless the seller's own VAT id was given."""

    is_valid: bool
    consultation: str


def is_on() -> bool:
    """Whether the operator allows this question over the network."""
    return bool(settings.VIES)


def check(vat_id: str, *, requester: str = "") -> Answer:
    """Ask about a VAT id of a member state, with its prefix; `requester` is the seller's own. Raises ViesError."""
    question = {"countryCode": vat_id[:2], "vatNumber": vat_id[2:]}
    if requester:
        question |= {"requesterMemberStateCode": requester[:2], "requesterNumber": requester[2:]}
    reply = _call(question)
    if (error := _error(reply)) not in _VERDICTS:
        raise ViesError(f"VIES gave the error {error}.", retry=error not in _OUR_FAULT)
    if not isinstance(valid := reply.get("valid"), bool):
        raise ViesError("VIES gave an answer that is none.", retry=True)
    number = reply.get("requestIdentifier")
    return Answer(valid, re.sub(r"[^0-9A-Za-z-]", "", number)[:40] if isinstance(number, str) else "")


def _call(question: dict[str, str]) -> dict[str, Any]:
    try:
        reply = outbound.fetch(
            "POST",
            f"{settings.VIES_URL}/check-vat-number",
            json=question,
            headers={"Accept": "application/json"},
            deadline=DEADLINE,
            max_bytes=MAX_ANSWER_BYTES,
        )
    except outbound.OutboundError as error:
        raise ViesError(f"VIES could not be asked: {error}", retry=error.retry) from error
    try:
        answer = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise ViesError(
            f"VIES answered with status {reply.status}, and nothing in it.", retry=True
        ) from error
    if not isinstance(answer, dict):
        raise ViesError("VIES gave an answer that is none.", retry=True)
    if reply.status != 200 and _error(answer) in _VERDICTS:
        raise ViesError(f"VIES answered with status {reply.status}, and no error in it.", retry=True)
    return answer


def _error(reply: dict[str, Any]) -> str:
    """The code of the error in an answer; empty or a verdict where there is none. Only codes come out of it."""
    wrappers = reply.get("errorWrappers")
    first = wrappers[0] if isinstance(wrappers, list) and wrappers else {}
    code = first.get("error") if isinstance(first, dict) else None
    found = code or reply.get("userError") or ""
    text = found.upper() if isinstance(found, str) else "?"
    return text if re.fullmatch(r"[A-Z_]{0,60}", text) else "UNKNOWN"
