"""Incidents: what is wrong and what was. They open and close by themselves (domains.watch)."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import ReadOnlyAdmin
from domains.alarms import ALARMS
from domains.models import Incident, IncidentKind

ROWS_A_PAGE = 100


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("closed", "closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        if self.value() in ("open", "closed"):
            return queryset.filter(closed_at__isnull=self.value() == "open")
        return queryset


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    list_display = ("what", "subject", "opened_at", "closed_at", "count", "reopened")
    list_display_links = ("what", "subject")
    list_filter = (OpenFilter, "kind")
    list_select_related = ("server",)
    list_per_page = 50
    search_fields = ("subject", "text")
    fields = (
        "what",
        "subject",
        "server",
        "text",
        "way_out",
        "opened_at",
        "seen_at",
        "closed_at",
        "reopened",
        "opens_when",
        "closes_when",
    )
    change_form_template = "admin/domains/incident/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        """A list shows none of the rows, of which each may name a thousand."""
        return super().get_queryset(request).defer("rows")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        incident = self.get_object(request, object_id)
        rows = Paginator(incident.rows if incident else [], ROWS_A_PAGE).get_page(request.GET.get("rows"))
        context = {**(extra_context or {}), "rows": rows}
        return super().change_view(request, object_id, form_url, context)

    @admin.display(description="what", ordering="kind")
    def what(self, incident: Incident) -> str:
        return incident.get_kind_display()

    def way_out(self, incident: Incident) -> str:
        return incident.way_out

    def opens_when(self, incident: Incident) -> str:
        return ALARMS[IncidentKind(incident.kind)].opens

    def closes_when(self, incident: Incident) -> str:
        return ALARMS[IncidentKind(incident.kind)].closes
