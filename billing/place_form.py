"""The form of an order: plan cards, a period, and the address for the bill."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts.models import Customer
from billing.countries import COUNTRIES
from billing.forms import LineField
from billing.models import Period, Plan
from billing.ordering import taken
from billing.submissions import BeganField, SubmissionField
from foundation.names import normalise_domain


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


class PlanSelect(forms.RadioSelect):
    """Radio buttons as cards, each with what is in its plan and what that costs by each period."""

    template_name = "billing/plan_select.html"

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().create_option(name, value, *args, **kwargs), "plan": value.instance}


class OrderPlaceForm(forms.Form):
    """The order form. Cleaned: `plan` a Plan; `domain` normalised, `username` lower-cased, or empty."""

    groups = [
        ("Your account", ["username", "domain"]),
        ("Billing address", ["name", "company", "street", "city", "region", "postcode", "country", "phone"]),
        ("Agreement", ["terms"]),
    ]

    plan = forms.ModelChoiceField(
        Plan.objects.none(), to_field_name="slug", empty_label=None, widget=PlanSelect,
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
