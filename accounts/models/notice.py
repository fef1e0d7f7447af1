from django.db import models
from django.utils import timezone


class Notice(models.Model):
    """A mail the panel owes somebody. Only its kind and the id of its subject are kept; the text is made when it is
    sent, so no message stands in the database.
    """

    kind = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=models.Q(sent_at=None), name="notice_unsent"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id}"
