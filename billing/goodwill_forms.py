"""Forms with which staff give a customer something: credit, or months for nothing."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from billing.forms import LineField
from billing.models.free_months import MOST
from billing.money import parse_amount
from billing.submissions import SubmissionField

WHY = "Why you do this. The customer reads it."


class FreeMonthsForm(forms.Form):
    months = forms.IntegerField(
        min_value=1, max_value=MOST, help_text="The next period that is not sold yet starts so much later."
    )
    reason = LineField(max_length=500, help_text=WHY)
    submission = SubmissionField()

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="id_%s" if data is not None else "id_free_%s")


class CreditGrantForm(forms.Form):
    amount = forms.CharField(
        max_length=16, widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    )
    reason = LineField(max_length=500, help_text=WHY)
    submission = SubmissionField()

    def __init__(self, data: Any = None, *, currency: str) -> None:
        super().__init__(data, auto_id="id_%s" if data is not None else "id_credit_%s")
        self.currency = currency
        self.fields["amount"].label = f"Amount in {currency}"

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or self.cleaned_data
        if "amount" in fields:
            try:
                fields["amount_minor"] = parse_amount(fields["amount"], self.currency)
            except ValidationError as error:
                self.add_error("amount", error)
        return fields
