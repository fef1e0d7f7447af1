"""The form renderer: what every form of the house looks like to a browser, a screen reader and a test."""

import re

from django import forms

from foundation.forms import FormRenderer


class AddressForm(forms.Form):
    groups = [("Address", ["street", "city"])]

    street = forms.CharField(help_text="With the house number.")
    city = forms.CharField()
    email = forms.EmailField(required=False, widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    period = forms.ChoiceField(
        choices=[("monthly", "Monthly"), ("yearly", "Yearly")], widget=forms.RadioSelect
    )
    terms = forms.BooleanField(label="I agree")
    token = forms.CharField(widget=forms.HiddenInput, initial="t")

    def clean(self) -> None:
        raise forms.ValidationError("These two do not go together.")


def element(html: str, id_: str) -> str:
    """The start tag that carries this id."""
    found = re.search(rf'<[^>]*\bid="{id_}"[^>]*>', html)
    assert found, f"no #{id_} in {html}"
    return found[0]


def test_is_the_renderer_of_every_form() -> None:
    assert isinstance(AddressForm().renderer, FormRenderer)


def test_a_field_has_its_label_and_its_hint() -> None:
    html = str(AddressForm())
    assert '<label for="id_street">' in html
    assert 'id="id_street_helptext"' in html
    assert 'aria-describedby="id_street_helptext"' in element(html, "id_street")
    assert "required" in element(html, "id_street")
    assert 'role="alert"' not in html


def test_an_error_stands_at_its_field_and_is_read_out_with_it() -> None:
    html = str(AddressForm({"street": "", "city": "Ghent"}))
    assert re.search(r'id="id_street_error">\s*<p>This field is required.</p>', html)
    assert 'aria-invalid="true"' in element(html, "id_street")
    assert 'aria-describedby="id_street_helptext id_street_error"' in element(html, "id_street")
    assert "aria-invalid" not in element(html, "id_city")
    assert "id_city_error" not in html


def test_what_was_entered_is_kept() -> None:
    assert 'value="Gh&quot;ent"' in element(str(AddressForm({"city": 'Gh"ent'})), "id_city")


def test_errors_of_the_whole_form_come_first_as_an_alert_with_ways_to_the_fields() -> None:
    html = str(AddressForm({"street": ""}))
    alert = html.index('role="alert"')
    assert alert < html.index("These two do not go together.") < html.index('id="id_street"')
    assert '<a href="#id_street">Street</a>' in html
    assert '<a href="#id_period_error">Period</a>' in html  # radio buttons share no single id


def test_groups_are_fieldsets_after_the_ungrouped_fields() -> None:
    html = str(AddressForm())
    assert html.index('id="id_email"') < html.index("<legend>Address</legend>") < html.index('id="id_street"')
    assert html.count('name="street"') == 1


def test_radio_buttons_are_a_described_fieldset() -> None:
    html = str(AddressForm({}))
    fieldset = re.search(r'<fieldset class="field choices"[^>]*>', html)
    assert fieldset is not None
    assert 'aria-describedby="id_period_error"' in fieldset[0]


def test_optional_fields_say_so_and_check_boxes_do_not() -> None:
    html = str(AddressForm())
    assert html.count(">optional<") == 1


def test_address_fields_can_be_filled_in_by_the_browser() -> None:
    html = str(AddressForm())
    assert 'autocomplete="street-address"' in element(html, "id_street")
    assert 'autocomplete="off"' in element(html, "id_email")


def test_hidden_fields_are_sent_along() -> None:
    assert 'type="hidden"' in element(str(AddressForm()), "id_token")


def test_markup_in_labels_and_values_is_escaped() -> None:
    class Hostile(forms.Form):
        name = forms.CharField(label="<b>Name</b>")

    html = str(Hostile({"name": '"><script>'}))
    assert "<b>" not in html
    assert "<script>" not in html
