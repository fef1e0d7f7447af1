from typing import Any

from django import forms
from django.core.exceptions import ValidationError

LEAST = 6  # characters of a new code


class CouponField(forms.CharField):
    """The code of a coupon, as it was entered."""

    def __init__(self, **kwargs: object) -> None:
        attributes = {"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        super().__init__(max_length=100, label="Code", widget=forms.TextInput(attrs=attributes), **kwargs)  # type: ignore[arg-type]


class CouponUseForm(forms.Form):
    coupon = CouponField()


class CouponForm(forms.ModelForm):
    """For staff, who make one or change it. Codes that are there already may be shorter."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if code := self.fields.get("code"):
            words = "letters A to Z, digits and hyphens; small letters count as capitals"
            code.help_text = f"{LEAST} to 40 {words}. Long ones are not guessed."

    def clean_code(self) -> Any:
        code = self.cleaned_data["code"]
        if "code" in self.changed_data and len(code) < LEAST:
            raise ValidationError(
                f"Use at least {LEAST} letters, digits and hyphens, so that nobody guesses it."
            )
        return code
