from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from accounts.models import SuspensionBase, User
from domains.driver.stamping import stamp
from domains.models.server import Kind
from foundation.unit_of_work import unit_of_work


class MailboxSuspension(SuspensionBase):
    """A mailbox stopped, wholly or in part, by its customer or by staff."""

    mailbox = models.ForeignKey("domains.Mailbox", models.CASCADE, related_name="suspensions")
    by_staff = models.BooleanField(default=False, help_text="Only staff lift or replace it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox"], condition=Q(lifted_at=None), name="mailbox_suspended_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Suspension of {self.mailbox}"

    def put_back(self, *, by: User | None) -> bool:
        """Bring it back as it was before it was lifted; false while another is in force, or its time is over."""
        if self.until and self.until <= timezone.now():
            return False
        with unit_of_work():
            type(self.mailbox).objects.select_for_update().only("pk").get(pk=self.mailbox_id)
            others = MailboxSuspension.objects.filter(mailbox=self.mailbox_id, lifted_at=None)
            lifted = MailboxSuspension.objects.filter(pk=self.pk, lifted_at__isnull=False)
            if others.exists() or not lifted.update(lifted_at=None, lifted_by=None):
                return False
            self.lifted_at = self.lifted_by = None
            stamp(self.mailbox.customer, Kind.STATE, self.pk)
            after = {"stops": self.stops, "reason": self.reason}
            customer, subject = self.mailbox.customer, self.mailbox.address
            audit.record("mailbox.suspend", by=by, customer=customer, subject=subject, after=after)
        return True
