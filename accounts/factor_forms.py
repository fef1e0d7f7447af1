"""allauth's forms about passkeys, in our words and with bounded names."""

from typing import Any

from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms

from foundation.lines import one_line

NAME: dict[str, Any] = {"label": "Name", "max_length": 60, "validators": [one_line]}


class PasskeyAddForm(AddWebAuthnForm):
    name = forms.CharField(
        **NAME,
        required=False,
        help_text="So that you know it again, for example “Laptop” or “Key on my ring”.",
    )
    passwordless = forms.BooleanField(
        label="Sign in with it alone, without the password",
        required=False,
        initial=True,
        help_text="The passkey then asks for your finger, your face or its PIN.",
    )


class PasskeyRenameForm(EditWebAuthnForm):
    name = forms.CharField(**NAME)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autocomplete"] = "off"
