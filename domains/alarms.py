"""What can be wrong and wants staff. ALARMS is the whole table: how each is seen, when it opens and closes, and the way
out of it in words. `domains.watch` goes through it every few seconds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from domains import signs
from domains.look import Look, Wrong
from domains.models import Incident, IncidentKind


@dataclass(frozen=True)
class Alarm:
    """`see` names what is wrong in a look; what stays so for `holds` opens. `is_over` says whether an open incident
    that is not seen any more may close: where nothing new is known it stays as it is. `opens`, `closes` and `way_out`
    are for staff. Subjects are names of servers unless said otherwise.
    """

    kind: IncidentKind
    opens: str
    closes: str
    way_out: str
    see: Callable[[Look], Iterable[Wrong]] = lambda look: ()
    is_over: Callable[[Look, Incident], bool] = lambda look, incident: True
    holds: timedelta = timedelta(0)


ALARMS: dict[IncidentKind, Alarm] = {
    alarm.kind: alarm
    for alarm in (
        Alarm(
            IncidentKind.BEHIND,
            opens="A server has lacked a change for a minute.",
            closes="The server has everything that was wished when it fell behind.",
            way_out=(
                "Nothing is lost: what waits is sent as soon as the server takes it. Where the last call failed, see "
                "whether the machine runs, is reached from the panel, and its agent answers. Where none failed, see "
                "whether the workers of the queues “servers” and “slow” run."
            ),
            see=signs.see_behind,
            is_over=signs.has_caught_up,
        ),
        Alarm(
            IncidentKind.HALTED,
            opens="A server is at a point of its history that this panel never gave it.",
            closes="Staff have let the sync go on.",
            way_out=(
                "This server gets no changes until you decide; mail flows on. If the panel's database was restored "
                "from an older copy and the newer one exists, bring that back, then let the sync go on. Otherwise "
                "compare the two on the server's page, and choose which of them is right."
            ),
            see=signs.see_halted,
        ),
        Alarm(
            IncidentKind.REFUSED,
            opens="A server refuses a page of changes as a whole.",
            closes="The server takes what it refused.",
            way_out=(
                "No change reaches this server before it takes this one. If it does not know the kind of row, bring "
                "its mailnode to the panel's version. Otherwise look at the row that is named, and change what is "
                "wrong with it in the panel; the sync tries again by itself."
            ),
            is_over=signs.is_taken_again,
        ),
        Alarm(
            IncidentKind.DIFFERENT,
            opens="A digest found that a server held something else than the panel wished.",
            closes="A later digest finds all of it equal.",
            way_out=(
                "The rows were sent again by themselves; a digest on the server's page tells whether they are right "
                "now. Find out who wrote to the server's files past the panel. Where rows differ again and again, or "
                "there are many, rebuild the server."
            ),
            is_over=lambda look, incident: False,
        ),
        Alarm(
            IncidentKind.FOREIGN,
            opens="A server reports something about customers that are not placed there.",
            closes="It has not done so for an hour.",
            way_out=(
                "A customer who was moved a moment ago explains a single report. Otherwise the server is broken into, or "
                "was mixed up with another: take it off the network, look at it, and renew its key before it comes back."
            ),
            is_over=signs.was_long_ago,
        ),
        Alarm(
            IncidentKind.SILENT,
            opens="A server has not answered for two minutes, though it was asked.",
            closes="The server answers.",
            way_out=(
                "See whether the machine runs and is reached from the panel, whether its agent runs, and whether "
                "its certificate and key are those that the panel knows. Changes wait meanwhile; whether mail flows "
                "is not known."
            ),
            see=signs.see_silent,
            is_over=signs.is_heard_again,
        ),
        Alarm(
            IncidentKind.SERVICE,
            opens="A server reports twice that one of its services does not answer.",
            closes="The server reports that it answers.",
            way_out=(
                "Sign in to the server, look at the service's log and start it again. Without Postfix no mail is "
                "taken; without Dovecot nobody signs in or sends; without Rspamd mail waits; without the keeper "
                "nothing is known of the others."
            ),
            see=signs.see_services,
            is_over=signs.is_running_again,
            holds=timedelta(seconds=25),  # two reports
        ),
        Alarm(
            IncidentKind.DISK,
            opens="The disk for mail is nearly full.",
            closes="There is room again.",
            way_out=(
                "Make the disk larger, or remove what does not belong there. Take the server out of those that take "
                "new customers. A full disk loses no mail: senders keep it and try again."
            ),
            see=signs.see_disk,
            is_over=signs.is_reported_well,
        ),
        Alarm(
            IncidentKind.QUEUE,
            opens="Too many messages wait in a server's queue.",
            closes="Fewer wait.",
            way_out=(
                "Look into the queue on the server (postqueue -p). Many messages of one sender: a broken-into "
                "mailbox; suspend it. Many to one destination: it refuses us or is away. Otherwise see whether "
                "Rspamd and Dovecot answer."
            ),
            see=signs.see_queue,
            is_over=signs.is_reported_well,
        ),
        Alarm(
            IncidentKind.CERTIFICATE,
            opens="A certificate ends within 14 days.",
            closes="There is a newer one.",
            way_out=(
                "The mail certificate: see on the server why it was not renewed. The agent's: renew it from the panel "
                "with “manage.py server_renew” and its name."
            ),
            see=signs.see_certificates,
            is_over=signs.is_reported_well,
        ),
        Alarm(
            IncidentKind.SWEEP,
            opens="Periodic work failed, or has not ended well for three of its periods.",
            closes="It ends well.",
            way_out=(
                "Look for the task's name in the log of the worker of the queue “panel”, which has the whole error. "
                "Where nothing failed, see whether that worker has too much to do."
            ),
            see=signs.see_sweeps,
            is_over=signs.is_ending_well,
            holds=timedelta(seconds=15),  # what fails once and ends well seconds later is not worth a mail
        ),
        Alarm(
            IncidentKind.WORKER,
            opens="Six canaries in a row, sent by beat to a queue, have not come back.",
            closes="One comes back.",
            way_out=(
                "Where one queue is silent, start its worker (mxpanel-worker@ and the queue's name), or see in its log what "
                "keeps it busy. Where all are, see whether the broker (Redis), beat (mxpanel-beat) and the workers run. "
                "Changes are kept and reach the servers afterwards; mail flows on."
            ),
            see=signs.see_workers,
            is_over=signs.has_answered,
        ),
        Alarm(
            IncidentKind.FRAUDRECORD,
            opens="FraudRecord refuses our key.",
            closes="It takes the key, or the key is taken out of the settings.",
            way_out=(
                "Sign in at fraudrecord.com and see which key is ours and whether the account is approved, put the key into "
                "FRAUDRECORD_API_KEY and start web and workers anew. Then ask again on the review page of an order: "
                "that closes this. Orders wait for staff meanwhile, and those that were refused are asked again only by "
                "hand."
            ),
            see=signs.see_fraudrecord,
        ),
    )
}
