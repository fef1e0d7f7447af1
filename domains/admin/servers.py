"""Mail servers: enrolled by `manage.py server_enrol`; here one sees how each is, and asks for what it should do."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.admin import AuditedAdmin, NothingByHand
from domains.admin.lost_history import PANEL, SERVER, LostHistoryDecideForm, lost_history
from domains.admin.server_page import server_page
from domains.driver.hints import hint
from domains.driver.history import Conflict
from domains.models import MailServer

REBUILD_ASKED = (
    "The rebuild of %s is under way. Mail is served from the present rows until the new ones are complete."
)


@admin.register(MailServer)
class MailServerAdmin(AuditedAdmin, NothingByHand):
    list_display = (
        "name",
        "state",
        "revision",
        "effective",
        "lag",
        "last_contact",
        "customers",
        "takes_new_customers",
    )
    fields = ("name", "address", "agent_url", "certificate_sha256", "enrolled_at", "takes_new_customers")
    readonly_fields = tuple(field for field in fields if field != "takes_new_customers")
    list_select_related = ("sync",)
    actions = ("resume", "sync_now")
    change_form_template = "admin/domains/mailserver/change_form.html"

    def get_urls(self) -> list[Any]:
        def page(name: str, view: Any) -> Any:
            url = f"domains_mailserver_{name}"
            return path(f"<int:server>/{name}/", self.admin_site.admin_view(view), name=url)

        views = {
            "progress": require_safe(self.progress),
            "rebuild": require_http_methods(["GET", "HEAD", "POST"])(self.rebuild),
            "digest": require_POST(self.digest),
            "sync": require_POST(self.sync),
            "resume": require_POST(self.resume_one),
            "lost_history": require_http_methods(["GET", "HEAD", "POST"])(self.lost_history),
        }
        return [page(name, view) for name, view in views.items()] + super().get_urls()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        server = self.get_object(request, object_id)
        context = {"server": server_page(server)} if server else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .annotate(customers=Count("placements", filter=Q(placements__placed_at__isnull=False)))
        )

    def save_model(self, request: HttpRequest, obj: MailServer, form: Any, change: bool) -> None:
        obj.save(update_fields=["takes_new_customers"])  # the counter is raised by others meanwhile

    def progress(self, request: HttpRequest, server: int) -> HttpResponse:
        """What goes on just now, for the page to fetch again and again."""
        found = self._server(request, server, "view")
        return render(request, "admin/domains/mailserver/_work.html", {"server": server_page(found)})

    def rebuild(self, request: Any, server: int) -> HttpResponse:
        """Ask whether it is meant, then rebuild."""
        found = self._server(request, server, "change")
        if request.method == "POST":
            already = f"{found} is being rebuilt already."
            return self._ask(request, found, found.ask_rebuild, REBUILD_ASKED % found, already)
        context = {**self.admin_site.each_context(request), "title": f"Rebuild {found}", "opts": self.opts}
        return render(request, "admin/domains/mailserver/rebuild.html", {**context, "server": found})

    def digest(self, request: Any, server: int) -> HttpResponse:
        found = self._server(request, server, "change")
        done, already = (
            f"The digest of {found} is under way.",
            f"A digest of {found} is under way already.",
        )
        return self._ask(request, found, found.ask_digest, done, already)

    def sync(self, request: HttpRequest, server: int) -> HttpResponse:
        found = self._server(request, server, "change")
        hint(found.pk)
        messages.success(request, f"The sync of {found} is asked for.")
        return redirect("admin:domains_mailserver_change", found.pk)

    def resume_one(self, request: HttpRequest, server: int) -> HttpResponse:
        found = self._server(request, server, "change")
        self._resume(request, found)
        return redirect("admin:domains_mailserver_change", found.pk)

    def lost_history(self, request: Any, server: int) -> HttpResponse:
        """Show what differs and what each decision would change, ask whether it is meant, then decide."""
        found = self._server(request, server, "change" if request.method == "POST" else "view")
        form = LostHistoryDecideForm(request.POST if request.method == "POST" else None)
        conflict = ""
        if form.is_valid():
            try:
                messages.success(request, form.decide(found, by=request.user))
                return redirect("admin:domains_mailserver_lost_history", found.pk)
            except Conflict as error:
                conflict = str(error)
        wanted = request.GET.get("decide", "") if not form.is_bound else ""
        page = lost_history(found, request.GET.get("kind", ""), request.GET.get("after", ""))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Lost history of {found}",
            "opts": self.opts,
        }
        context |= {
            "history": page,
            "form": form,
            "conflict": conflict,
            "after": request.GET.get("after", ""),
        }
        context["decide"] = wanted if page.phase == "compared" and wanted in (SERVER, PANEL) else ""
        context["may_decide"] = self.has_change_permission(request)
        status = 409 if conflict else 422 if form.is_bound else 200
        return render(request, "admin/domains/mailserver/lost_history.html", context, status=status)

    def _ask(
        self, request: Any, server: MailServer, ask: Callable[..., bool], done: str, already: str
    ) -> HttpResponse:
        """Ask for it, and say on the server's page what became of that."""
        try:
            messages.success(request, done if ask(by=request.user) else already)
        except ValidationError as error:
            messages.error(request, error.message)
        return redirect("admin:domains_mailserver_change", server.pk)

    def _server(self, request: HttpRequest, key: int, right: str) -> MailServer:
        """The server of a page; PermissionDenied for staff without the right to it."""
        if not getattr(self, f"has_{right}_permission")(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request).select_related("sync"), pk=key)

    def _resume(self, request: Any, server: MailServer) -> None:
        if server.resume(by=request.user):
            hint(server.pk)
            messages.success(request, f"The sync of {server} goes on.")
        else:
            messages.info(request, f"The sync of {server} is not halted.")

    def state(self, server: MailServer) -> str:
        if server.sync.halted_at:
            return f"halted: {server.sync.halted_reason}"
        return f"failing: {server.sync.failure}" if server.sync.failed_at else "well"

    def effective(self, server: MailServer) -> int:
        return server.sync.effective

    def last_contact(self, server: MailServer) -> Any:
        return server.sync.contact_at

    @admin.display(ordering="customers")
    def customers(self, server: Any) -> int:
        return server.customers

    @admin.action(description="Let halted syncs go on", permissions=["change"])
    def resume(self, request: Any, servers: QuerySet[MailServer]) -> None:
        for server in servers:
            self._resume(request, server)

    @admin.action(description="Sync now", permissions=["change"])
    def sync_now(self, request: Any, servers: QuerySet[MailServer]) -> None:
        for server in servers:
            hint(server.pk)
