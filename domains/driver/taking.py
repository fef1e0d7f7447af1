"""Taking one row that a server has into the panel, by the rules of the forms and with an audit entry. Each may be taken
twice without harm, raises ValidationError with the reason where it cannot be taken, and removes nothing for good.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts import audit
from accounts.models import Customer, CustomerSuspension, SuspensionCause, User
from billing.entitlements import Feature, limits
from domains import dkim
from domains.driver.prospects import (
    HELD,
    INVALID,
    NO_DOMAIN,
    NO_SUBJECT,
    NOT_PLACED,
    OTHER_KEY,
    OTHERS,
    PLAN_DECIDES,
    Side,
)
from domains.driver.stamping import stamp
from domains.mailbox_password import accept_hash
from domains.models import (
    DkimKey,
    Domain,
    Kind,
    Mailbox,
    MailboxSuspension,
    MailServer,
    ServiceStop,
)
from domains.models.domain import _check_soon, refuse_taken
from domains.plan_room import check_quota, check_room_for_domain, check_room_for_mailboxes, lock
from foundation.lines import one_line
from foundation.names import normalise_domain, normalise_local_part
from mailnode import wire

MB = 2**20

Suspension = MailboxSuspension | CustomerSuspension | ServiceStop


class Taker:
    """Takes rows of one server, in the name of the member of staff who decided so. `keys` holds what the server has as
    DKIM keys of domains that are not here yet, by domain.
    """

    def __init__(self, server: MailServer, by: User | None) -> None:
        self.server = server
        self.by = by
        self.keys: dict[str, tuple[UUID, wire.Dkim]] = {}
        self.domains: dict[UUID, Domain] = {}
        self.mailboxes: dict[UUID, Mailbox] = {}
        self.limits: dict[UUID, tuple[int | None, ...]] = {}

    def look_up(self, rows: Mapping[UUID, Side]) -> None:
        """Read at once what is here of the mailboxes among these rows, which are taken in the same transaction."""
        boxes = {key: row for key, row in rows.items() if isinstance(row, wire.Mailbox)}
        parents = {UUID(row.domain) for row in boxes.values()}
        self.domains = self._domains().in_bulk(parents) if parents else {}
        known = Mailbox.objects.select_related("domain__customer")
        self.mailboxes = known.in_bulk(list(boxes)) if boxes else {}
        self.limits = {}

    def take(self, key: UUID, held: Side) -> bool:
        """Make the panel's row what the server has; false when it has to wait for the domain that it belongs to."""
        match held:
            case wire.Domain():
                self._domain(key, held)
            case wire.Mailbox():
                self._mailbox(key, held)
            case wire.Dkim():
                return self._dkim(key, held)
            case wire.State():
                self._state(key, held)
            case wire.Customer():
                raise ValidationError(PLAN_DECIDES)
            case _:
                raise ValidationError(INVALID)
        return True

    def drop(self, kind: str, key: UUID) -> None:
        """Delete what the server does not have, so that it can be restored, or lift it."""
        match kind:
            case Kind.DOMAIN:
                for domain in self._domains().filter(pk=key):
                    domain.delete(by=self.by)
            case Kind.MAILBOX:
                for mailbox in self._mailboxes().filter(pk=key):
                    mailbox.delete(by=self.by)
            case Kind.DKIM:
                if DkimKey.objects.filter(pk=key, domain__deleted_at=None).exists():
                    raise ValidationError("its domain needs a key, and the server has none")
            case Kind.STATE:
                self._lift(key)
            case _:
                raise ValidationError(PLAN_DECIDES)

    def _domains(self) -> "models.QuerySet[Domain]":
        """Domains of customers that are placed on the server, also deleted ones."""
        placed = {"customer__placement__server": self.server, "customer__placement__placed_at__isnull": False}
        return Domain.objects.select_related("customer").filter(**placed)

    def _mailboxes(self) -> "models.QuerySet[Mailbox]":
        return Mailbox.objects.select_related("domain__customer").filter(domain__in=self._domains())

    def _customer(self, key: str) -> Customer:
        placed = {"placement__server": self.server, "placement__placed_at__isnull": False}
        customer = Customer.objects.filter(pk=UUID(key), **placed).first()
        if customer is None:
            raise ValidationError(NOT_PLACED)
        return customer

    def _domain(self, key: UUID, held: wire.Domain) -> None:
        customer = self._customer(held.customer)
        if not held.accepts or normalise_domain(held.name) != held.name:
            raise ValidationError(INVALID)
        known = Domain.objects.filter(pk=key).first()
        if known is None:
            self._add_domain(customer, key, held.name)
        elif (known.customer_id, known.name) != (customer.pk, held.name):
            raise ValidationError(HELD)
        else:
            known.restore(by=self.by)

    def _add_domain(self, customer: Customer, key: UUID, name: str) -> None:
        """Host it again without a new proof: it was proved when the server was told of it."""
        refuse_taken(name, customer)
        lock(customer)
        check_room_for_domain(customer)
        key_id, pair = self._key_of(key)
        domain = customer.domains.create(pk=key, name=name)
        made = domain.dkim_keys.create(**key_id, private_key=pair.private_pem, public_key=pair.public_base64)
        stamp(customer, Kind.DOMAIN, key)
        stamp(customer, Kind.DKIM, made.pk)
        audit.record("domain.add", by=self.by, customer=customer, subject=name)
        _check_soon(key)

    def _key_of(self, domain: UUID) -> tuple[dict[str, object], dkim.Pair]:
        """The key that the server has for the domain, or else a new one."""
        held = self.keys.pop(domain.hex, None)
        if held is None or DkimKey.objects.filter(pk=held[0]).exists():
            return {}, dkim.new_pair()
        return {"pk": held[0], "selector": held[1].selector}, dkim.pair_of(held[1].private_key)

    def _dkim(self, key: UUID, held: wire.Dkim) -> bool:
        domain = self._domains().filter(pk=UUID(held.domain)).first()
        if domain is None and not Domain.objects.filter(pk=UUID(held.domain)).exists():
            self.keys[held.domain] = key, held
            return False
        known = DkimKey.objects.filter(pk=key, domain=domain, selector=held.selector).first()
        if domain is None or known is None or not held.signs:
            raise ValidationError(OTHER_KEY)
        if domain.deleted_at:
            return False  # it comes back with its domain
        if known.private_key != held.private_key:
            pair = dkim.pair_of(held.private_key)
            known.private_key, known.public_key = pair.private_pem, pair.public_base64
            known.save(update_fields=["private_key", "public_key"])
            stamp(domain.customer, Kind.DKIM, key)
            audit.record("dkim.change", by=self.by, customer=domain.customer, subject=str(known))
        return True

    def _mailbox(self, key: UUID, held: wire.Mailbox) -> None:
        domain = self.domains.get(UUID(held.domain))
        quota_mb, rest = divmod(held.quota_bytes, MB)
        if domain is None:
            raise ValidationError(NO_DOMAIN)
        if rest or normalise_local_part(held.local_part) != held.local_part:
            raise ValidationError(INVALID)
        check_quota(quota_mb, self._limits(domain.customer)[0])
        accept_hash(held.password_hash)
        known = self.mailboxes.get(key)
        if known is None:
            self._add_mailbox(domain, key, held, quota_mb)
        elif (known.domain_id, known.local_part) != (domain.pk, held.local_part):
            raise ValidationError(HELD)
        else:
            known.restore(by=self.by)
            known.change(quota_mb, known.name, by=self.by)
            if held.sends_per_day is not None:
                known.limit_sends(held.sends_per_day, by=self.by)
            if known.password_hash != held.password_hash:
                known.set_password(password_hash=held.password_hash, by=self.by)

    def _add_mailbox(self, domain: Domain, key: UUID, held: wire.Mailbox, quota_mb: int) -> None:
        """Also into a deleted domain: it comes back with that one."""
        if not domain.deleted_at:
            check_room_for_mailboxes(domain.customer, 1, self._limits(domain.customer)[1])
        mailbox = Mailbox(domain=domain, pk=key, local_part=held.local_part, quota_mb=quota_mb)
        mailbox.password_hash = held.password_hash
        mailbox.save(force_insert=True)
        mailbox.record("mailbox.add", self.by, after=mailbox._settings())

    def _limits(self, customer: Customer) -> tuple[int | None, ...]:
        """The plan's storage in MB and its mailboxes."""
        if customer.pk not in self.limits:
            self.limits[customer.pk] = limits(customer, Feature.STORAGE_MB, Feature.MAILBOXES)
        return self.limits[customer.pk]

    def _state(self, key: UUID, held: wire.State) -> None:
        one_line(held.reason)
        facts = {"stops": held.stops, "reason": held.reason, "until": _time(held.until)}
        known = self._suspension(key)
        if known is None:
            known = self._suspend(key, held, facts)
        else:
            subject = known.mailbox_id if isinstance(known, MailboxSuspension) else known.customer_id
            if subject.hex != held.subject:
                raise ValidationError(INVALID)
            type(known).objects.filter(pk=key).update(**facts, lifted_at=None, lifted_by=None)
        self._record_state("suspend", known, after={**facts, "until": held.until})

    def _suspend(self, key: UUID, held: wire.State, facts: Mapping[str, object]) -> Suspension:
        """Who suspended a mailbox is not known any more; what may have been staff is for staff to lift."""
        tables = (MailboxSuspension, CustomerSuspension, ServiceStop)
        if any(table.objects.filter(pk=key).exists() for table in tables):
            raise ValidationError(OTHERS)  # rows name all of them by their ids alone: it would hide that one
        if held.subject_kind == "customer":
            return self._suspend_customer(key, self._customer(held.subject), held, facts)
        mailbox = self._mailboxes().filter(pk=UUID(held.subject)).first()
        if held.subject_kind != "mailbox" or mailbox is None:
            raise ValidationError(NO_SUBJECT)
        return MailboxSuspension.objects.create(pk=key, mailbox=mailbox, by=self.by, by_staff=True, **facts)

    def _suspend_customer(
        self, key: UUID, customer: Customer, held: wire.State, facts: Mapping[str, object]
    ) -> CustomerSuspension:
        """Its cause is not known any more either, so it counts as staff's, of which a customer has one: where that stands
        already, it stops from now on what both did.
        """
        staffs = customer.suspensions.filter(cause=SuspensionCause.STAFF, lifted_at=None, until=None)
        standing = staffs.first() if held.until is None else None
        if standing is None:
            return CustomerSuspension.objects.create(pk=key, customer=customer, by=self.by, **facts)
        standing.stops = sorted({*standing.stops, *held.stops})
        if held.reason not in standing.reason:
            standing.reason = f"{standing.reason.rstrip('.')}. {held.reason}"[:500]
        standing.save(update_fields=["stops", "reason"])
        stamp(customer, Kind.STATE, key, gone=True)
        return standing

    def _lift(self, key: UUID) -> None:
        known = self._suspension(key)
        if known is None or known.lifted_at:
            return
        type(known).objects.filter(pk=key).update(lifted_at=timezone.now(), lifted_by=self.by)
        self._record_state("unsuspend", known, gone=True)

    def _suspension(self, key: UUID) -> Suspension | None:
        """The suspension of this id, of whatever kind, of a customer that is placed on the server."""
        of_mailbox = MailboxSuspension.objects.filter(pk=key, mailbox__in=self._mailboxes())
        found: Suspension | None = of_mailbox.select_related("mailbox__domain__customer").first()
        placed = {"customer__placement__server": self.server, "customer__placement__placed_at__isnull": False}
        for model in (CustomerSuspension, ServiceStop):
            found = found or model.objects.select_related("customer").filter(pk=key, **placed).first()
        return found

    def _record_state(
        self, verb: str, known: Suspension, *, after: dict[str, object] | None = None, gone: bool = False
    ) -> None:
        if isinstance(known, MailboxSuspension):
            noun, customer, subject = "mailbox", known.mailbox.customer, known.mailbox.address
        else:
            noun, customer, subject = "customer", known.customer, known.customer.username
        stamp(customer, Kind.STATE, known.pk, gone=gone)
        audit.record(f"{noun}.{verb}", by=self.by, customer=customer, subject=subject, after=after)


def _time(seconds: int | None) -> datetime | None:
    """ValidationError for a time that no calendar holds."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise ValidationError(INVALID) from error
