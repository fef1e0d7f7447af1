from django import forms
from django.utils.html import format_html

from accounts.webhooks.events import GROUPS
from accounts.webhooks.targets import LONGEST
from foundation.forms import VerbForm


class WebhookForm(VerbForm):
    url = forms.CharField(
        label="URL",
        help_text="It begins with https:// and is reached from the whole internet.",
        widget=forms.URLInput(attrs={"maxlength": LONGEST, "autocomplete": "off"}),
    )
    groups = forms.MultipleChoiceField(
        label="What it is told",
        choices=[
            (group, format_html('<span>{} <span class="hint">{}</span></span>', words, ", ".join(kinds)))
            for group, (words, kinds) in GROUPS.items()
        ],
        widget=forms.CheckboxSelectMultiple,
    )
