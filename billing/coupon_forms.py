from django import forms


class CouponField(forms.CharField):
    """The code of a coupon, as it was entered."""

    def __init__(self, **kwargs: object) -> None:
        attributes = {"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        super().__init__(max_length=100, label="Code", widget=forms.TextInput(attrs=attributes), **kwargs)  # type: ignore[arg-type]


class CouponUseForm(forms.Form):
    coupon = CouponField()
