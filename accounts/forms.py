from typing import Any

from allauth.account.forms import SignupForm
from django import forms
from django.conf import settings
from django.contrib.auth.hashers import make_password


class SignUpForm(SignupForm):
    """allauth's, with its trap for robots hidden by the stylesheet, since our policy allows no styles in pages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trap = self.fields[settings.ACCOUNT_SIGNUP_FORM_HONEYPOT_FIELD]
        trap.label = "Leave this empty"
        trap.widget = forms.TextInput(attrs={"class": "trap", "tabindex": "-1", "autocomplete": "off"})

    def try_save(self, request: Any) -> Any:
        """Hash the password also for an address that has an account, so that the time does not tell."""
        user, answer = super().try_save(request)
        if user is None and self.cleaned_data.get("password1"):
            make_password(self.cleaned_data["password1"])
        return user, answer
