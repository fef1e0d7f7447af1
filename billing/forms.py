import re
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts.models import Customer
from billing.countries import COUNTRIES
from billing.models import Order, PaymentMethod, Period, Plan
from billing.money import parse_amount
from billing.ordering import taken
from billing.submissions import BeganField, SubmissionField
from foundation.names import normalise_domain

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"  # written inside words of several scripts


class LineField(forms.CharField):
    """One line of plain text: no control characters, line breaks, or marks that turn the direction."""

    def validate(self, value: str) -> None:
        super().validate(value)
        if any(unicodedata.category(sign) in _INVISIBLE and sign not in _JOINERS for sign in value):
            raise ValidationError("Use one line of ordinary characters here.", code="not_one_line")


class TextField(forms.CharField):
    """Several lines of plain text."""

    widget = forms.Textarea(attrs={"rows": 4})

    def validate(self, value: str) -> None:
        super().validate(value)
        if any(unicodedata.category(sign) in {"Cc", "Cs"} and sign not in "\n\r\t" for sign in value):
            raise ValidationError("Use ordinary characters here, no control characters.", code="control")

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value) or "").replace("\r\n", "\n")


class CountrySelect(forms.Select):
    """All countries. Its options are drawn once: a template for each would take half of the page's time."""

    drawn = format_html_join("", '<option value="{}">{}</option>', (("", "Choose your country"), *COUNTRIES))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = value if value in dict(COUNTRIES) else ""
        before, mark, after = self.drawn.partition(f'<option value="{chosen}"')
        options = mark_safe(f"{before}{mark} selected{after}")  # noqa: S308 (our own list)
        return format_html(
            '<select name="{}"{}>{}</select>', name, flatatt(self.build_attrs(self.attrs, attrs)), options
        )


class OrderPlaceForm(forms.Form):
    """The order form. Cleaned: `plan` a Plan; `domain` normalised, `username` lower-cased, or empty."""

    groups = [
        ("Your account", ["username", "domain"]),
        ("Billing address", ["name", "company", "street", "city", "region", "postcode", "country", "phone"]),
        ("Agreement", ["terms"]),
    ]

    plan = forms.ModelChoiceField(
        Plan.objects.none(), to_field_name="slug", empty_label=None, widget=forms.RadioSelect,
        error_messages={"invalid_choice": "This plan is not offered. Choose one of those below."},
    )  # fmt: skip
    period = forms.ChoiceField(
        choices=Period.choices, label="Pay", widget=forms.RadioSelect, initial=Period.YEARLY
    )
    username = forms.CharField(
        required=False,
        max_length=10,
        help_text="Up to 10 letters a to z, digits and _. It names your account; empty: we choose one.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    domain = forms.CharField(
        required=False,
        max_length=260,
        help_text="The first domain you want mail for, such as example.com. You can add it later, and more.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    name = LineField(
        max_length=100, label="First and last name", widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    company = LineField(max_length=100, required=False)
    street = LineField(max_length=200, label="Street and house number")
    city = LineField(max_length=100, label="Town or city")
    region = LineField(max_length=100, required=False, label="State, province or region")
    postcode = LineField(max_length=20)
    country = forms.ChoiceField(choices=[("", "Choose your country"), *COUNTRIES], widget=CountrySelect)
    phone = LineField(min_length=3, max_length=32, widget=forms.TextInput(attrs={"type": "tel"}))
    terms = forms.BooleanField(
        label="I agree to the terms of service",
        error_messages={"required": "Agree to the terms to place the order."},
    )
    began = BeganField()
    submission = SubmissionField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plans = self.fields["plan"]
        plans.queryset = Plan.objects.filter(is_open=True)  # type: ignore[attr-defined]
        plans.label_from_instance = plan_label  # type: ignore[attr-defined]

    def clean_username(self) -> str:
        username = self.cleaned_data["username"]
        if username and not re.fullmatch(r"[A-Za-z0-9_]{1,10}", username):
            raise ValidationError("Use up to 10 letters a to z, digits and _, or leave it empty.")
        return username.lower()

    def clean_domain(self) -> str:
        domain = self.cleaned_data["domain"]
        return normalise_domain(domain) if domain else ""

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or self.cleaned_data
        plan, period = fields.get("plan"), fields.get("period")
        if plan and period and plan.price(period) is None:
            self.add_error("period", f"{plan.name} is not sold by this period. Choose the other one.")
        # Told along with other errors only. Where it is the only one, placing the order finds it: a form that is
        # sent twice has taken the username itself, and must lead to its order again.
        username = fields.get("username")
        if self.errors and username and Customer.objects.filter(username=username).exists():
            self.add_error("username", taken(username))
        return fields

    def draft(self) -> dict[str, str]:
        """The fields as they were entered, to be shown again after the visitor signed in."""
        kept = {name: str(self.data.get(name, "")) for name in self.fields if name != "submission"}
        return {name: value for name, value in kept.items() if value}


def plan_label(plan: Plan) -> str:
    return f"{plan.name}: {plan.prices}"


class OrderAnswerForm(forms.Form):
    text = TextField(max_length=2000, label="Your answer")


class ReviewDecideForm(forms.Form):
    """What staff decide about an order; `seen` is how far the conversation was when the page was drawn."""

    decision = forms.ChoiceField(
        choices=[("approve", "Approve"), ("reject", "Reject"), ("ask", "Ask the customer")],
        widget=forms.RadioSelect,
    )
    text = TextField(
        max_length=2000,
        required=False,
        help_text="Asking: the question. Rejecting: the reason. Both go to the customer by mail. "
        "Approving: a note that stays with staff.",
    )
    seen = forms.IntegerField(required=False, min_value=0, max_value=10_000, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or self.cleaned_data
        if fields.get("decision") == "ask" and not fields.get("text") and "text" not in self.errors:
            self.add_error("text", "Write the question that the customer is to answer.")
        return fields

    def decide(self, order: Order, *, by: Any) -> None:
        """Carry the decision out; OrderConflict, or ValidationError by field."""
        verb = {"approve": order.approve, "reject": order.reject, "ask": order.ask_question}
        verb[self.cleaned_data["decision"]](self.cleaned_data["text"], by=by, seen=self.cleaned_data["seen"])


class PaymentRecordForm(forms.Form):
    """Money that came in for an order, as the bank shows it."""

    method = forms.ChoiceField(choices=PaymentMethod.choices)
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
