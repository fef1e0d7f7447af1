"""How forms look and what they call. The renderer (``FORM_RENDERER``): two templates draw every form, allauth's too.

``templates/foundation/form.html`` draws a form, ``form_field.html`` one field. A form may group its fields:

    class OrderForm(forms.Form):
        groups = [("Address", ["street", "city"])]  # the rest stands first, without a legend
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BaseForm, BoundField
from django.forms.renderers import TemplatesSetting
from django.http import HttpRequest

# The names of fields that mean the same in every form of ours, and what a browser calls them (HTML, section
# "Autofill"). Fields that mean different things in different forms (name, username, password) say it in their
# widget.
AUTOCOMPLETE: Mapping[str, str] = {
    "company": "organization",
    "street": "street-address",
    "city": "address-level2",
    "region": "address-level1",
    "postcode": "postal-code",
    "country": "country",
    "phone": "tel",
}

Group = tuple[str, list[BoundField]]
T = TypeVar("T")


class VerbForm(forms.Form):
    """A form whose data are the arguments of one verb of a model."""

    def run(self, verb: Callable[..., T], **more: Any) -> T | None:
        """Call the verb with the form's data; its refusal becomes errors of the form, and None."""
        try:
            return verb(**self.cleaned_data, **more)
        except ValidationError as error:
            self.add_error(None, error)
            return None


class FormRenderer(TemplatesSetting):
    """Draws a form with a summary of its errors, groups of fields, hints, and ``#id_<field>_error``."""

    form_template_name = "foundation/form.html"
    field_template_name = "foundation/form_field.html"

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        if template_name == self.form_template_name:
            context = {**context, "groups": field_groups(context["form"])}
        elif template_name == self.field_template_name:
            prepare_field(context["field"])
        return super().render(template_name, context, request)


def field_groups(form: BaseForm) -> list[Group]:
    """The visible fields of a form as (legend, fields): first those that stand in none of its ``groups``."""
    named: Iterable[tuple[str, list[str]]] = getattr(form, "groups", ())
    grouped = {name for _, names in named for name in names}
    groups = [("", [field for field in form.visible_fields() if field.name not in grouped])]
    groups += [(legend, [form[name] for name in names if name in form.fields]) for legend, names in named]
    return [(legend, fields) for legend, fields in groups if fields]


def prepare_field(field: BoundField) -> None:
    """Give an address field its autofill name, unless its widget says something else; drop a placeholder
    (allauth sets them) that only repeats the label.
    """
    attrs = field.field.widget.attrs
    if field.name in AUTOCOMPLETE:
        attrs.setdefault("autocomplete", AUTOCOMPLETE[field.name])
    placeholder, label = str(attrs.get("placeholder", "")).lower(), str(field.label).lower()
    if placeholder.startswith(label) or placeholder in label:
        attrs.pop("placeholder", None)
