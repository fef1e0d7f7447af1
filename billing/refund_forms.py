"""The form with which staff send money back."""

from typing import Any

from django import forms

from billing.forms import AmountField, LineField
from billing.invoice_document import in_words
from billing.models import RefundWay, Sale
from billing.models.refund import BY_STAFF
from billing.money import format_amount, format_money
from billing.submissions import SubmissionField

NEWEST = "newest"


class RefundGiveForm(forms.Form):
    """Of one sale. `way` is "newest" (cards, newest payment first), a payment's id (its card), or how else it was sent;
    `most_minor` is what the page offers.
    """

    way = forms.ChoiceField(label="How")
    amount = AmountField()
    reference = LineField(
        max_length=100,
        required=False,
        help_text="Of what you sent yourself: what identifies it in the bank statement. The customer reads it. "
        "To a card we send it.",
    )
    reason = LineField(max_length=500, help_text="Why you do this. The customer reads it.")
    end_service = forms.BooleanField(required=False)
    submission = SubmissionField()

    def __init__(self, data: Any = None, *, sale: Sale, most_minor: int = 0) -> None:
        amount = format_amount(most_minor, sale.currency)
        super().__init__(data, initial={"amount": amount, "end_service": True})
        self._offer_end(sale)
        self.fields["amount"].currency = sale.currency  # type: ignore[attr-defined]
        self.cards = {str(payment.pk): payment for payment in sale.refundable_cards}
        ways = [
            (key, f"To the card {each.card or each.reference}, {format_money(each.kept_minor, sale.currency)} at most")
            for key, each in self.cards.items()
        ]  # fmt: skip
        if len(ways) > 1:
            ways.insert(0, (NEWEST, "To the cards, the newest payment first"))
        ways += [(way.value, f"{way.label}, which you have sent") for way in BY_STAFF]
        self.fields["way"].choices = ways  # type: ignore[attr-defined]

    def _offer_end(self, sale: Any) -> None:
        """Where a period is to come, and the service goes on so far."""
        end = self.fields["end_service"]
        if sale.is_to_come and not sale.subscription.ended_at and not sale.subscription.cancellation:
            end.label = f"If all of it goes back, end the service on {in_words(sale.ends_without_it)}"
            end.help_text = "Otherwise the period is asked for again, by an invoice of its own."
        else:
            end.initial = self.initial["end_service"] = False
            end.widget = forms.HiddenInput()

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or self.cleaned_data
        way = fields.get("way", "")
        if way in BY_STAFF and not fields.get("reference") and "reference" not in self.errors:
            self.add_error("reference", "Enter the reference of what you have sent.")
        return fields

    @property
    def wish(self) -> dict[str, Any]:
        """What `Sale.refund` takes, of a valid form."""
        fields, way = self.cleaned_data, self.cleaned_data["way"]
        by_card = way not in BY_STAFF
        return {
            "way": RefundWay.CARD if by_card else way,
            "payment": self.cards.get(way),
            "reference": "" if by_card else fields["reference"],
            "amount_minor": fields["amount"],
            "reason": fields["reason"],
            "end_service": fields["end_service"],
        }
