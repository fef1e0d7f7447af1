from typing import Any

from django import forms

from accounts.models import Customer, Membership, Role
from accounts.models.membership import manages
from foundation.forms import VerbForm

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
    """The choice of a member who is no owner yet, by the id of the membership."""

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = customer.memberships.exclude(role=Role.OWNER).filter(user__is_active=True)
        self.fields["to"] = _MemberField(
            others.select_related("user").order_by("user__email"), label="To whom"
        )


class _MemberField(forms.ModelChoiceField):
    def label_from_instance(self, member: Membership) -> str:
        return f"{member.user.email} ({member.get_role_display().lower()})"
