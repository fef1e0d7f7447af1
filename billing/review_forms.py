"""Forms of the review desk."""

from typing import Any

from django import forms

from billing.canned_texts import LONGEST, fill
from billing.forms import LineField, TextField
from billing.models import CannedText, Order


class DecisionRadios(forms.RadioSelect):
    """Each choice has an access key."""

    keys = {"approve": "a", "reject": "r", "ask": "q"}

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        option["attrs"]["accesskey"] = self.keys[str(value)]
        return option


class ReviewDecideForm(forms.Form):
    """What staff decide about an order; `seen` is how far the conversation was when the page was drawn."""

    decision = forms.ChoiceField(
        choices=[("approve", "Approve"), ("reject", "Reject"), ("ask", "Ask the customer")],
        widget=DecisionRadios,
    )
    text = TextField(
        max_length=LONGEST,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "accesskey": "t"}),
        help_text="Asking: the question. Rejecting: the reason. Both go to the customer by mail. "
        "Approving: a note that stays with staff.",
    )
    seen = forms.IntegerField(required=False, min_value=0, max_value=10_000, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or self.cleaned_data
        if fields.get("decision") == "ask" and not fields.get("text") and "text" not in self.errors:
            self.add_error("text", "Write the question that the customer is to answer.")
        return fields

    def decide(self, order: Order, *, by: Any) -> str:
        """Carry the decision out and say what came of it; OrderConflict, or ValidationError by field."""
        decision, text, seen = (self.cleaned_data[name] for name in ("decision", "text", "seen"))
        if decision == "ask":
            order.ask_question(text, by=by, seen=seen)
            return f"The customer is asked about order {order.number}."
        verb, done = (order.approve, "approved") if decision == "approve" else (order.reject, "rejected")
        if verb(text, by=by, seen=seen):
            return f"Order {order.number} is {done}."
        return f"Your decision about order {order.number} is kept. It counts when another person decides the same."

    @classmethod
    def with_canned(cls, posted: Any, canned: CannedText, order: Order, **options: Any) -> "ReviewDecideForm":
        """The form as it was sent, with a canned text behind what was written already; nothing is decided."""
        written = posted.get("text", "").replace("\r\n", "\n").replace("\0", "").strip()
        text = "\n\n".join(part for part in (written, fill(canned.text, order)) if part)[:LONGEST]
        seen = posted.get("seen", "")
        seen = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 6 else order.seen
        form = cls(initial={"decision": canned.kind, "text": text, "seen": seen}, **options)
        form.fields["text"].widget.attrs["autofocus"] = True
        return form


class NoteAddForm(forms.Form):
    text = TextField(
        max_length=LONGEST,
        label="Note",
        widget=forms.Textarea(attrs={"rows": 3, "accesskey": "m"}),
        help_text="For staff alone. Notes stay as they are.",
    )


class RefundRecordForm(forms.Form):
    reference = LineField(
        max_length=100, help_text="What identifies the refund in the bank statement. The customer reads it."
    )
    owed_minor = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
