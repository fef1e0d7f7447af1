"""The page on which staff decide about a server that is at a point which this panel never gave it."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Count, Q, QuerySet

from domains.driver import history, takeover, verdict
from domains.driver.hints import COMPARE, REBUILD, TAKE_OVER, hint
from domains.models import Difference, Kind, MailServer, ServerRow, ServerSync

PAGE = 100  # rows
SERVER, PANEL, AGAIN = "server", "panel", "again"
DONE = {
    SERVER: "What {server} has is being taken into this panel.",
    PANEL: "{server} is being rebuilt with what stands here.",
    AGAIN: "{server} is being compared again.",
}

NAMES = {  # of one, and of several
    Kind.CUSTOMER: ("customer", "customers"),
    Kind.DOMAIN: ("domain", "domains"),
    Kind.DKIM: ("DKIM key", "DKIM keys"),
    Kind.MAILBOX: ("mailbox", "mailboxes"),
    Kind.STATE: ("suspension", "suspensions"),
}
WORK = {SERVER: TAKE_OVER, PANEL: REBUILD, AGAIN: COMPARE}


class LostHistoryDecideForm(forms.Form):
    """`comparison` names what was seen; a decision about another one is refused."""

    decision = forms.ChoiceField(choices=[(choice, choice) for choice in DONE])
    comparison = forms.CharField(required=False, max_length=200)

    def decide(self, server: MailServer, *, by: Any) -> str:
        """Do it; the text says what happens now. Raises history.Conflict."""
        decision, comparison = self.cleaned_data["decision"], self.cleaned_data["comparison"]
        if decision == AGAIN:
            history.compare_again(server, by=by)
        elif decision == SERVER:
            verdict.server_is_right(server, comparison, by=by)
        else:
            verdict.panel_is_right(server, comparison, by=by)
        hint(server.pk, WORK[decision])
        return DONE[decision].format(server=server)


@dataclass(frozen=True)
class LostHistory:
    """All that the page shows. `counts` are (what, if the server is right, if the panel is right, count), `rows`
    (what, the difference); `phase` is
    `known` (nothing is to be decided), `comparing`, `compared` or `taking`.
    """

    server: MailServer
    sync: ServerSync
    phase: str
    comparison: str
    counts: list[tuple[str, str, str, int]]
    rows: list[tuple[str, Difference]]
    more: int | None
    kind: str
    total: int
    taken: int
    refused: int
    changed_since: int

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """What the list can be narrowed to: (value, name)."""
        present = {what for what, *_ in self.counts}
        kinds = [(kind.value, names[1]) for kind, names in NAMES.items() if present & {*names}]
        return [("", "all"), *kinds, *([("refused", "not taken")] if self.refused else [])]

    @property
    def is_working(self) -> bool:
        return self.phase in ("comparing", "taking")

    @property
    def settled(self) -> int:
        return self.taken + self.refused

    @property
    def reported(self) -> int:
        """How many rows the server said it holds; 0 when that is not known."""
        return sum(self.sync.reported.get("rows", {}).values())


def lost_history(server: MailServer, kind: str, after: str) -> LostHistory:
    """The page of rows after the one with the id `after`; nonsense becomes sense."""
    found = Difference.objects.filter(server=server)
    phase = _phase(server)
    counted = found.values_list("kind", "node_right", "panel_right").annotate(count=Count("pk")).order_by()
    counts = [] if phase == "comparing" else [_count(*each) for each in sorted(counted)]
    refused = found.exclude(refused="").count()
    kind = kind if kind in Kind.values or kind == "refused" else ""
    shown = [] if phase == "comparing" else _rows(found, kind, after)
    newer = ServerRow.objects.filter(server=server, revision__gt=server.sync.compared_revision or 0)
    return LostHistory(
        server=server,
        sync=server.sync,
        phase=phase,
        comparison=history.token(server.sync),
        counts=counts,
        rows=_named(shown[:PAGE]),
        more=shown[PAGE - 1].pk if len(shown) > PAGE else None,
        kind=kind,
        total=sum(count for *_, count in counts),
        taken=found.exclude(taken_at=None).count(),
        refused=refused,
        changed_since=newer.count() if phase == "compared" else 0,
    )


def _count(kind: str, server_right: str, panel_right: str, count: int) -> tuple[str, str, str, int]:
    return NAMES[Kind(kind)][count != 1], server_right, panel_right, count


def _phase(server: MailServer) -> str:
    if takeover.under_way().filter(server=server).exists():
        return "taking"
    if not history.halted().filter(server=server).exists():
        return "known"
    return "comparing" if history.uncompared().filter(server=server).exists() else "compared"


def _named(differences: list[Difference]) -> list[tuple[str, Difference]]:
    """Each with what it is, unless its label says that."""
    return [("" if each.kind == Kind.STATE else NAMES[Kind(each.kind)][0], each) for each in differences]


def _rows(found: QuerySet[Difference], kind: str, after: str) -> list[Difference]:
    """One row more than a page, in the order of kind, label and key."""
    if kind:
        found = found.exclude(refused="") if kind == "refused" else found.filter(kind=kind)
    last = (
        found.filter(pk=int(after)).first()
        if after.isascii() and after.isdigit() and len(after) < 18
        else None
    )
    if last is not None:
        later = Q(kind=last.kind, label=last.label, key__gt=last.key) | Q(
            kind=last.kind, label__gt=last.label
        )
        found = found.filter(Q(kind__gt=last.kind) | later)
    return list(found.order_by("kind", "label", "key")[: PAGE + 1])
