"""How each thing that can be wrong shows in a look: `see_…` names what is wrong, the others whether it is over."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from celery.schedules import crontab
from django.conf import settings

from domains.look import Look, Wrong, canary_limit, canary_period, time_of
from domains.models import Incident, MailServer

FOREIGN_FOR = timedelta(hours=1)
PERIODS_MISSED = 3
DIGEST_MAY_WAIT = timedelta(hours=6)
REBUILD_MAY_WAIT = timedelta(minutes=15)
USAGE_MAY_WAIT = timedelta(minutes=10)
CANARY = "domains.tasks.canary"
FRAUDRECORD = "fraudrecord"  # the pulse of our key
SERVICES = frozenset({"agent", "keeper", "lookup", "postfix", "dovecot", "rspamd", "redis"})
GIGABYTE = 2**30


def see_behind(look: Look) -> Iterator[Wrong]:
    for key, since in look.behind.items():
        server = look.servers[key]
        if look.now - since >= timedelta(seconds=settings.ALARM_BEHIND_SECONDS) and not server.sync.halted_at:
            yield Wrong(
                server.name, f"{server} lacks changes since {said(since)}. {_why_behind(server)}", server
            )


def has_caught_up(look: Look, incident: Incident) -> bool:
    """Whether it owes nothing, or only what was wished after somebody saw that it owed nothing else."""
    since = look.behind.get(incident.server_id or 0)
    return since is None or since > max(look.since, incident.opened_at)


def _why_behind(server: MailServer) -> str:
    if server.sync.rebuild_wanted_at:
        return "It is being rebuilt."
    if server.sync.failed_at:
        return f"The last call failed: {server.sync.failure}"
    return server.sync.reported.get("lag_error") or "No call has failed."


def see_halted(look: Look) -> Iterator[Wrong]:
    for server in look.servers.values():
        if server.sync.halted_at:
            yield Wrong(server.name, server.sync.halted_reason, server)


def is_taken_again(look: Look, incident: Incident) -> bool:
    """Whether the server's last call went well."""
    server = look.servers.get(incident.server_id or 0)
    return server is None or server.sync.failed_at is None


def was_long_ago(look: Look, incident: Incident) -> bool:
    return not look.is_fresh(incident.seen_at, FOREIGN_FOR)


def see_silent(look: Look) -> Iterator[Wrong]:
    """Servers that were asked and said nothing. While nobody asks, which is an alarm of its own, nothing is known."""
    for server in look.servers.values():
        heard_at = server.sync.contact_at
        if look.silence(heard_at or server.enrolled_at, "panel", "slow") >= silent_after():
            last = f"since {said(heard_at)}" if heard_at else "yet"
            yield Wrong(server.name, f"{server} has not answered {last}.", server)


def is_heard_again(look: Look, incident: Incident) -> bool:
    server = look.servers.get(incident.server_id or 0)
    return server is None or look.is_fresh(server.sync.contact_at, silent_after())


def see_services(look: Look) -> Iterator[Wrong]:
    """Subjects are "<service> of <server>". Names that we never gave a service are one subject, so that a server cannot
    make up as many as it likes.
    """
    for server, reported in _reports(look):
        down = {name for name, running in reported.get("services", {}).items() if not running}
        for name in sorted(down & SERVICES):
            yield Wrong(f"{name} of {server}", f"{name} does not answer on {server}.", server)
        if down - SERVICES:
            text = f"A service that this panel does not know does not answer on {server}."
            yield Wrong(f"another service of {server}", text, server)


def is_running_again(look: Look, incident: Incident) -> bool:
    """Whether the server says so; without its keeper it knows nothing of the other services."""
    server = look.servers.get(incident.server_id or 0)
    if server is None:
        return True
    services, name = server.sync.reported.get("services", {}), incident.subject.partition(" of ")[0]
    return is_reported_well(look, incident) and bool(services.get(name, services.get("keeper")))


def see_disk(look: Look) -> Iterator[Wrong]:
    for server, reported in _reports(look):
        free, total = reported.get("disk_free", 0), reported.get("disk_total", 0)
        if total and (
            free < total * settings.ALARM_DISK_PERCENT / 100 or free < settings.ALARM_DISK_GB * GIGABYTE
        ):
            left = f"{free / GIGABYTE:.1f} of {total / GIGABYTE:.1f} GB ({100 * free / total:.0f} %)"
            yield Wrong(server.name, f"{server} has {left} of its disk for mail left.", server)


def see_queue(look: Look) -> Iterator[Wrong]:
    for server, reported in _reports(look):
        if (reported.get("queue") or 0) > settings.ALARM_QUEUE:
            waiting = f"more than {settings.ALARM_QUEUE:,} messages"
            yield Wrong(
                server.name, f"{waiting[0].upper()}{waiting[1:]} wait in the queue of {server}.", server
            )


def see_certificates(look: Look) -> Iterator[Wrong]:
    """Subjects are "mail certificate of <server>" and "agent certificate of <server>"."""
    for server, reported in _reports(look):
        for whose, name in (("mail", "certificate_not_after"), ("agent", "agent_not_after")):
            ends_at = time_of(reported.get(name, 0))
            if ends_at and ends_at - look.now < timedelta(days=settings.ALARM_CERTIFICATE_DAYS):
                ends = "ended" if ends_at <= look.now else "ends"
                text = f"The {whose} certificate of {server} {ends} on {ends_at:%-d %B %Y}."
                yield Wrong(f"{whose} certificate of {server}", text, server)


def is_reported_well(look: Look, incident: Incident) -> bool:
    """Whether the server has said something new since; what one said that is silent now may still be so."""
    server = look.servers.get(incident.server_id or 0)
    return server is None or look.is_fresh(server.sync.reported_at, silent_after())


def _reports(look: Look) -> Iterator[tuple[MailServer, dict[str, Any]]]:
    for server in look.servers.values():
        if look.is_fresh(server.sync.reported_at, silent_after()):
            yield server, server.sync.reported


def see_sweeps(look: Look) -> Iterator[Wrong]:
    """Subjects are names in the schedule, or "digest of <server>" (what is never compared may drift unseen), "rebuild
    of <server>", "usage of <server>". Silence counts only while there is a worker that could have ended one.
    """
    for name, (task, period, queue) in periodic_work().items():
        pulse = look.pulses.get(f"task {task}")
        if pulse and pulse.is_failing:
            yield Wrong(name, f"The periodic task {task} failed at its last run: {pulse.failure}.")
        elif look.silence(pulse.at if pulse else None, queue) >= sweep_limit(period):
            last = f"since {said(pulse.at)}" if pulse and pulse.at else "yet"
            yield Wrong(name, f"The periodic task {task} has not ended well {last}.")
    for server in look.servers.values():
        if not server.sync.halted_at:
            yield from _owed_too_long(look, server)


def _owed_too_long(look: Look, server: MailServer) -> Iterator[Wrong]:
    sync = server.sync
    for what, since, patience in (
        ("digest", sync.digest_wanted_at, DIGEST_MAY_WAIT),
        ("rebuild", sync.rebuild_wanted_at, REBUILD_MAY_WAIT),
        ("usage", sync.usage_failed_at, USAGE_MAY_WAIT),
    ):
        if since and look.now - since >= patience:
            text = (
                f"The {what} of {server} is owed since {said(since)}, and does not come to its end. Why it waits "
                "stands in the log of the worker of the queue “slow”, or on the server's page."
            )
            yield Wrong(f"{what} of {server}", text, server)


def is_ending_well(look: Look, incident: Incident) -> bool:
    found = periodic_work().get(incident.subject)
    return found is None or look.is_fresh(look.heard(f"task {found[0]}"), sweep_limit(found[1]))


def periodic_work() -> dict[str, tuple[str, timedelta, str]]:
    """Name in the schedule -> (task, period, queue), without the canaries."""
    routes = settings.CELERY_TASK_ROUTES
    return {
        name: (
            entry["task"],
            timedelta(days=1)
            if isinstance(entry["schedule"], crontab)
            else timedelta(seconds=entry["schedule"]),
            routes.get(entry["task"], {}).get("queue", settings.CELERY_TASK_DEFAULT_QUEUE),
        )
        for name, entry in settings.CELERY_BEAT_SCHEDULE.items()
        if entry["task"] != CANARY
    }


def sweep_limit(period: timedelta) -> timedelta:
    return max(PERIODS_MISSED * period, timedelta(minutes=1))


def see_workers(look: Look) -> Iterator[Wrong]:
    """Subjects are "queue <name>", or "beat" where no queue at all has answered."""
    last = {queue: look.heard(f"queue {queue}") for queue in settings.CANARIES}
    silent = [queue for queue, at in last.items() if look.silence(at) >= canary_limit(queue)]
    if silent and all(look.silence(at) >= 2 * canary_period(queue) for queue, at in last.items()):
        heard = max((at for at in last.values() if at), default=None)
        yield Wrong("beat", f"No queue has answered {f'since {said(heard)}' if heard else 'yet'}.")
        return
    for queue in silent:
        at = last[queue]
        yield Wrong(
            f"queue {queue}", f"The queue “{queue}” has not answered {f'since {said(at)}' if at else 'yet'}."
        )


def has_answered(look: Look, incident: Incident) -> bool:
    queue = incident.subject.removeprefix("queue ")
    if queue in settings.CANARIES:
        return look.works(queue)
    return any(look.works(queue) for queue in settings.CANARIES)


def see_fraudrecord(look: Look) -> Iterator[Wrong]:
    """Where the last answer that says anything about our key refused it. Without a key nothing can be wrong with it."""
    pulse = look.pulses.get(FRAUDRECORD)
    if settings.FRAUDRECORD_API_KEY and pulse and pulse.is_failing:
        text = f"FraudRecord refuses our key since {said(pulse.failed_at)}: {pulse.failure}."
        yield Wrong("FraudRecord", text)


def silent_after() -> timedelta:
    return timedelta(seconds=settings.ALARM_SILENT_SECONDS)


def said(at: datetime | None) -> str:
    return f"{at:%-d %B, %H:%M} UTC" if at else "never"
