"""The form of a customer's billing details."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from billing.address_form import AddressForm
from billing.forms import LineField, TextField
from billing.models.billing_details import ADDRESS, MOST_RECIPIENTS, BillingDetails
from billing.vat_ids import VatIdField, read_vat_id
from foundation.forms import VerbForm
from foundation.names import normalise_domain


class RecipientsField(TextField):
    """Addresses, one on a line. Cleaned: a list without doubles, their domains in ASCII."""

    widget = forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})

    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in super().clean(value).split("\n")]
        addresses = list(dict.fromkeys(_sendable(line.lower()) for line in lines if line))
        if len(addresses) > MOST_RECIPIENTS:
            raise ValidationError(f"Enter at most {MOST_RECIPIENTS} addresses.")
        return addresses

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


def _sendable(entered: str) -> str:
    """The address as mail is sent to it; ValidationError for one that mail software may choke on."""
    local, _, domain = entered.rpartition("@")
    try:
        address = f"{local}@{normalise_domain(domain)}"
        validate_email(address)
    except ValidationError:
        address = ""
    if not address or '"' in address or len(address) > 254:
        raise ValidationError(f"{entered[:100]} is no mail address that invoices can be sent to.")
    return address


class BillingDetailsForm(AddressForm, VerbForm):
    """What stands on invoices, and who gets them. Cleaned: the fields of `change_details`."""

    groups = [
        ("Address", ["name", "company", "country", "street", "city", "region", "postcode", "vat_id"]),
        ("Invoices", ["reference", "recipients"]),
    ]

    vat_id = VatIdField()
    reference = LineField(
        max_length=100,
        required=False,
        label="Your reference",
        help_text="Such as the number of a purchase order. It stands on invoices.",
    )
    recipients = RecipientsField(
        max_length=2000,
        required=False,
        label="Also send invoices to",
        help_text=f"Mail addresses, one on a line, at most {MOST_RECIPIENTS}. They get invoices and nothing else.",
    )

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or self.cleaned_data
        if {"vat_id", "country", "postcode"} <= fields.keys():
            try:
                fields["vat_id"] = read_vat_id(fields["vat_id"], fields["country"], fields["postcode"])
            except ValidationError as error:
                self.add_error(None, error)
        return fields


def values_of(details: BillingDetails) -> dict[str, Any]:
    """What the form begins with."""
    return {name: getattr(details, name) for name in (*ADDRESS, "vat_id", "reference", "recipients")}
