import re
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from billing.models import BY_HAND
from billing.money import parse_amount
from billing.submissions import SubmissionField

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # written inside words of several scripts


class LineField(forms.CharField):
    """One line of plain text: no control characters, line breaks, or marks that turn the direction."""

    def validate(self, value: str) -> None:
        super().validate(value)
        if any(unicodedata.category(sign) in _INVISIBLE and sign not in _JOINERS for sign in value):
            raise ValidationError("Use one line of ordinary characters here.", code="not_one_line")


class AmountField(forms.CharField):
    """An amount in `currency`, which its form sets. Cleaned: minor units."""

    currency = "USD"

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(**{"max_length": 16, "widget": widget, **kwargs})

    def clean(self, value: Any) -> int:
        return parse_amount(super().clean(value), self.currency)


class TextField(forms.CharField):
    """Several lines of plain text."""

    widget = forms.Textarea(attrs={"rows": 4})

    def validate(self, value: str) -> None:
        super().validate(value)
        if any(unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\r\t" for sign in value):
            raise ValidationError("Use ordinary characters here, no control characters.", code="control")

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value) or "").replace("\r\n", "\n")


class OrderAnswerForm(forms.Form):
    text = TextField(max_length=2000, label="Your answer")


class ServiceEndForm(forms.Form):
    reason = LineField(
        max_length=500,
        help_text="Why you do this. The members of the customer read it on their page of changes.",
    )


class PaymentRecordForm(forms.Form):
    """Money that came in for an order, as the bank shows it."""

    method = forms.ChoiceField(choices=[(method.value, method.label) for method in BY_HAND])
    reference = LineField(
        max_length=100, required=False, help_text="What identifies it in the bank statement."
    )
    amount = forms.CharField(
        max_length=16, widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    )
    currency = forms.CharField(
        max_length=3, min_length=3, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    submission = SubmissionField()

    def clean_currency(self) -> str:
        currency = self.cleaned_data["currency"]
        if not re.fullmatch(r"[A-Za-z]{3}", currency):
            raise ValidationError("Enter the three letters of a currency, such as USD.")
        return currency.upper()

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or self.cleaned_data
        if "amount" in fields and "currency" in fields:
            try:
                fields["amount_minor"] = parse_amount(fields["amount"], fields["currency"])
            except ValidationError as error:
                self.add_error("amount", error)
        return fields


class ShownSumForm(forms.Form):
    """Confirms what costs something. `total_minor`: the sum that was shown, in the minor unit."""

    total_minor = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
