from typing import Any

from django import forms
from django.utils.functional import cached_property

from accounts.models import Customer, Membership, Role
from accounts.models.membership import manages
from foundation.forms import VerbForm

SHOWN = 50  # members to choose from; whoever comes after them is typed in
MEANINGS = {
    Role.OWNER: "Owner: everything, also who owns it",
    Role.ADMIN: "Admin: also changes domains, mailboxes and members",
    Role.BILLING: "Billing: also orders",
    Role.READER: "Reader: sees everything, changes nothing",
}


class RoleField(forms.ChoiceField):
    """The roles that a member with the role `of` gives, the least first."""

    def __init__(self, of: str) -> None:
        choices = [(role.value, text) for role, text in reversed(MEANINGS.items()) if manages(of, role)]
        super().__init__(choices=choices, widget=forms.RadioSelect)


class MemberInviteForm(VerbForm):
    email = forms.EmailField(
        label="E-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        help_text="The invitation is for this address alone.",
    )

    def __init__(self, *args: Any, of: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = RoleField(of)
        self.initial.setdefault("role", Role.READER)


class MemberChangeForm(VerbForm):
    def __init__(self, *args: Any, of: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = RoleField(of)


class OwnershipOfferForm(VerbForm):
    """To a member who is no owner yet, by their address; `others` are the first of them, to choose from."""

    to = forms.EmailField(
        label="To whom",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "list": "others"}),
        help_text="The address of a member who is no owner yet.",
    )

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = customer.memberships.exclude(role=Role.OWNER).filter(user__is_active=True)
        self._others = others.select_related("user").order_by("user__email")

    @cached_property
    def others(self) -> list[Membership]:
        return list(self._others[:SHOWN])

    def clean_to(self) -> Membership:
        found = self._others.filter(user__email=self.cleaned_data["to"].lower()).first()
        if found is None:
            raise forms.ValidationError("Nobody with this address is a member here and no owner yet.")
        return found
