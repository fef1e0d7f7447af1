"""VAT ids: read from a form, and asked about at VIES until it answers."""

import logging
import re
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import F
from django.utils import timezone
from stdnum.eu import vat
from stdnum.exceptions import ValidationError as NotOne

from accounts import audit, notices
from billing import vies
from billing.countries import COUNTRIES
from billing.forms import LineField
from billing.models.billing_details import BillingDetails, VatState, lock_orders
from billing.tax import EU, tax_area
from billing.taxing import tax_open_sales_anew
from foundation.unit_of_work import unit_of_work

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=1)  # for whoever asks; longer than a call may take
LONGEST_WAIT = timedelta(hours=1)
AFTER_OUR_FAULT = timedelta(days=1)
_GREECE = {"GR": "EL"}  # the one state whose prefix is not its code (Article 215 of Directive 2006/112/EC)
_PREFIXES = frozenset(_GREECE.get(state, state) for state in EU)
_FORM = re.compile(r"[A-Z]{2}[0-9A-Z]{2,18}")


class VatIdField(LineField):
    """A VAT id as people write it; `read_vat_id` judges it together with the address."""

    def __init__(self) -> None:
        super().__init__(
            max_length=40,
            required=False,
            label="VAT id",
            help_text="For businesses in the European Union.",
            widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        )


def read_vat_id(text: str, country: str, postcode: str) -> str:
    """The VAT id as it is kept (`EL094259216`), empty for an empty one. It must be of the country of the address, because
    that decides about tax; its prefix may be left out. ValidationError for the field `vat_id`.
    """
    entered = re.sub(r"[\s.\-/]", "", text).upper()
    if not entered:
        return ""
    area = tax_area(country, postcode)
    if area not in EU:
        raise _wrong("No VAT id of the European Union goes with this address. Leave it empty.")
    prefix, name = _GREECE.get(area, area), dict(COUNTRIES)[area]
    if entered.startswith(area):
        entered = prefix + entered[2:]
    for candidate in (entered, prefix + entered):
        if candidate.startswith(prefix) and (found := _validated(candidate)):
            return found
    if entered[:2] in _PREFIXES - {prefix} and _validated(entered):
        raise _wrong(
            f"This is a VAT id of another country. Enter the one of {name}, or the address that goes with it."
        )
    raise _wrong(f"This is no VAT id of {name}. They begin with {prefix}; look at it once more.")


def check_vat_id(details_id: int) -> bool:
    """Ask VIES about the VAT id of these details, if that is due; true when it answered."""
    now = timezone.now()
    due = BillingDetails.objects.filter(pk=details_id, vat_next_ask_at__lte=now)
    if not vies.is_on() or not due.update(vat_next_ask_at=now + LEASE, vat_attempts=F("vat_attempts") + 1):
        return False
    details = BillingDetails.objects.select_related("customer").get(pk=details_id)
    try:
        answer = vies.check(details.vat_id, requester=_requester())
    except vies.ViesError as error:
        _put_off(details, error)
        return False
    return _learn(details, answer)


def due_vat_ids(limit: int = 200) -> list[int]:
    """Those that the sweep has to ask about."""
    due = BillingDetails.objects.filter(vat_next_ask_at__lte=timezone.now()).order_by("vat_next_ask_at")
    return list(due.values_list("pk", flat=True)[:limit]) if vies.is_on() else []


def _learn(details: BillingDetails, answer: vies.Answer) -> bool:
    """Keep the answer, unless another id was entered meanwhile. Where it now counts or no longer does, open orders are
    taxed anew.
    """
    customer, asked = details.customer, {"pk": details.pk, "vat_id": details.vat_id, "vat_is_valid": None}
    with unit_of_work():
        lock_orders(customer)
        if not (row := BillingDetails.objects.filter(**asked).first()):
            return False
        BillingDetails.objects.filter(pk=row.pk).update(
            vat_is_valid=answer.is_valid,
            vat_checked_at=timezone.now(),
            vat_consultation=answer.consultation,
            vat_next_ask_at=None,
        )
        state = VatState.VALID if answer.is_valid else VatState.INVALID
        audit.record(
            "vat_id.check", by=None, customer=customer, subject=customer.username, after={"state": state}
        )
        if not answer.is_valid:
            notices.send_notice("billing.vat_id_invalid", details.pk)
        if row.counts_as_business != answer.is_valid:
            tax_open_sales_anew(customer, by=None)
    return True


def _put_off(details: BillingDetails, error: vies.ViesError) -> None:
    """Ask again after 2, 4, 8 … minutes, at most an hour; what is ours to mend, after a day."""
    log = logger.warning if error.retry else logger.error
    log("The VAT id of billing details %s is not checked yet: %s", details.pk, error)
    gap = min(timedelta(minutes=2 ** min(details.vat_attempts, 6)), LONGEST_WAIT)
    asked: dict[str, Any] = {"pk": details.pk, "vat_id": details.vat_id, "vat_is_valid": None}
    BillingDetails.objects.filter(**asked).update(
        vat_next_ask_at=timezone.now() + (gap if error.retry else AFTER_OUR_FAULT)
    )


def _requester() -> str:
    """The seller's own VAT id, where VIES knows such: of a member state."""
    found = _validated(settings.SELLER_VAT_ID)
    return found if found[:2] in _PREFIXES else ""


def _validated(candidate: str) -> str:
    try:
        found = str(vat.validate(candidate))
    except NotOne:
        return ""
    return found if _FORM.fullmatch(found) else ""


def _wrong(text: str) -> ValidationError:
    return ValidationError({"vat_id": text})
