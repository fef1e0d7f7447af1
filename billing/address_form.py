"""An address for bills, asked for in the words of its country."""

import json
from typing import Any, Self

from django import forms
from django.forms.utils import flatatt
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from billing.address_labels import GENERAL, LABELS, labels_of
from billing.countries import COUNTRIES
from billing.forms import LineField


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


class AddressForm(forms.Form):
    """The fields of the address on a bill; forms that ask for more inherit from it."""

    name = LineField(
        max_length=100, label="First and last name", widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    company = LineField(max_length=100, required=False)
    street = LineField(max_length=200, label="Street and house number")
    city = LineField(max_length=100)
    region = LineField(max_length=100, required=False)
    postcode = LineField(max_length=20, help_text="Are there none where you live? Then enter a dash.")
    country = forms.ChoiceField(choices=[("", "Choose your country"), *COUNTRIES], widget=CountrySelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in labels_of(self._entered("country"))._asdict().items():
            self.fields[name].label = label

    def as_entered(self) -> Self:
        """The same, not yet judged: to be filled in further."""
        return type(self)(initial={name: self.data[name] for name in self.fields if name in self.data})

    def _entered(self, name: str) -> str:
        return str((self.data if self.is_bound else self.initial).get(name) or "")
