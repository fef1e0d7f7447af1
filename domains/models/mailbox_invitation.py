"""A link to another address, by which the owner of a mailbox sets its password, so that nobody else ever knows it."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts import audit, notices
from accounts.models import User
from domains.mailbox_password import hash_password
from domains.models.mailbox import Mailbox
from foundation.unit_of_work import unit_of_work

NOTICE = "mailbox_invitation"
VALID_FOR = timedelta(days=7)
KEPT = timedelta(days=30)  # after its end: the address was given for this alone
MOST_AN_HOUR = 5  # for one mailbox
MOST_A_DAY = 500  # for one customer


class MailboxInvitationQuerySet(models.QuerySet["MailboxInvitation"]):
    def pending(self) -> "MailboxInvitationQuerySet":
        """Neither used nor withdrawn; perhaps past its days."""
        return self.filter(used_at=None, revoked_at=None)

    def open(self) -> "MailboxInvitationQuerySet":
        return self.pending().filter(expires_at__gt=timezone.now())


class MailboxInvitation(models.Model):
    """Sets one password once. Of the link's token only a hash is stored: it is made of the id and the installation's
    SECRET_KEY when the mail is sent, so nothing that stands in the database opens a mailbox.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="invitations")
    email = models.EmailField(help_text="Where the link was sent.")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = MailboxInvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-made_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox"], condition=Q(used_at=None, revoked_at=None), name="mailbox_invited_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Invitation to {self.mailbox}"

    @property
    def is_open(self) -> bool:
        return not self.used_at and not self.revoked_at and self.expires_at > timezone.now()

    @property
    def token(self) -> str:
        digest = salted_hmac("domains.mailbox_invitation", str(self.pk), algorithm="sha256").digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")

    @property
    def url(self) -> str:
        """With the token in it: for the mail alone."""
        return settings.PANEL_URL + reverse("domains:owner-password", args=[self.token])

    def accept(self, password: str) -> bool:
        """Set the password; false when the link was used, withdrawn or is over. ValidationError for a password that
        will not do, and the link stays good.
        """
        ready = hash_password(password)
        with unit_of_work():
            # As whoever sets its password otherwise, and ends this: the mailbox before its invitations.
            Mailbox.objects.select_for_update().only("pk").filter(pk=self.mailbox_id).first()
            mine = MailboxInvitation.objects.open().filter(pk=self.pk, mailbox__domain__deleted_at=None)
            if not mine.update(used_at=timezone.now()):
                return False
            if not self.mailbox.set_password(password_hash=ready, by=None):
                return False
            _record("mailbox.invitation_accept", self, None)
        return True

    def revoke(self, *, by: User | None) -> bool:
        """Withdraw it; false when it was used or withdrawn before."""
        with unit_of_work():
            if not MailboxInvitation.objects.pending().filter(pk=self.pk).update(revoked_at=timezone.now()):
                return False
            _record("mailbox.invitation_revoke", self, by)
        return True


def invite_owner(mailbox: Mailbox, email: str, *, by: User | None) -> MailboxInvitation:
    """Send a link to `email`; one from before ends. ValidationError on `invite` for an address that will not do, or
    when too many were sent.
    """
    email = _address(mailbox, email)
    with unit_of_work():
        Mailbox.objects.select_for_update().only("pk").get(pk=mailbox.pk)
        _refuse_too_many(mailbox)
        mailbox.invitations.pending().update(revoked_at=timezone.now())
        invitation = MailboxInvitation(
            mailbox=mailbox, email=email, by=by, expires_at=timezone.now() + VALID_FOR
        )
        invitation.token_hash = _hash(invitation.token)
        invitation.save(force_insert=True)
        notices.send_notice(NOTICE, invitation.pk)
        _record("mailbox.invite", invitation, by)
    return invitation


def end_waiting(mailboxes: Iterable[Mailbox]) -> None:
    """Their passwords are set now, in this transaction: links to set them end, and nobody waits for owners."""
    keys = [mailbox.pk for mailbox in mailboxes]
    Mailbox.objects.filter(pk__in=keys).update(password_awaited_since=None)
    MailboxInvitation.objects.pending().filter(mailbox__in=keys).update(revoked_at=timezone.now())


def find_invitation(token: str) -> MailboxInvitation | None:
    """The open one with this token, of a mailbox that is there."""
    found = MailboxInvitation.objects.open().filter(token_hash=_hash(token), mailbox__deleted_at=None)
    related = "mailbox__domain__customer__placement__server"
    return found.filter(mailbox__domain__deleted_at=None).select_related(related).first()


def find_ready(mailbox_id: str) -> Mailbox | None:
    """The mailbox whose password was set, for as long as it is there."""
    if not mailbox_id:
        return None
    found = Mailbox.objects.live().filter(pk=mailbox_id, domain__deleted_at=None)
    return found.select_related("domain__customer__placement__server").first()


def forget_old_invitations() -> None:
    MailboxInvitation.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _address(mailbox: Mailbox, email: str) -> str:
    email = email.strip()
    try:
        validate_email(email)
    except ValidationError as error:
        raise ValidationError({"invite": error.messages}) from error
    local_part, _, domain = email.lower().rpartition("@")
    if domain == mailbox.domain.name and local_part.partition("+")[0] == mailbox.local_part:
        text = "Nobody can read mail in this mailbox before its password is set. Enter another address."
        raise ValidationError({"invite": text}, code="itself")
    return email


def _refuse_too_many(mailbox: Mailbox) -> None:
    now = timezone.now()
    of_customer = MailboxInvitation.objects.filter(mailbox__domain__customer=mailbox.customer)
    if (
        mailbox.invitations.filter(made_at__gt=now - timedelta(hours=1)).count() >= MOST_AN_HOUR
        or of_customer.filter(made_at__gt=now - timedelta(days=1)).count() >= MOST_A_DAY
    ):
        text = f"At most {MOST_AN_HOUR} invitations an hour for a mailbox and {MOST_A_DAY} a day in all. Wait a while."
        raise ValidationError({"invite": text}, code="often")


def _record(action: str, invitation: MailboxInvitation, by: User | None) -> None:
    mailbox, after = invitation.mailbox, {"email": invitation.email}
    audit.record(action, by=by, customer=mailbox.customer, subject=mailbox.address, after=after)


@notices.notice_kind(NOTICE, template="domains/emails/mailbox_invitation")
def _mail(invitation_id: str) -> tuple[list[str], dict[str, Any]]:
    related = "mailbox__domain__customer", "by"
    invitation = MailboxInvitation.objects.select_related(*related).filter(pk=invitation_id).first()
    if invitation is None or not invitation.is_open or invitation.mailbox.deleted_at:
        return [], {}
    return [invitation.email], {"invitation": invitation, "mailbox": invitation.mailbox}
