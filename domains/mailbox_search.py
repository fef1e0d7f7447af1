"""The list of a domain's mailboxes as its URL asks for it: search, state, order, and which page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Func, IntegerField, Value
from django.http import QueryDict

from domains.models import Domain, Mailbox
from domains.models.mailbox_queries import NEVER, MailboxQuerySet

PAGE = 50
DELETED = "deleted"  # a state of its own: what is shown of them is when they went and until when they can be had back
MOST_COUNTED = (
    10_000  # a list that is longer says "more than"; counting all of it would take longer than the page
)
SORTS = {
    "name": "Address, A to Z",
    "-name": "Address, Z to A",
    "-used": "Most used first",
    "used": "Least used first",
    "-sign_in": "Last signed in first",
    "sign_in": "Longest not signed in first",
}
STATES: dict[str, tuple[str, Callable[[MailboxQuerySet], MailboxQuerySet]]] = {
    "active": ("Active", MailboxQuerySet.active),
    "suspended": ("Suspended", MailboxQuerySet.suspended),
    "full": ("Full or nearly so", MailboxQuerySet.full),
    "waiting": ("Waiting for their owner", MailboxQuerySet.waiting),
    "unused": ("Never signed in", MailboxQuerySet.never_signed_in),
}


@dataclass(frozen=True)
class Page:
    mailboxes: list[Mailbox]
    previous: str  # the query string of the page before; empty without one
    next: str

    @property
    def count(self) -> int:
        """How many match on all pages; MOST_COUNTED + 1 for more."""
        return self.mailboxes[0].count if self.mailboxes else 0  # type: ignore[attr-defined]  # annotated


class MailboxSearch:
    """What is wanted. Whatever in `asked` is no choice counts as not chosen."""

    sorts, states = SORTS, {**{name: label for name, (label, _) in STATES.items()}, DELETED: "Deleted"}

    def __init__(self, domain: Domain, asked: QueryDict) -> None:
        self.domain, self._asked = domain, asked
        self.text = asked.get("q", "").strip()[:100]
        self.state = _choice(asked, "state", self.states)
        self.sort = _choice(asked, "sort", SORTS) or "name"
        self._key, self._falling = self.sort.removeprefix("-"), self.sort.startswith("-")
        self._before = _place(self._key, asked.get("before", ""))
        self._after = None if self._before else _place(self._key, asked.get("after", ""))

    @property
    def begins(self) -> bool:
        """Whether this is the first page."""
        return self._after is None and self._before is None

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.state)

    @property
    def query(self) -> str:
        """The query string without the page, such as `q=anna&state=active`."""
        chosen = {"q": self.text, "state": self.state, "sort": self.sort if self.sort != "name" else ""}
        return urlencode({name: value for name, value in chosen.items() if value})

    @property
    def here(self) -> str:
        """The query string of this very page."""
        place = {name: self._asked.get(name, "")[:100] for name in ("after", "before")}
        return "&".join(filter(None, (self.query, urlencode({k: v for k, v in place.items() if v}))))

    def matching(self) -> MailboxQuerySet:
        """All on all pages."""
        everything: MailboxQuerySet = self.domain.mailboxes.all()
        found = everything.restorable() if self.state == DELETED else everything.live()
        if self.text:
            local_part, _, of_domain = self.text.partition("@")
            # A whole address, or the beginning of one, is looked for by its local part.
            whole = self.domain.name.startswith(of_domain.lower())
            found = found.searched(local_part if whole and local_part else self.text)
        return STATES[self.state][1](found) if self.state in STATES else found

    def deleted(self) -> list[Mailbox]:
        """Those that were deleted last, at most PAGE; none unless these are asked for."""
        return list(self.matching().order_by("-deleted_at")[:PAGE]) if self.state == DELETED else []

    def page(self) -> Page:
        """Of those that are live."""
        if self.state == DELETED:
            return Page([], "", "")
        if self._before and len(before := self._read(self._before, falling=not self._falling)) > PAGE:
            return self._page(before[PAGE - 1 :: -1], is_first=False, is_last=False)
        found = self._read(self._after, falling=self._falling)
        return self._page(found[:PAGE], is_first=self._after is None, is_last=len(found) <= PAGE)

    def _read(self, place: list[Any] | None, *, falling: bool) -> list[Mailbox]:
        found = self.matching().sorted_by(self._key, falling=falling)
        if place:
            found = found.beyond(self._key, place, falling=falling)
        return list(found.with_state().annotate(count=self._count())[: PAGE + 1])

    def _count(self) -> Func:
        """In the same query, and once, because it asks for nothing of the rows around it."""
        order = () if self.narrows else ("local_part",)  # by an index, not through the rows of other domains
        counted = self.matching().order_by(*order).values_list(Value(1))[: MOST_COUNTED + 1]
        return Func(ArraySubquery(counted), function="CARDINALITY", output_field=IntegerField())

    def _page(self, mailboxes: list[Mailbox], *, is_first: bool, is_last: bool) -> Page:
        begin = "" if is_first or not mailboxes else self._link("before", mailboxes[0])
        end = "" if is_last or not mailboxes else self._link("after", mailboxes[-1])
        return Page(mailboxes, begin, end)

    def _link(self, name: str, mailbox: Mailbox) -> str:
        place = urlencode({name: _place_of(self._key, mailbox)})
        return f"{self.query}&{place}" if self.query else place


def _choice(asked: QueryDict, name: str, choices: dict[str, Any]) -> str:
    chosen: str = asked.get(name, "")
    return chosen if chosen in choices else ""


def _place_of(key: str, mailbox: Mailbox) -> str:
    """Where a mailbox stands in an order, as it goes into a URL: `anna`, or `1048576~anna`."""
    if key == "used":
        return f"{mailbox.used_bytes}~{mailbox.local_part}"
    if key == "sign_in":
        since = (mailbox.last_sign_in_at or NEVER) - NEVER
        return f"{since // timedelta(microseconds=1)}~{mailbox.local_part}"
    return mailbox.local_part


def _place(key: str, text: str) -> list[Any] | None:
    """The values of such a place; None where there is none."""
    number, _, local_part = text[:100].rpartition("~")
    if key == "name":
        return [local_part] if local_part else None
    if not (number.isascii() and number.isdigit() and len(number) <= 18 and local_part):
        return None
    if key == "used":
        return [int(number), local_part]
    microseconds = min(int(number), (datetime.max.replace(tzinfo=UTC) - NEVER) // timedelta(microseconds=1))
    return [NEVER + timedelta(microseconds=microseconds), local_part]
