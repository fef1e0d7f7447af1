"""Forms about second factors: allauth's about codes, wrong ones counted, and about passkeys, in our words and with
bounded names; and that of staff who take a lost one off.
"""

from typing import Any

from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms

from accounts.factors import has_factor
from accounts.guessing import BoundedCodeForm
from accounts.lifting import may_lift
from accounts.models import FactorLift, User
from foundation.lines import one_line

NAME: dict[str, Any] = {"label": "Name", "max_length": 60, "validators": [one_line]}


class SignInCodeForm(BoundedCodeForm, AuthenticateForm):
    pass


class AskedAgainCodeForm(BoundedCodeForm, ReauthenticateForm):
    pass


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


class FactorLiftAskForm(forms.ModelForm):
    by: User

    class Meta:
        model = FactorLift
        fields = ("user", "reason")

    def clean_user(self) -> User:
        user: User = self.cleaned_data["user"]
        if user == self.by:
            raise forms.ValidationError("Your own comes off by somebody else's word alone.")
        if not may_lift(self.by, user):
            raise forms.ValidationError("That of staff comes off by a superuser's word alone.")
        if not user.is_active:
            raise forms.ValidationError("This person may not sign in; nobody can be told.")
        if not has_factor(user):
            raise forms.ValidationError("This person has no second factor.")
        return user
