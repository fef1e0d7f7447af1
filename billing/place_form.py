"""The form of an order: plan cards, a period, and the address for the bill."""

import re
from dataclasses import replace
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.html import format_html

from accounts.models import Customer
from billing.address_form import AddressForm
from billing.countries import COUNTRIES
from billing.coupon_forms import CouponField
from billing.coupon_price import CouponPrice
from billing.forms import LineField
from billing.models import Period, Plan
from billing.models.coupon import find_coupon
from billing.money import format_money
from billing.ordering import taken
from billing.phone_hint import phone_hint, read_phone
from billing.submissions import BeganField, SubmissionField
from billing.tax import BuyerTax, TaxDecision, TaxedPrice, split
from billing.taxing import decide
from billing.vat_ids import VatIdField, read_vat_id
from foundation.names import normalise_domain

ADDRESS = "Billing address"
_LONGEST = 300  # more than any field takes


class PlanSelect(forms.RadioSelect):
    """Radio buttons as cards, each with what is in its plan and what that costs by each period."""

    template_name = "billing/plan_select.html"

    tax: TaxDecision | None = None  # at the address, once its country is known

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = {**super().create_option(name, value, *args, **kwargs), "plan": value.instance}
        if self.tax and self.tax.rate:
            sold = [period for period in Period.values if value.instance.price(period)]
            option["taxed"] = {period: value.instance.taxed_price(period, self.tax) for period in sold}
        return option


class OrderPlaceForm(AddressForm):
    """The order form. Cleaned: `plan` a Plan; `domain` normalised, `username` lower-cased, or empty."""

    groups = [
        ("Coupon", ["coupon"]),
        ("Your account", ["username", "domain"]),
        (ADDRESS, ["name", "company", "country", "street", "city", "region", "postcode", "vat_id", "phone"]),
        ("Agreement", ["terms"]),
    ]

    plan = forms.ModelChoiceField(
        Plan.objects.none(), to_field_name="slug", empty_label=None, widget=PlanSelect,
        error_messages={"invalid_choice": "This plan is not offered. Choose one of those below."},
    )  # fmt: skip
    period = forms.ChoiceField(
        choices=Period.choices, label="Pay", widget=forms.RadioSelect, initial=Period.YEARLY
    )
    coupon = CouponField(
        required=False, help_text="If you have one. You see what it takes off before anything is sent."
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
    vat_id = VatIdField()
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

    taxed: TaxedPrice | None = None  # of a valid form, where tax is on
    cheaper: CouponPrice | None = None  # of a valid form with a coupon

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plans = self.fields["plan"]
        plans.queryset = Plan.objects.filter(is_open=True)  # type: ignore[attr-defined]
        if settings.TAX:
            plans.widget.tax = self.tax
        else:
            del self.fields["vat_id"]
        if hint := self.phone_hint:
            self.fields["phone"].help_text = format_html("<strong>{}</strong>", hint)

    @property
    def phone_hint(self) -> str:
        """What to look at once more in the phone number, if anything; never an error."""
        return phone_hint(self._entered("phone"), self._entered("country"))

    @cached_property
    def tax(self) -> TaxDecision | None:
        """What tax the address bears as far as it was entered; None while its country is not known, or tax is off."""
        country = self._entered("country")
        if not settings.TAX or country not in dict(COUNTRIES):
            return None
        try:
            return decide(BuyerTax(country, self._entered("postcode"), bool(self._entered("vat_id").strip())))
        except ValidationError:
            return None

    @property
    def country_name(self) -> str:
        return dict(COUNTRIES).get(self._entered("country"), "")

    @property
    def per(self) -> str:
        """Of a valid form: `a year`."""
        return f"a {self.cleaned_data['period'].removesuffix('ly')}"

    @property
    def price(self) -> str:
        """Of a valid form: `59.00 USD a year`, less what a coupon takes off."""
        plan: Plan = self.cleaned_data["plan"]
        return f"{format_money(self._net(self.cleaned_data), plan.currency)} {self.per}"

    @property
    def address(self) -> list[tuple[str, str]]:
        """Of a valid form: what stands in the billing address, as (label, text)."""
        names = [name for name in dict(self.groups)[ADDRESS] if name in self.fields]
        told = {
            **self.cleaned_data,
            "country": dict(COUNTRIES)[self.cleaned_data["country"]],
            "phone": read_phone(self._entered("phone"), self._entered("country")) or self._entered("phone"),
        }
        return [(str(self.fields[name].label or name.title()), told[name]) for name in names if told[name]]

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
        elif plan and period and fields.get("coupon"):
            self._clean_coupon(fields, plan.price(period))
        if settings.TAX and {"plan", "period", "country", "postcode", "vat_id"} <= fields.keys():
            self._clean_tax(fields)
        # Told along with other errors only. Where it is the only one, placing the order finds it: a form that is
        # sent twice has taken the username itself, and must lead to its order again.
        if self.errors:
            self.is_username_free()
        return fields

    def _clean_coupon(self, fields: dict[str, Any], price_minor: int) -> None:
        """Whether its uses are over is asked apart, as with the username, and when the order is placed."""
        plan: Plan = fields["plan"]
        try:
            coupon = find_coupon(fields["coupon"])
            coupon.refuse_sale(plan, price_minor, plan.currency)
        except ValidationError as error:
            self.add_error(None, error)
        else:
            fields["coupon"] = coupon.code
            self.cheaper = CouponPrice(coupon, price_minor, plan.currency, fields["period"])

    def _net(self, fields: dict[str, Any]) -> int:
        full = fields["plan"].price(fields["period"]) or 0
        return full - self.cheaper.off_minor if self.cheaper else full

    def _clean_tax(self, fields: dict[str, Any]) -> None:
        try:
            fields["vat_id"] = read_vat_id(fields["vat_id"], fields["country"], fields["postcode"])
            decision = decide(BuyerTax(fields["country"], fields["postcode"], bool(fields["vat_id"])))
        except ValidationError as error:
            self.add_error(None, error)
        else:
            currency = fields["plan"].currency
            self.taxed = TaxedPrice(split(self._net(fields), decision.rate), currency, decision)
            if self.cheaper:
                full = TaxedPrice(split(self.cheaper.full_minor, decision.rate), currency, decision)
                self.cheaper = replace(self.cheaper, taxed=full)

    def is_username_free(self) -> bool:
        """Whether the wished username is; where it is taken, that is among the form's errors from now on."""
        username = self.cleaned_data.get("username")
        if username and Customer.objects.filter(username=username).exists():
            self.add_error("username", taken(username))
            return False
        return True

    def is_coupon_left(self, person: Any) -> bool:
        """Whether this person, None for a visitor, can use the coupon; where not, that is among the errors from now on."""
        try:
            if self.cheaper:
                self.cheaper.coupon.refuse_use(customer=None, by=person)
        except ValidationError as error:
            self.add_error(None, error)
            return False
        return True

    def draft(self) -> dict[str, str]:
        """What was entered and is right, as it was entered, to be shown again later and elsewhere."""
        right = [name for name in self.fields if name not in self.errors and name != "submission"]
        entered = {name: self._entered(name) for name in right}
        return {name: value for name, value in entered.items() if 0 < len(value) <= _LONGEST}
