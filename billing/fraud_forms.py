"""What staff enter about a customer and FraudRecord."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from billing.forms import LineField, TextField
from billing.models import Order
from billing.personal_text import find_personal_data


class ReportFileForm(forms.Form):
    """A report about the customer to FraudRecord; its text is published there, so it names nobody."""

    type = LineField(
        max_length=32,
        help_text="In one or two words, such as spam, phishing, chargeback, stolen card.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    severity = forms.IntegerField(min_value=1, max_value=10, help_text="From 1 (a nuisance) to 10 (a crime).")
    text = TextField(
        max_length=500,
        help_text="Published in clear. Say what happened, without name, address, mail or phone.",
    )

    def __init__(self, *args: Any, order: Order, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order = order

    def clean_type(self) -> str:
        return self._impersonal(self.cleaned_data["type"])

    def clean_text(self) -> str:
        return self._impersonal(self.cleaned_data["text"])

    def _impersonal(self, text: str) -> str:
        found = find_personal_data(text, self.order)
        if found:
            raise ValidationError(f"This contains {found}. Reports are public: say what happened without it.")
        return text


class ReportWithdrawForm(forms.Form):
    which = forms.UUIDField(widget=forms.HiddenInput)
    reason = LineField(max_length=300, help_text="Stays with us: why the report is taken back.")


class ExemptForm(forms.Form):
    reason = LineField(max_length=300, help_text="Stays with us: why you vouch for this customer.")
