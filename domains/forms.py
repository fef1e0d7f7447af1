from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Customer, Stop
from domains.dns import ownership
from domains.dns.ownership import Result
from domains.mailbox_password import MOST, normalise
from domains.models import OwnershipKey
from domains.models.domain import refuse_ours
from domains.models.sending import MOST as SENDS_MOST
from domains.plan_room import QUOTA_MOST_MB
from foundation.forms import VerbForm
from foundation.lines import one_line
from foundation.names import normalise_domain, normalise_local_part


class PasswordField(forms.CharField):
    """A new password of a mailbox; cleaned to its NFC form."""

    def __init__(self, **more: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
        text = f"8 to {MOST} characters, the longer the better. Mail programs ask for it once and keep it."
        super().__init__(max_length=MOST * 4, strip=False, widget=widget, **{"help_text": text, **more})

    def clean(self, value: Any) -> str:
        given = super().clean(value)
        return normalise(given) if given or self.required else ""


class InviteField(forms.EmailField):
    """Where the owner of a mailbox reads mail until then."""

    def __init__(self, **more: Any) -> None:
        widget = forms.EmailInput(attrs={"autocomplete": "off"})
        super().__init__(label="Invite its owner at", widget=widget, max_length=254, **more)


class DomainAddForm(forms.Form):
    """Proves the name while it is validated: DNS is asked before any transaction begins."""

    domain = forms.CharField(
        max_length=1000, widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "url"})
    )

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.customer = customer
        self.name = ""  # what was entered, once it is a domain name
        self.result = ""  # missing, unchecked or taken

    def clean_domain(self) -> str:
        name = self.name = normalise_domain(self.cleaned_data["domain"])
        try:
            refuse_ours(name)
        except ValidationError as error:
            self.result = "taken" if error.code == "taken" else ""
            raise
        if self.customer.domains.live().filter(name=name).exists():
            self.result = "taken"
            raise ValidationError(f"You have {name} already.", code="taken")
        proof = ownership.prove(name, OwnershipKey.of(self.customer).label)
        if proof.result is not Result.PROVED:
            self.result = proof.result.value
            raise ValidationError(proof.why, code=self.result)
        return name

    def refuse(self, error: ValidationError) -> None:
        """Show why the verb refused a name that is proved."""
        self.result = "taken" if error.code == "taken" else ""
        self.add_error("domain", error)


class DomainDeleteForm(forms.Form):
    confirm = forms.CharField(
        max_length=1000,
        label="Name of the domain",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text="Type the name in full, so that no other domain is deleted by mistake.",
    )

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = name

    def clean_confirm(self) -> str:
        try:
            typed = normalise_domain(self.cleaned_data["confirm"])
        except ValidationError:
            typed = ""
        if typed != self.name:
            raise ValidationError(f"This is not the name of the domain. Type {self.name} to delete it.")
        return typed


class MailboxChangeForm(VerbForm):
    name = forms.CharField(
        max_length=120,
        required=False,
        validators=[one_line],
        help_text="Whose mailbox it is, or what it is for.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    quota_mb = forms.IntegerField(
        label="Quota in MB",
        min_value=0,
        max_value=QUOTA_MOST_MB,
        required=False,
        initial=1024,
        help_text="1024 MB are 1 GB. 0: as much as the plan holds.",
    )

    def clean_quota_mb(self) -> int:
        quota = self.cleaned_data["quota_mb"]
        return 1024 if quota is None else quota


class MailboxAddForm(MailboxChangeForm):
    username = forms.CharField(
        max_length=1000,
        label="Name before the @",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    invite = InviteField(
        required=False,
        help_text="An address that its owner reads already. We send a link there by which they set the password, so that "
        "nobody else ever knows it. It works once, for 7 days.",
    )
    password = PasswordField(
        required=False,
        help_text="Instead of an invitation, where you set up the mail program yourself. 8 to "
        f"{MOST} characters, the longer the better.",
    )
    field_order = ["username", "invite", "password", "name", "quota_mb"]

    def clean_username(self) -> str:
        return normalise_local_part(self.cleaned_data["username"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "password" in data and "invite" in data and bool(data["password"]) == bool(data["invite"]):
            both = "Choose one: an invitation, or a password of your own."
            neither = "Enter a password, or invite its owner to set one."
            self.add_error("password", both if data["invite"] else neither)
        return data


class MailboxLimitForm(VerbForm):
    limit = forms.IntegerField(
        label="Recipients a day",
        min_value=0,
        max_value=SENDS_MOST,
        required=False,
        help_text="At most what the plan has. 0: it sends nothing. Empty: as the plan has it.",
    )


class MailboxPasswordForm(VerbForm):
    password = PasswordField()


class MailboxInviteForm(VerbForm):
    invite = InviteField(
        help_text="An address that they read already. The link works once, for 7 days. A present password works until "
        "they set the new one."
    )


class MailboxSuspendForm(VerbForm):
    stops = forms.MultipleChoiceField(
        label="What to stop",
        choices=Stop.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        initial=Stop.values,
        help_text="Untick what may go on. With none ticked, all three are stopped.",
    )
    reason = forms.CharField(
        max_length=500,
        required=False,
        validators=[one_line],
        help_text="Kept with the suspension and shown on this page.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
