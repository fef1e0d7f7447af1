"""FraudRecord, version 1 of its protocol: the one place that knows how the service is spoken to.

Sources: FraudRecord's developer and data-conversion pages (https://www.fraudrecord.com/developers/).
Everything goes by POST: a GET would put the key and the hashes into logs.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

import requests
from django.conf import settings
from urllib3.exceptions import NewConnectionError

from billing.signals import key_answered
from foundation import outbound

# What is sent, each as a hash of its own, and what the order page and the privacy notice call it.
FIELDS = {
    "name": "name",
    "company": "company",
    "email": "e-mail address",
    "address": "postal address (street, town, region)",
    "phone": "phone number",
    "ip": "network address",
    "domain": "domain",
}
MAX_ANSWER_BYTES = 64 * 1024
_ROUNDS = 32_000
_ENDS = " \t\n\r\0\x0b"
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_REPORT = re.compile(r"<report>([0-9]{1,9})-([0-9]{1,9})-(0\.0|[1-9]\.[0-9]|10\.0)-([0-9a-f]{16})</report>")
_REPORTED = re.compile(r"OK:([0-9A-Za-z]{1,64})")
_DELETED = re.compile(r"OK(:[0-9A-Za-z]{1,64})?")
# Answers that the same question will bring again: the fault is in our key or in our request.
_OUR_KEY = ("ERR:API", "ERR:NOT-APPROVED")
_OUR_FAULT = (*_OUR_KEY, "ERR:ACTION", "ERR:DATA", "NODATA")


class FraudRecordError(Exception):
    """No verdict. `retry`: an outage, ask again later; otherwise ours to mend (the key, the request).

    `reached`: the service may have acted on the call although its answer was not understood. `refusal`: the error of
    the protocol that it answered with, one of ours, or empty.
    The text never holds what was sent or what came back.
    """

    def __init__(self, message: str, *, retry: bool, reached: bool = False, refusal: str = "") -> None:
        super().__init__(message)
        self.retry = retry
        self.reached = reached
        self.refusal = refusal


@dataclass(frozen=True)
class Verdict:
    """What others reported: sum of severities, number of reports, reliability (0.0 or 1.0 to 10.0), code."""

    value: int
    count: int
    reliability: Decimal
    code: str


def is_on() -> bool:
    """Whether this installation has a key; without one every order goes to staff."""
    return bool(settings.FRAUDRECORD_API_KEY)


def why_off(country: str) -> str:
    """Why nothing about a customer in `country` (ISO 3166) is sent, in words for staff; empty where it may be."""
    if not is_on():
        return "FraudRecord is switched off here: it has no key."
    if country in settings.FRAUDRECORD_OFF_COUNTRIES:
        return "FraudRecord is switched off for this country: nothing about the customer is sent there."
    return ""


def report_url(code: str) -> str:
    """The page of a report, to which integrations are required to link."""
    return f"https://www.fraudrecord.com/api/?showreport={code}"


def query(details: Mapping[str, str]) -> Verdict:
    """Ask about `details`: keys of FIELDS, values in clear, empty ones left out. Hashing takes 25 ms each.

    Raises FraudRecordError.
    """
    answer = _call({"_action": "query"} | _hashed(details))
    match = _REPORT.fullmatch(answer)
    if not match:
        raise FraudRecordError("FraudRecord gave an answer that is not a verdict.", retry=True, reached=True)
    verdict = Verdict(int(match[1]), int(match[2]), Decimal(match[3]), match[4])
    if verdict.count == 0 and verdict.value:
        raise FraudRecordError(
            "FraudRecord gave an answer that contradicts itself.", retry=True, reached=True
        )
    return verdict


def report(details: Mapping[str, str], *, kind: str, severity: int, text: str) -> str:
    """File a report on the person behind `details`; returns the report's code. `text` is published in clear.

    Raises FraudRecordError.
    """
    words = {"_action": "report", "_type": kind, "_text": text, "_value": str(severity)}
    match = _REPORTED.fullmatch(_call(words | _hashed(details)))
    if not match:
        raise FraudRecordError("FraudRecord did not confirm the report.", retry=True, reached=True)
    return match[1]


def delete(code: str) -> None:
    """Delete the report of ours with this code. Deleting twice does no harm.

    Raises FraudRecordError; `refusal` is ERR:DATA where the service knows no such report of ours.
    """
    if not _DELETED.fullmatch(_call({"_action": "delete", "_code": code})):
        raise FraudRecordError("FraudRecord did not confirm the deletion.", retry=True, reached=True)


@contextmanager
def telling_of_our_key() -> Iterator[None]:
    """Around a call: says to the apps above whether our key was taken or refused; of outages nothing."""
    try:
        yield
    except FraudRecordError as error:
        if error.refusal in _OUR_KEY:
            key_answered.send_robust(None, refusal=error.refusal)
        raise
    key_answered.send_robust(None, refusal="")


def normalise(field: str, value: str) -> str:
    """As FraudRecord's PHP does: ends stripped, no spaces, ASCII lower-cased; a domain without `www.`."""
    plain = value.strip(_ENDS).replace(" ", "").translate(_ASCII_LOWER)
    return plain.removeprefix("www.") if field == "domain" else plain


def fraud_hash(value: str) -> str:
    """40 lower-case hex digits: 32,000 rounds of SHA-1 over "fraudrecord-" and the round before."""
    for _ in range(_ROUNDS):
        value = hashlib.sha1(b"fraudrecord-" + value.encode()).hexdigest()  # noqa: S324 (their protocol)
    return value


def normalised(details: Mapping[str, str]) -> dict[str, str]:
    """Of the fields that are sent, those that are not empty, as they are hashed."""
    plain = {field: normalise(field, details.get(field, "")) for field in FIELDS}
    return {field: value for field, value in plain.items() if value}


def _hashed(details: Mapping[str, str]) -> dict[str, str]:
    return {field: fraud_hash(value) for field, value in normalised(details).items()}


def _call(words: dict[str, str]) -> str:
    try:
        reply = outbound.fetch(
            "POST",
            settings.FRAUDRECORD_URL,
            data=words | {"_api": settings.FRAUDRECORD_API_KEY},
            deadline=settings.FRAUDRECORD_DEADLINE,
            max_bytes=MAX_ANSWER_BYTES,
        )
    except outbound.OutboundError as error:
        text = f"FraudRecord could not be asked: {error}"
        raise FraudRecordError(text, retry=error.retry, reached=_left_us(error.__cause__)) from error
    if reply.status != 200:
        raise FraudRecordError(f"FraudRecord answered with status {reply.status}.", retry=True, reached=True)
    answer = reply.body.decode("ascii", errors="replace").strip()
    if answer in _OUR_FAULT:
        raise FraudRecordError(f"FraudRecord refused the call: {answer}.", retry=False, refusal=answer)
    return answer


def _left_us(cause: BaseException | None) -> bool:
    """Whether the request may have reached the service: false where no connection came about."""
    if isinstance(cause, requests.ConnectTimeout):
        return False
    reason = getattr(cause.args[0], "reason", None) if cause and cause.args else None
    return not isinstance(reason, NewConnectionError)
