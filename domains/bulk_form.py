from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, QueryDict

from domains.forms import VerbForm
from domains.mailbox_search import MailboxSearch
from domains.models import BulkVerb
from domains.models.mailbox_queries import MailboxQuerySet
from domains.plan_room import QUOTA_MOST_MB

MOST_TICKED = 200
MOST_SHOWN = (
    4_000  # characters of a list's query: search and place, each of up to 100 that take up to 12 in a URL
)


class BulkAddForm(VerbForm):
    """What shall be done to which of the mailboxes of a list. Drawn by hand in `_bulk_choice.html`, for speed."""

    verb = forms.ChoiceField(choices=BulkVerb.choices)
    scope = forms.ChoiceField(choices=[(name, name) for name in ("ticked", "page", "matching")])
    quota_mb = forms.IntegerField(min_value=0, max_value=QUOTA_MOST_MB, required=False)

    def __init__(self, posted: QueryDict, *, search: MailboxSearch) -> None:
        super().__init__(posted)
        self.search = search
        self.ticked = {UUID(text) for text in posted.getlist("mailbox")[:MOST_TICKED] if _is_uuid(text)}
        self.ticks = bool(posted.getlist("mailbox"))

    def clean_quota_mb(self) -> int | None:
        quota_mb: int | None = self.cleaned_data["quota_mb"]
        if self.cleaned_data.get("verb") != BulkVerb.QUOTA:
            return None
        if quota_mb is None:
            raise ValidationError("Enter the new quota in MB; 0 is as much as the plan holds.")
        return quota_mb

    def clean(self) -> dict[str, Any]:
        """The arguments of `propose_bulk_change`. Http404 when all that is ticked belongs to others."""
        data = super().clean() or {}
        if shown_list(self.data) is None:
            text = "What the list shows did not arrive as it was sent. Open the list again, then choose once more."
            self.add_error("scope", text)
        if "scope" in data:
            data["mailboxes"] = self._mailboxes(data.pop("scope"))
        return data

    def _mailboxes(self, scope: str) -> MailboxQuerySet:
        if scope == "matching":
            return self.search.matching()
        on_page = self.search.page().mailboxes if scope == "page" else []
        ids = self.ticked if scope == "ticked" else {mailbox.pk for mailbox in on_page}
        chosen: MailboxQuerySet = self.search.domain.mailboxes.live().filter(pk__in=ids)
        if scope == "ticked" and self.ticks and not chosen.exists():
            raise Http404
        return chosen


def shown_list(posted: Mapping[str, Any]) -> QueryDict | None:
    """The query of the list that was chosen from; None for what is no list's: cut short it would choose more."""
    shown = posted.get("list", "")
    return QueryDict(shown) if len(shown) <= MOST_SHOWN and "\0" not in unquote(shown) else None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
