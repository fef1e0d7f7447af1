"""Looking at the DNS of hosted domains again and again, and telling people when what was right is so no more.

Whatever DNS says, mail for the domain goes on: it may be the name servers that are wrong, or only away.
"""

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q, Sum
from django.utils import timezone

from accounts import notices
from accounts.webhooks import events
from domains.dns import ownership, records
from domains.dns.verdict import LABELS, State
from domains.models.dns import DnsAlert, DnsCheck, OwnershipKey
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from domains.models.domain import Domain

NOTICE = "domain.dns"
OWNERSHIP = "ownership"
IN_A_ROW = 2  # looks that must agree before anybody is told
PENDING, PENDING_FOR, LATER = timedelta(minutes=1), timedelta(days=1), timedelta(hours=1)
AWAY = timedelta(minutes=5)
WELL = timedelta(days=1)
CLAIM = timedelta(minutes=5)
AT_ONCE = 20  # looks that one sweep asks for
MINUTE = timedelta(minutes=1)
ALERTS_A_DAY = 4  # name servers that contradict each other would otherwise cause one every few minutes
BY_DOMAIN, BY_CUSTOMER = 30, 120  # looks by hand in a minute

Found = Mapping[str, dict[str, Any]]


class AskedTooOften(Exception):
    """More looks by hand within a minute than are done; `wait` seconds till the next."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"That was asked very often. Wait {wait} s; DNS is looked at by itself, too.")
        self.wait = wait


def look(domain: "Domain", *, by_hand: bool = False) -> None:
    """Ask DNS about each record, for at most the resolver's deadlines, keep what it says, and owe the alert that
    follows from it.
    """
    label = OwnershipKey.of(domain.customer).label
    expected = records.expected(domain.name, domain.mx_host, domain.dkim_key)
    found = records.check(domain.name, expected)
    found[OWNERSHIP] = ownership.look_again(domain.name, label)
    zone, nameservers = records.zone_of(domain.name)
    with unit_of_work():
        DnsCheck.objects.get_or_create(domain=domain)
        check = DnsCheck.objects.select_for_update().get(domain=domain)
        if zone:
            check.zone, check.nameservers = zone, nameservers
        _keep(check, found, by_hand=by_hand)
        _tell(check, {record.kind: record.title for record in expected} | {OWNERSHIP: "Proof of ownership"})
        check.save()
    domain.dns_check = check


def count_asking(domain: "Domain") -> None:
    """Count a look by hand. Raises AskedTooOften when there were too many within a minute for this domain or its
    customer.
    """
    now = timezone.now()
    DnsCheck.objects.get_or_create(domain=domain)
    with unit_of_work():
        check = DnsCheck.objects.select_for_update().get(domain=domain)
        if check.asked_since < now - MINUTE:
            check.asked, check.asked_since = 0, now
        others = DnsCheck.objects.filter(domain__customer=domain.customer_id, asked_since__gte=now - MINUTE)
        by_customer = others.exclude(pk=check.pk).aggregate(sum=Sum("asked"))["sum"] or 0
        if check.asked >= BY_DOMAIN or check.asked + by_customer >= BY_CUSTOMER:
            raise AskedTooOften(max(1, round((check.asked_since + MINUTE - now).total_seconds())))
        check.asked += 1
        check.save(update_fields=["asked", "asked_since"])


def due() -> list[Any]:
    """Ids of live domains to look at now, AT_ONCE at most; those that were never looked at are noted first. Claimed, so
    that the next sweep leaves them alone for a while.
    """
    from domains.models.domain import Domain

    now = timezone.now()
    never = Domain.objects.live().filter(dns_check=None)[:AT_ONCE]
    DnsCheck.objects.bulk_create([DnsCheck(domain=domain) for domain in never], ignore_conflicts=True)
    live = DnsCheck.objects.filter(next_at__lte=now, domain__deleted_at=None)
    found = list(live.order_by("next_at").values_list("pk", flat=True)[:AT_ONCE])
    DnsCheck.objects.filter(Q(next_at__lte=now), pk__in=found).update(next_at=now + CLAIM)
    return found


def _keep(check: DnsCheck, found: Found, *, by_hand: bool) -> None:
    now = timezone.now()
    check.checked_at = now
    check.found = {kind: carried(check.found.get(kind, {}), facts, now) for kind, facts in found.items()}
    pending = any(_is_wrong(kind, facts) for kind, facts in check.found.items())
    if not pending:
        check.pending_since = None
    elif by_hand or check.pending_since is None:
        check.pending_since = now
    check.next_at = now + _wait(check, now)


def carried(before: Mapping[str, Any], now: dict[str, Any], at: datetime) -> dict[str, Any]:
    """What is kept of one record: what was found now, and from before: `known`, the last state that DNS gave; `streak`,
    how often in a row; `well`, whether it ever was right; `cached_until`, how long others may see what stood there.
    """
    kept = {name: before[name] for name in ("known", "streak", "well", "cached_until") if name in before}
    if now["state"] == State.UNCHECKED:
        return {**now, **kept, "found": before.get("found", []), "ttl": before.get("ttl", 0)}
    known, streak = before.get("known"), before.get("streak", 0)
    if known and before.get("found") != now["found"]:
        kept["cached_until"] = (at + timedelta(seconds=before.get("ttl", 0))).isoformat()
    well = bool(before.get("well")) or now["state"] == State.OK
    return {
        **now,
        **kept,
        "known": now["state"],
        "streak": streak + 1 if known == now["state"] else 1,
        "well": well,
    }


def _is_wrong(kind: str, facts: Mapping[str, Any]) -> bool:
    """Whether it waits for somebody. A proof that was never seen here, for a domain that was added without one, does
    not.
    """
    return facts.get("known", "") != State.OK and (kind != OWNERSHIP or bool(facts.get("well")))


def _wait(check: DnsCheck, now: datetime) -> timedelta:
    if check.pending_since is not None:
        away = all(facts["state"] == State.UNCHECKED for facts in check.found.values())
        soon = AWAY if away else PENDING
        return soon if now - check.pending_since < PENDING_FOR else LATER
    if check.told:
        return PENDING
    if any(facts["state"] == State.UNCHECKED and facts.get("known") for facts in check.found.values()):
        return AWAY
    return WELL * random.uniform(0.95, 1.05)  # noqa: S311  spreads the looks, guards nothing


def _tell(check: DnsCheck, titles: Mapping[str, str]) -> None:
    """Owe one alert for what is newly wrong, and one when all of it is well again; what is too much for a day is told
    when there is room.
    """
    recent = DnsAlert.objects.filter(domain=check.pk, at__gt=timezone.now() - timedelta(days=1))
    if recent.count() >= ALERTS_A_DAY:
        return
    wrong = {
        kind: facts
        for kind, facts in check.found.items()
        if facts.get("well") and facts.get("known") != State.OK and facts["streak"] >= IN_A_ROW
    }
    new = [kind for kind, facts in wrong.items() if f"{kind} {facts['known']}" not in check.told]
    if new:
        check.told = [*check.told, *(f"{kind} {wrong[kind]['known']}" for kind in new)]
        _owe(check, wrong, titles)
    elif check.told and all(_is_well(check.found.get(text.split()[0], {})) for text in check.told):
        check.told = []
        _owe(check, {}, titles)


def _is_well(facts: Mapping[str, Any]) -> bool:
    return facts.get("known", State.OK) == State.OK and facts.get("streak", IN_A_ROW) >= IN_A_ROW


def _problem(title: str, facts: Mapping[str, Any]) -> dict[str, str]:
    return {"title": title, "label": LABELS[State(facts["known"])], "note": facts["note"]}


def _owe(check: DnsCheck, wrong: Found, titles: Mapping[str, str]) -> None:
    problems = [_problem(titles.get(kind, kind), facts) for kind, facts in wrong.items()]
    alert = DnsAlert.objects.create(domain_id=check.pk, problems=problems)
    notices.send_notice(NOTICE, alert.pk)
    facts = {"wrong": {kind: facts["known"] for kind, facts in wrong.items()}}
    events.tell(check.domain.customer_id, events.DNS, check.domain.name, facts)
