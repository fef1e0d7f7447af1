"""Watching over everything: opens and closes incidents by the table of alarms, and sees to it that staff are told.

It runs in a process of its own (`manage.py watch`), which needs the database and an SMTP server and nothing else, so
that it works while workers, beat or the broker are away. Its own pulse shows whether it works.
"""

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from domains import incident_mail
from domains.alarms import ALARMS, Alarm
from domains.look import Look, Memory, Wrong, look
from domains.models import Incident, IncidentKind, Pulse, note_end, note_failure, on_one_line, open_incident

logger = logging.getLogger(__name__)

PULSE = "watch"
GAP = timedelta(seconds=30)  # between two looks; a longer one means that nobody watched meanwhile
SEEN_EVERY = timedelta(seconds=30)  # how often it is written down that an incident is still seen


class Watch:
    """What is remembered between looks; nothing of it must survive the process."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._looked_at: datetime | None = None
        self._since = timezone.now()
        self._wrong_since: dict[tuple[IncidentKind, str], datetime] = {}

    def look(self) -> None:
        """Look once, open and close, owe the mail. An alarm that fails hides none of the others, but shows as our own
        failure; what the database raises goes through.
        """
        now = timezone.now()
        if self._looked_at is None or now - self._looked_at > GAP:
            self._since = now
        found = look(self._since, self._memory)
        failure: Exception | None = None
        for alarm in ALARMS.values():
            try:
                self._judge(alarm, found)
            except Exception as error:
                failure = error
                logger.exception("The alarm %s could not be judged.", alarm.kind)
        incident_mail.owe_report()
        self._looked_at = now
        if failure:
            note_failure(PULSE, failure)
        else:
            note_end(PULSE)

    def _judge(self, alarm: Alarm, found: Look) -> None:
        still_open = {incident.subject: incident for incident in found.open if incident.kind == alarm.kind}
        wrong = {thing.subject: thing for thing in alarm.see(found)}
        for thing in wrong.values():
            since = self._wrong_since.setdefault((alarm.kind, thing.subject), found.now)
            if thing.subject in still_open or found.now - since >= alarm.holds:
                _open(alarm, thing, still_open.get(thing.subject), found.now)
        for key in [key for key in self._wrong_since if key[0] == alarm.kind and key[1] not in wrong]:
            del self._wrong_since[key]
        for incident in still_open.values():
            if incident.subject not in wrong and alarm.is_over(found, incident):
                _close(incident)


def _open(alarm: Alarm, thing: Wrong, known: Incident | None, now: datetime) -> None:
    if known and known.text == on_one_line(thing.text)[:1000] and now - known.seen_at < SEEN_EVERY:
        return
    open_incident(alarm.kind, thing.subject, thing.text, server=thing.server)


def _close(incident: Incident) -> None:
    """Unless somebody has seen it again since the look."""
    same = Incident.objects.filter(pk=incident.pk, closed_at=None, seen_at=incident.seen_at)
    same.update(closed_at=timezone.now())


def what_is_wrong_with_the_watch() -> str:
    """ "" while it works, else what is wrong with it, for staff."""
    pulse = Pulse.objects.filter(name=PULSE).first()
    if pulse is None or pulse.at is None:
        return "The watch has never run."
    if pulse.is_failing:
        return f"The watch fails: {pulse.failure}."
    if timezone.now() - pulse.at > GAP:
        return f"The watch is silent since {pulse.at:%-d %B, %H:%M} UTC."
    return ""
