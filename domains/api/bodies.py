"""What calls about domains and mailboxes take and give, field by field."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from domains.models import Domain, Mailbox
from domains.models.sending import MOST as MOST_SENDS
from domains.models.sending import STALE, in_force, plan_sends
from domains.plan_room import QUOTA_MOST_MB
from foundation.api import Body, cut
from foundation.lines import one_line

MB = 2**20


class DomainBody(Body):
    domain = serializers.CharField(max_length=1000)


class DomainAdded(serializers.Serializer):
    domain = serializers.CharField()
    ssl_enabled = serializers.BooleanField(help_text="Whether its mail server speaks TLS to mail programs.")


class DomainFacts(DomainAdded):
    mail_hosting = serializers.BooleanField(help_text="Whether mail for it is accepted here.")
    pointers = serializers.ListField(child=serializers.CharField())


class DnsEntry(serializers.Serializer):
    type = serializers.CharField()
    name = serializers.CharField()
    value = serializers.CharField()


class DescribedEntry(DnsEntry):
    description = serializers.CharField()


class MxEntry(serializers.Serializer):
    priority = serializers.IntegerField()
    hostname = serializers.CharField()
    description = serializers.CharField()


class DnsFacts(serializers.Serializer):
    mx_records = MxEntry(many=True)
    spf = DnsEntry()
    dkim = DnsEntry(allow_null=True)
    verification = DescribedEntry(allow_null=True)


class VerificationKey(serializers.Serializer):
    key = serializers.CharField()
    record = DnsEntry()
    description = serializers.CharField()


class CheckedRecord(DnsEntry):
    kind = serializers.CharField(help_text="`mx`, `spf`, `dkim` or `dmarc`.")
    state = serializers.CharField(
        help_text="`ok`, `missing`, `different`, `duplicate`, `conflict`, `insecure` or `unchecked`."
    )
    found = serializers.ListField(child=serializers.CharField())
    note = serializers.CharField(allow_blank=True, help_text="What to do, in one sentence.")


class DnsCheckFacts(serializers.Serializer):
    state = serializers.CharField()
    checked_at = serializers.DateTimeField(allow_null=True)
    records = CheckedRecord(many=True)


class MailboxFacts(serializers.Serializer):
    username = serializers.CharField()
    email = serializers.CharField()
    name = serializers.CharField(allow_blank=True)
    quota = serializers.IntegerField(help_text="In MB; 0: as much as the plan holds.")
    usage = serializers.IntegerField(help_text="In MB, as its mail server last reported.")
    limit = serializers.IntegerField(help_text="Recipients a day, as in force now.")
    sent = serializers.IntegerField(
        help_text="Recipients of the last 24 hours, as its mail server last reported."
    )
    suspended = serializers.BooleanField()


class MailboxChange(Body):
    password = serializers.CharField(required=False, max_length=512, trim_whitespace=False, write_only=True)
    quota = serializers.IntegerField(required=False, min_value=0, max_value=QUOTA_MOST_MB, help_text="In MB.")
    name = serializers.CharField(required=False, max_length=120, allow_blank=True, validators=[one_line])
    limit = serializers.IntegerField(
        required=False, min_value=0, max_value=MOST_SENDS, help_text="Recipients a day, at most the plan's."
    )
    suspended = serializers.BooleanField(required=False)


class MailboxBody(Body):
    username = serializers.CharField(max_length=1000)
    password = serializers.CharField(required=False, max_length=512, trim_whitespace=False, write_only=True)
    password_hash = serializers.CharField(
        required=False,
        max_length=400,
        write_only=True,
        help_text="Instead of a password: Dovecot's `{SCHEME}…`.",
    )
    invite = serializers.EmailField(
        required=False,
        max_length=254,
        help_text="Instead of a password: where its owner gets a link to set one.",
    )
    quota = serializers.IntegerField(
        default=1024, min_value=0, max_value=QUOTA_MOST_MB, help_text="In MB; 0: as much as the plan holds."
    )
    limit = serializers.IntegerField(
        required=False, min_value=0, max_value=MOST_SENDS, help_text="Recipients a day, at most the plan's."
    )
    name = serializers.CharField(default="", max_length=120, allow_blank=True, validators=[one_line])

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        given = [name for name in ("password", "password_hash", "invite") if attrs.get(name)]
        if len(given) != 1:
            raise serializers.ValidationError({"password": "Send one of password, password_hash and invite."})
        return attrs


class InviteBody(Body):
    email = serializers.EmailField(max_length=254)


class InvitationFacts(serializers.Serializer):
    email = serializers.CharField()
    expires_at = serializers.DateTimeField()


class QuotaFacts(serializers.Serializer):
    username = serializers.CharField()
    total_used = serializers.IntegerField(help_text="In bytes.")
    total_limit = serializers.IntegerField(allow_null=True, help_text="In bytes; null: without limit.")
    percent_used = serializers.FloatField()
    breakdown = serializers.DictField(child=serializers.IntegerField())
    grace_period = serializers.DictField(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)


class MailboxSize(serializers.Serializer):
    email_address = serializers.CharField()
    size_bytes = serializers.IntegerField()
    updated_at = serializers.DateTimeField(allow_null=True)


class MailboxSizes(serializers.Serializer):
    username = serializers.CharField()
    accounts = MailboxSize(many=True)


def domain_facts(domain: Domain) -> dict[str, Any]:
    return {"domain": domain.name, "mail_hosting": True, "ssl_enabled": True, "pointers": []}


def mailbox_facts(mailbox: Mailbox, *, is_new: bool = False) -> dict[str, Any]:
    """What is said of a mailbox; of a new one without asking who stopped it or raised its limit."""
    return {
        "username": mailbox.local_part,
        "email": mailbox.address,
        "name": mailbox.name,
        "quota": mailbox.quota_mb,
        "usage": mailbox.used_bytes // MB,
        "limit": mailbox.usual_send_limit if is_new else mailbox.send_limit,
        "sent": mailbox.sent,
        "suspended": not is_new and mailbox.suspension is not None,
    }


def facts_of_all(domain: Domain) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """`mailbox_facts` of all mailboxes of a domain, as `cut` has them, in two queries."""
    mailboxes: Any = domain.mailboxes.live().with_suspension().with_raise().order_by("local_part")
    plan, oldest = plan_sends(domain.customer), timezone.now() - STALE
    rows, headers = cut(
        mailboxes.values_list(
            "local_part", "name", "quota_mb", "used_bytes", "sends_per_day", "raised_to", "sent_in_day",
            "sent_reported_at", "is_suspended",
        )
    )  # fmt: skip
    return [
        {
            "username": local_part,
            "email": f"{local_part}@{domain.name}",
            "name": name,
            "quota": quota_mb,
            "usage": used_bytes // MB,
            "limit": in_force(plan, own, raised),
            "sent": sent if reported and reported > oldest else 0,
            "suspended": suspended,
        }
        for local_part, name, quota_mb, used_bytes, own, raised, sent, reported, suspended in rows
    ], headers
