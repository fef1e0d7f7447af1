"""Forms with which staff give a customer something: credit, or months for nothing."""

from typing import Any

from django import forms

from billing.forms import AmountField, LineField
from billing.models.free_months import MOST
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
    amount = AmountField()
    reason = LineField(max_length=500, help_text=WHY)
    submission = SubmissionField()

    def __init__(self, data: Any = None, *, currency: str) -> None:
        super().__init__(data, auto_id="id_%s" if data is not None else "id_credit_%s")
        self.currency = currency
        amount: Any = self.fields["amount"]
        amount.currency, amount.label = currency, f"Amount in {currency}"
