"""The form of an order: plan cards, a period, and the address for the bill."""

import json
import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.utils import flatatt
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from accounts.models import Customer
from billing.address_labels import GENERAL, LABELS, labels_of
from billing.countries import COUNTRIES
from billing.forms import LineField
from billing.models import Period, Plan
from billing.money import format_money
from billing.ordering import taken
from billing.phone_hint import phone_hint, read_phone
from billing.submissions import BeganField, SubmissionField
from foundation.names import normalise_domain

ADDRESS = "Billing address"
_LONGEST = 300  # more than any field takes


class CountrySelect(forms.Select):
    """All countries. Its options are drawn once: a template for each would take half of the page's time.

    The words of each country's addresses go along for `static/js/order.js`; without it the button asks for them.
    """

    drawn = format_html_join("", '<option value="{}">{}</option>', (("", "Choose your country"), *COUNTRIES))
    labels = escape(json.dumps({"": GENERAL, **LABELS}))
    button = mark_safe(
        '<button class="button quiet without-js" name="step" value="change" formnovalidate>'
        "Name the fields as in this country</button>"
    )

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen = value if value in dict(COUNTRIES) else ""
        before, mark, after = self.drawn.partition(f'<option value="{chosen}"')
        options = mark_safe(f"{before}{mark} selected{after}")  # noqa: S308 (our own list)
        given = flatatt(self.build_attrs(self.attrs, attrs))
        return format_html(
            '<select name="{}"{} data-labels="{}">{}</select>{}',
            name,
            given,
            self.labels,
            options,
            self.button,
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
        (ADDRESS, ["name", "company", "country", "street", "city", "region", "postcode", "phone"]),
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
    city = LineField(max_length=100)
    region = LineField(max_length=100, required=False)
    postcode = LineField(max_length=20, help_text="Are there none where you live? Then enter a dash.")
    country = forms.ChoiceField(choices=[("", "Choose your country"), *COUNTRIES], widget=CountrySelect)
    phone = LineField(
        min_length=3,
        max_length=32,
        help_text="For questions about the order alone.",
        widget=forms.TextInput(attrs={"type": "tel"}),
    )
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
        for name, label in labels_of(self._entered("country"))._asdict().items():
            self.fields[name].label = label
        if hint := self.phone_hint:
            self.fields["phone"].help_text = format_html("<strong>{}</strong>", hint)

    @property
    def phone_hint(self) -> str:
        """What to look at once more in the phone number, if anything; never an error."""
        return phone_hint(self._entered("phone"), self._entered("country"))

    @property
    def price(self) -> str:
        """Of a valid form: `59.00 USD a year`."""
        plan, period = self.cleaned_data["plan"], self.cleaned_data["period"]
        return f"{format_money(plan.price(period), plan.currency)} a {period.removesuffix('ly')}"

    @property
    def address(self) -> list[tuple[str, str]]:
        """Of a valid form: what stands in the billing address, as (label, text)."""
        told = {
            **self.cleaned_data,
            "country": dict(COUNTRIES)[self.cleaned_data["country"]],
            "phone": read_phone(self._entered("phone"), self._entered("country")) or self._entered("phone"),
        }
        names = dict(self.groups)[ADDRESS]
        return [(str(self.fields[name].label or name.title()), told[name]) for name in names if told[name]]

    def as_entered(self) -> "OrderPlaceForm":
        """The same, not yet judged: to be filled in further."""
        return OrderPlaceForm(initial={name: self.data[name] for name in self.fields if name in self.data})

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
        if self.errors:
            self.is_username_free()
        return fields

    def is_username_free(self) -> bool:
        """Whether the wished username is; where it is taken, that is among the form's errors from now on."""
        username = self.cleaned_data.get("username")
        if username and Customer.objects.filter(username=username).exists():
            self.add_error("username", taken(username))
            return False
        return True

    def _entered(self, name: str) -> str:
        return str((self.data if self.is_bound else self.initial).get(name) or "")

    def draft(self) -> dict[str, str]:
        """What was entered and is right, as it was entered, to be shown again later and elsewhere."""
        right = [name for name in self.fields if name not in self.errors and name != "submission"]
        entered = {name: self._entered(name) for name in right}
        return {name: value for name, value in entered.items() if 0 < len(value) <= _LONGEST}
