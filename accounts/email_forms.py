from typing import Any

from django import forms

from accounts.email_changing import has_asked_enough
from accounts.models import User


class EmailChangeAskForm(forms.Form):
    email = forms.EmailField(
        label="New address", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_email(self) -> str:
        address = str(self.cleaned_data["email"]).lower()
        if address == self.user.email:
            raise forms.ValidationError("That is your address already.")
        if has_asked_enough(self.user):
            raise forms.ValidationError("You have asked often today. Try again tomorrow.")
        return address
