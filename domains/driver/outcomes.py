"""What becomes of an attempt to speak to a server: well, failed for now, refused, halted, or a rebuild is owed."""

import logging
import random
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from domains.driver.agent import AgentError, Refused
from domains.driver.pages import NeedsRebuild
from domains.driver.points import Halt, note
from domains.models import IncidentKind, MailServer, ServerSync, close_incident, open_incident

logger = logging.getLogger(__name__)

# A server that failed is asked again after 1, 2, 4 ... seconds, and at least every 3; with many of them each less
# often, so that asking them all keeps half of the slow queue free (3 seconds a hung one, 2 threads).
LONGEST_PAUSE = 3.0  # seconds
PAUSE_FOR_EACH = 1.5
# What waits for a person (a refused page, a wrong key) is tried ever more slowly.
LONGEST_PAUSE_OF_A_REFUSAL = 60.0
WELL: dict[str, object] = {"failed_at": None, "failure": "", "failures": 0, "retry_at": None}


def attempt(server: MailServer, work: Callable[[], None]) -> bool:
    """Do this work with the server; false when it did not come to its end, which is noted."""
    try:
        work()
    except AgentError as error:
        failed(server, error)
    except Halt as halt:
        _halted(server, halt)
    except NeedsRebuild as need:
        want_rebuild(server, str(need))
    else:
        return True
    return False


def recovered(server: MailServer) -> dict[str, object]:
    """The facts that say of a server that it does what is sent; what it refused before is over first, so that a crash
    between the two leaves no incident that nobody closes.
    """
    if server.sync.failed_at:
        close_incident(IncidentKind.REFUSED, server.name)
    return WELL


def failed(server: MailServer, error: AgentError) -> None:
    """Note that a call failed; the server is now asked from the slow queue."""
    logger.warning("Mail server %s: %s", server, error)
    now, failures = timezone.now(), server.sync.failures + 1
    note(
        server,
        failed_at=server.sync.failed_at or now,
        failure=str(error)[:1000],
        failures=failures,
        retry_at=now + _pause(failures, error),
    )
    if isinstance(error, Refused):
        text = f"{error} Nothing of the page was applied, and all later changes wait for it."
        rows = [[error.kind, error.key, str(error)[:500]]] if error.kind else []
        open_incident(IncidentKind.REFUSED, server.name, text, server=server, rows=rows)


def _pause(failures: int, error: AgentError) -> timedelta:
    most = LONGEST_PAUSE_OF_A_REFUSAL
    if error.retry:
        failing = ServerSync.objects.exclude(failed_at=None).count()
        most = max(LONGEST_PAUSE, PAUSE_FOR_EACH * failing)
    seconds = min(2.0 ** min(failures - 1, 10), most)
    return timedelta(seconds=seconds * random.uniform(0.8, 1))  # noqa: S311 so that they are not asked in step


def want_rebuild(server: MailServer, reason: str) -> None:
    """Have the server filled anew from nothing, as soon as the sweep comes by. The rebuild itself halts at a node
    whose point the panel never gave it.
    """
    logger.warning("Mail server %s is to be rebuilt: %s", server, reason)
    wanted = ServerSync.objects.filter(server=server, rebuild_wanted_at=None)
    wanted.update(rebuild_wanted_at=timezone.now(), rebuild_reason=reason[:1000])


def _halted(server: MailServer, halt: Halt) -> None:
    logger.error("Sync of mail server %s is halted: %s", server, halt)
    with transaction.atomic():
        note(
            server,
            halted_at=timezone.now(),
            halted_reason=str(halt)[:1000],
            halted_revision=halt.point.revision,
            halted_mark=halt.point.mark,
        )
        open_incident(IncidentKind.HALTED, server.name, str(halt), server=server)
