"""Two customers prove the same domain: a case that a person decides."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer, User
from domains.dns.ownership import Result, prove
from domains.models.dns import OwnershipKey
from domains.models.domain import Domain, add_domain
from foundation.unit_of_work import unit_of_work

TO_HOLDER, TO_STAFF = "domain.claim", "domain.claim_staff"
DECIDED_TO_HOLDER, DECIDED_TO_CLAIMANT = "domain.claim_decided_holder", "domain.claim_decided_claimant"
AGAIN_AFTER = timedelta(days=30)  # the same claim is a new case then, so that no holder is pestered


class DomainClaim(models.Model):
    """`claimant` has proved a domain that `domain`'s customer holds; `given` says how staff decided. Whatever they
    decide, the holder's mailboxes and mail stay the holder's.
    """

    domain = models.ForeignKey(Domain, models.CASCADE, related_name="claims")
    claimant = models.ForeignKey(Customer, models.CASCADE, related_name="domain_claims")
    opened_at = models.DateTimeField(default=timezone.now)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    given = models.BooleanField(null=True)

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["domain", "claimant"], condition=Q(decided_at=None), name="domain_claim_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.domain}, claimed by {self.claimant.username}"

    @property
    def status(self) -> str:
        if self.decided_at is None:
            return "open"
        return "given" if self.given else "kept"

    @property
    def refusal(self) -> ValidationError:
        """What the claimant is told, who has proved it."""
        so_far = "As you have proved it, a person looks at it; write to us if you hear nothing within a day."
        if self.status == "kept":
            so_far = "You have proved it, and a person of ours left it there; write to us if that is wrong."
        text = f"{self.domain} is hosted here for another customer. {so_far}"
        return ValidationError(text, code="taken")

    def give(self, *, by: User) -> bool:
        """Take the domain from its holder, whose mailboxes wait with the deleted domain, and host it, empty, for the
        claimant. False when the case is decided. Takes up to 5 s.

        Raises ValidationError when the claimant's plan has no room, or its proof does not stand now: the case may be
        old, and the domain not the claimant's any more.
        """
        if self.decided_at is None:
            self._prove()
        with unit_of_work():
            if not self._decide(given=True, by=by):
                return False
            self.domain.delete(by=by)
            add_domain(self.claimant, self.domain.name, by=by)
        return True

    def keep(self, *, by: User) -> bool:
        """Leave the domain where it is; false when the case is decided."""
        with unit_of_work():
            return self._decide(given=False, by=by)

    def _prove(self) -> None:
        proof = prove(self.domain.name, OwnershipKey.of(self.claimant).label)
        if proof.result is not Result.PROVED:
            text = f"Nothing was changed, for {self.claimant.username} does not prove {self.domain} now. {proof.why}"
            raise ValidationError(text)

    def _decide(self, *, given: bool, by: User) -> bool:
        facts = {"given": given, "decided_at": timezone.now(), "decided_by": by}
        if not DomainClaim.objects.filter(pk=self.pk, decided_at=None).update(**facts):
            return False
        action = "domain.give" if given else "domain.keep"
        for customer in (self.domain.customer, self.claimant):
            audit.record(action, by=by, customer=customer, subject=self.domain.name)
        notices.send_notice(DECIDED_TO_HOLDER, self.pk)
        notices.send_notice(DECIDED_TO_CLAIMANT, self.pk)
        return True


def open_claim(claimant: Customer, name: str) -> DomainClaim | None:
    """Note that `claimant` proved `name` while another customer holds it, and tell the holder and staff, once; also
    where that was decided within AGAIN_AFTER. None where nobody else holds it.
    """
    with unit_of_work():
        held = Domain.objects.live().filter(name=name).exclude(customer=claimant).first()
        if held is None:
            return None
        same = DomainClaim.objects.filter(domain=held, claimant=claimant)
        kept = same.filter(given=False, decided_at__gt=timezone.now() - AGAIN_AFTER).first()
        if kept:
            return kept
        claim, is_new = same.get_or_create(domain=held, claimant=claimant, decided_at=None)
        if is_new:
            notices.send_notice(TO_HOLDER, claim.pk)
            notices.send_notice(TO_STAFF, claim.pk)
    return claim
