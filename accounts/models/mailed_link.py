"""Links that are mailed to somebody and work once."""

import secrets
from datetime import timedelta
from hashlib import sha256

from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac

GOOD_FOR = timedelta(days=7)


class MailedLink(models.Model):
    """Carries the secret of a link as a hash. The secret itself is stored nowhere: it is made of this row's nonce and
    settings.SECRET_KEY whenever its mail is written, so that a mail which is sent again has the same link.
    """

    nonce = models.CharField(max_length=43, editable=False)
    secret_hash = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        abstract = True

    @property
    def secret(self) -> str:
        return salted_hmac(
            f"link of {self._meta.label}", f"{self.pk} {self.nonce}", algorithm="sha256"
        ).hexdigest()

    @property
    def has_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    def renew_link(self, good_for: timedelta = GOOD_FOR) -> None:
        """Give it a new secret; a link that was mailed before is dead once this is saved."""
        self.nonce = secrets.token_urlsafe(32)
        self.secret_hash = hash_of(self.secret)
        self.expires_at = timezone.now() + good_for


def hash_of(secret: str) -> str:
    """How a secret is stored; it has 256 random bits, so a plain hash cannot be turned back."""
    return sha256(secret.encode()).hexdigest()
