from datetime import datetime, time
from ipaddress import ip_network
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.access import Permission
from accounts.keys import rights_to_give
from foundation.forms import VerbForm
from foundation.lines import one_line

NETWORKS = 20
MEANINGS = {
    Permission.CUSTOMER_READ: "See the plan and what is used of it",
    Permission.MEMBERS_READ: "See members and changes",
    Permission.MEMBERS_EDIT: "Invite, change and remove members",
    Permission.OWNERS_EDIT: "Invite, change and remove owners, too",
    Permission.ORDERS_READ: "See orders",
    Permission.ORDERS_EDIT: "Place and cancel orders",
    Permission.DOMAINS_READ: "See domains and their DNS",
    Permission.DOMAINS_EDIT: "Add, delete and restore domains",
    Permission.MAILBOXES_READ: "See mailboxes",
    Permission.MAILBOXES_EDIT: "Add, change, import and delete mailboxes",
    Permission.WEBHOOKS_READ: "See webhooks and what they were told",
    Permission.WEBHOOKS_EDIT: "Add, change, test and remove webhooks",
}


class KeyAddForm(VerbForm):
    name = forms.CharField(
        max_length=60,
        validators=[one_line],
        help_text="What it is for, so that you know it again.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    networks = forms.CharField(
        required=False,
        max_length=2_000,
        label="From which networks",
        help_text=f"IP addresses or networks such as 192.0.2.0/24, one a line, {NETWORKS} at most. Empty: from everywhere.",
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
    )
    expires_at = forms.DateField(
        required=False,
        label="Good until",
        help_text="It ends with this day (UTC). Empty: until you revoke it.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    field_order = ["name", "scopes", "networks", "expires_at"]

    def __init__(self, *args: Any, role: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(right.value, MEANINGS[right]) for right in rights_to_give(role)]
        self.fields["scopes"] = forms.MultipleChoiceField(
            label="What it may do",
            choices=choices,
            widget=forms.CheckboxSelectMultiple,
            help_text="It never does more than your own role allows, and ends when your membership does.",
        )
        self.order_fields(self.field_order)

    def clean_networks(self) -> list[str]:
        found = [
            _network(line.strip()) for line in self.cleaned_data["networks"].splitlines() if line.strip()
        ]
        if len(found) > NETWORKS:
            raise ValidationError(f"Name {NETWORKS} networks at most.")
        return sorted(set(found))

    def clean_expires_at(self) -> datetime | None:
        day = self.cleaned_data["expires_at"]
        if day is None:
            return None
        if day < timezone.now().date():
            raise ValidationError("This day is over. Choose a later one.")
        return datetime.combine(day, time.max, tzinfo=timezone.get_default_timezone())


def _network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
        if "%" in text or getattr(network.network_address, "ipv4_mapped", None):
            raise ValueError("no network that an address is compared with")
        return str(network)
    except ValueError as error:
        raise ValidationError(
            f"{text[:60]} is neither an IP address nor a network such as 192.0.2.0/24."
        ) from error
