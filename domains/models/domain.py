"""Domains and what may be done with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, User
from billing.entitlements import Feature, limit
from domains import dkim, dns_watch
from domains.dns import hosts, records, suffixes
from domains.driver.stamping import stamp
from domains.models.deletable import Deletable, DeletableQuerySet
from domains.models.dns import DkimKey, OwnershipKey
from domains.models.server import Kind, MailServer
from domains.plan_room import check_room_for_domain, check_room_for_mailboxes, lock
from foundation.names import normalise_domain
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from domains.models.mailbox import Mailbox


class DomainQuerySet(DeletableQuerySet["Domain"]):
    named_by = "name"


class Domain(Deletable):
    """A domain whose mail is hosted here. Unique while it is not deleted; deleting it frees the name at
    once.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="domains")
    name = models.CharField(max_length=253, help_text="Lower case, A-labels, no trailing dot.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DomainQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(deleted_at=None), name="domain_live_once"),
            models.CheckConstraint(
                condition=Q(name__regex=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"), name="domain_name_form"
            ),
            models.CheckConstraint(
                condition=Q(purging_at=None) | Q(deleted_at__isnull=False),
                name="domain_purged_only_when_deleted",
            ),
        ]
        indexes = [models.Index(fields=["deleted_at"], condition=~Q(deleted_at=None), name="domain_deleted")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("domains:domain-page", args=[self.customer.username, self.name])

    @property
    def mailboxes_url(self) -> str:
        return reverse("domains:mailbox-list", args=[self.customer.username, self.name])

    @property
    def status(self) -> str:
        return "deleted" if self.deleted_at else "active"

    @property
    def server(self) -> MailServer | None:
        """The mail server that holds it; None until its customer has been placed."""
        placement = getattr(self.customer, "placement", None)
        return placement.server if placement and placement.placed_at else None

    @property
    def mx_host(self) -> str | None:
        return self.server.name if self.server else None

    @property
    def dkim_key(self) -> DkimKey:
        return self.dkim_keys.get()

    @property
    def records(self) -> list[records.Record]:
        """What its DNS should say, each with what the last check found."""
        check = getattr(self, "dns_check", None)
        expected = records.expected(self.name, self.mx_host, self.dkim_key)
        return [record.as_found(check.found.get(record.kind) if check else None) for record in expected]

    @property
    def dns_host(self) -> hosts.Host | None:
        """Where its zone is hosted, as far as its name servers tell."""
        check = getattr(self, "dns_check", None)
        return hosts.host_of(check.nameservers) if check else None

    @property
    def names_at_host(self) -> list[tuple[str, str]]:
        """What to enter as the name of each record at `dns_host`: (title, text)."""
        host = self.dns_host
        if host is None:
            return []
        zone = self.dns_check.zone or self.name
        return [(record.title, hosts.entered(record.name, zone, host)) for record in self.records]

    @property
    def dns_state(self) -> str:
        """The last check in a word: `ok`, `unchecked`, or the first state that asks for something."""
        check = getattr(self, "dns_check", None)
        found = check.found.items() if check else ()
        states = [facts["state"] for kind, facts in found if kind != dns_watch.OWNERSHIP]
        return next((state for state in states if state != "ok"), "ok") if states else "unchecked"

    @property
    def proof_is_gone(self) -> bool:
        """Whether the proof of ownership, once seen, was not there at two looks in a row."""
        check = getattr(self, "dns_check", None)
        return check is not None and f"{dns_watch.OWNERSHIP} missing" in check.told

    @property
    def proof_name(self) -> str:
        return f"{OwnershipKey.of(self.customer).label}.{self.name}"

    def check_dns(self, *, by_hand: bool = False) -> None:
        """Ask DNS, for at most the resolver's deadlines, and keep what it says."""
        dns_watch.look(self, by_hand=by_hand)

    def add_mailbox(
        self,
        username: str,
        password: str = "",
        quota_mb: int = 1024,
        name: str = "",
        *,
        by: User | None,
        password_hash: str = "",
        invite: str = "",
    ) -> "Mailbox":
        """Add a mailbox with this password, or instead with a ready Dovecot hash (`{SCHEME}…`), or for somebody at the
        address `invite` who sets the password; until then nobody can sign in.

        Raises ValidationError, by field, when a name or password will not do, the address exists, or the plan
        is used up.
        """
        from domains.models.mailbox_adding import add_mailbox

        secret = {"password": password, "password_hash": password_hash, "invite": invite}
        return add_mailbox(self, username, quota_mb, name, by=by, **secret)

    def delete(self, *, by: User | None) -> bool:  # type: ignore[override]  # a verb: rows go when they are purged
        """Stop hosting it; mailboxes and mail wait DELETED_KEPT for `restore`. False when it is deleted
        already.
        """
        with unit_of_work():
            now = timezone.now()
            if not Domain.objects.filter(pk=self.pk, deleted_at=None).update(deleted_at=now):
                return False
            self.deleted_at = now
            self._stamp(gone=True)
            audit.record("domain.delete", by=by, customer=self.customer, subject=self.name)
        return True

    def restore(self, *, by: User | None) -> bool:
        """Undo the deletion, with everything as it was; false when it is not deleted.

        Raises ValidationError when its days are over, the plan is used up, or the name is hosted again.
        """
        with taken_if_doubled(self.name), unit_of_work():
            lock(self.customer)
            self.refresh_from_db(
                fields=["deleted_at", "purging_at"], from_queryset=Domain.objects.select_for_update()
            )
            if not self.deleted_at:
                return False
            self.refuse_past_its_days()
            refuse_taken(self.name, self.customer)
            check_room_for_domain(self.customer)
            check_room_for_mailboxes(
                self.customer, self.mailboxes.live().count(), limit(self.customer, Feature.MAILBOXES)
            )
            Domain.objects.filter(pk=self.pk).update(deleted_at=None)
            self.deleted_at = None
            self._stamp()
            audit.record("domain.restore", by=by, customer=self.customer, subject=self.name)
        return True

    def _stamp(self, *, gone: bool = False) -> None:
        stamp(self.customer, Kind.DOMAIN, self.pk, gone=gone)
        for key in self.dkim_keys.all():
            stamp(self.customer, Kind.DKIM, key.pk, gone=gone)


def holder_of(name: str) -> str:
    """The username of the customer that holds the domain `name`; empty where nobody does."""
    holders = Domain.objects.filter(name=name, deleted_at=None).values_list("customer__username", flat=True)
    return holders.first() or ""


def add_domain(customer: Customer, name: str, *, by: User | None) -> Domain:
    """Host a domain that `customer` has proved (`domains.dns.ownership`); its DKIM key is made here.

    Raises ValidationError when the name is none, is hosted already, or the plan is used up.
    """
    name = normalise_domain(name)
    refuse_taken(name, customer)
    pair = dkim.new_pair()
    with taken_if_doubled(name), unit_of_work():
        lock(customer)
        check_room_for_domain(customer)
        domain = customer.domains.create(name=name)
        key = domain.dkim_keys.create(private_key=pair.private_pem, public_key=pair.public_base64)
        stamp(customer, Kind.DOMAIN, domain.pk)
        stamp(customer, Kind.DKIM, key.pk)
        audit.record("domain.add", by=by, customer=customer, subject=name)
        _check_soon(domain.pk)
    return domain


def refuse_ours(name: str) -> None:
    """Raise ValidationError (code `taken`) for the name of the service, all below it, and those of mail servers; and
    (code `suffix`) for one under which strangers register theirs.
    """
    if suffixes.is_public(name):
        text = f"Under {name} other people register names of their own, so nobody can have it. Enter yours below it."
        raise ValidationError(text, code="suffix")
    ours = f".{name}".endswith(f".{settings.MAIL_DOMAIN.lower()}")
    if ours or MailServer.objects.filter(name__iexact=name).exists():
        text = f"{name} is a name of our own servers, so no customer can have it. Enter a domain of yours."
        raise ValidationError(text, code="taken")


def refuse_taken(name: str, customer: Customer) -> None:
    """Raise ValidationError (code `taken`) when a live domain has this name, or it is one of our own."""
    refuse_ours(name)
    holder = Domain.objects.live().filter(name=name).values_list("customer_id", flat=True).first()
    if holder == customer.pk:
        raise ValidationError(f"You have {name} already.", code="taken")
    if holder is not None:
        raise _taken(name)


@contextmanager
def taken_if_doubled(name: str) -> Iterator[None]:
    """Tell two at once who add the same name apart by the constraint; the second is told that it is taken."""
    try:
        yield
    except IntegrityError as error:
        if "domain_live_once" in str(error):
            raise _taken(name) from error
        raise


def _taken(name: str) -> ValidationError:
    text = (
        f"{name} is hosted here for another customer. If it is yours, write to us; a person will see to it."
    )
    return ValidationError(text, code="taken")


def _check_soon(domain_id: UUID) -> None:
    from domains.tasks import check_domain

    check_domain.delay_on_commit(str(domain_id))
