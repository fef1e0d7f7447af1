from typing import Any

from django import forms

from accounts.deleting import ask_deletion
from accounts.models import AccountDeletion, User


class AccountDeleteForm(forms.Form):
    confirm = forms.CharField(
        max_length=1000,
        label="Your e-mail address",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Type it in full, so that nothing is deleted by mistake.",
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean_confirm(self) -> str:
        if self.cleaned_data["confirm"].lower() != self.email:
            raise forms.ValidationError(f"This is not your address. Type {self.email} to delete the account.")
        return self.email

    def run(self, user: User) -> AccountDeletion | None:
        """Ask for the deletion; what is in the way becomes errors of the form, and None."""
        try:
            return ask_deletion(user)
        except forms.ValidationError as error:
            self.add_error(None, error)
            return None
