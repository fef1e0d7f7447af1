from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import AuditedAdmin, VerbAdmin
from domains.driver.hints import hint
from domains.models import Domain, Mailbox, MailServer, Placement


class NothingByHand(VerbAdmin):
    """Rows that change through verbs alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(MailServer)
class MailServerAdmin(AuditedAdmin, NothingByHand):
    """Enrolled by `manage.py server_enrol`; here one sees how far each is and lets a halted one go on."""

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
    fields = (
        "name",
        "address",
        "agent_url",
        "certificate_sha256",
        "takes_new_customers",
        "state",
        "revision",
        "confirmed",
        "effective",
        "lag",
        "last_contact",
        "reported",
        "enrolled_at",
    )
    readonly_fields = tuple(field for field in fields if field != "takes_new_customers")
    list_select_related = ("sync",)
    actions = ("resume", "sync_now")

    def save_model(self, request: HttpRequest, obj: MailServer, form: Any, change: bool) -> None:
        obj.save(update_fields=["takes_new_customers"])  # the counter is raised by others meanwhile

    def state(self, server: MailServer) -> str:
        if server.sync.halted_at:
            return f"halted: {server.sync.halted_reason}"
        return f"failing: {server.sync.failure}" if server.sync.failed_at else "well"

    def confirmed(self, server: MailServer) -> int:
        return server.sync.confirmed_revision

    def effective(self, server: MailServer) -> int:
        return server.sync.effective

    def last_contact(self, server: MailServer) -> Any:
        return server.sync.contact_at

    def reported(self, server: MailServer) -> str:
        return "; ".join(f"{name}: {value}" for name, value in sorted(server.sync.reported.items()))

    def customers(self, server: MailServer) -> int:
        return server.placements.count()

    @admin.action(description="Let halted syncs go on", permissions=["change"])
    def resume(self, request: Any, servers: QuerySet[MailServer]) -> None:
        for server in servers:
            if server.resume(by=request.user):
                hint(server.pk)
                messages.success(request, f"The sync of {server} goes on.")

    @admin.action(description="Sync now", permissions=["change"])
    def sync_now(self, request: Any, servers: QuerySet[MailServer]) -> None:
        for server in servers:
            hint(server.pk)


@admin.register(Placement)
class PlacementAdmin(VerbAdmin):
    """A placement added here, before service starts, is where the customer will go."""

    list_display = ("customer", "server", "wished_at", "placed_at", "by")
    list_select_related = ("customer", "server", "by")
    search_fields = ("customer__username",)
    raw_id_fields = ("customer",)
    readonly_fields = ("wished_at", "placed_at", "by")

    def save_model(self, request: Any, obj: Placement, form: Any, change: bool) -> None:
        obj.wish(by=request.user)

    def has_change_permission(self, request: HttpRequest, obj: Placement | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.placed_at)

    def has_delete_permission(self, request: HttpRequest, obj: Placement | None = None) -> bool:
        return False


@admin.register(Domain)
class DomainAdmin(NothingByHand):
    list_display = ("name", "customer", "status", "created_at", "deleted_at")
    list_select_related = ("customer",)
    search_fields = ("name", "customer__username")
    fields = readonly_fields = ("name", "customer", "status", "created_at", "deleted_at")
    actions = ("restore",)

    @admin.action(description="Restore", permissions=["change"])
    def restore(self, request: Any, domains: QuerySet[Domain]) -> None:
        run_on_each(request, domains, "restore")


@admin.register(Mailbox)
class MailboxAdmin(NothingByHand):
    list_display = ("address", "state", "quota_mb", "used_bytes", "last_sign_in_at", "deleted_at")
    list_select_related = ("domain__customer",)
    list_per_page = 50
    search_fields = ("local_part", "domain__name")
    fields = readonly_fields = (
        "address",
        "name",
        "status",
        "is_live",
        "quota_mb",
        "used_bytes",
        "last_sign_in_at",
        "created_at",
        "deleted_at",
    )
    actions = ("suspend", "unsuspend", "restore")

    def get_queryset(self, request: HttpRequest) -> Any:
        return Mailbox.objects.with_state()

    def state(self, mailbox: Any) -> str:
        """As `Mailbox.status`, from what the list has read at once."""
        return "deleted" if mailbox.deleted_at else "suspended" if mailbox.is_suspended else "active"

    @admin.action(description="Suspend (sign-in, sending, receiving)", permissions=["change"])
    def suspend(self, request: Any, mailboxes: QuerySet[Mailbox]) -> None:
        run_on_each(request, mailboxes, "suspend", reason="Ask us for the reason", by_staff=True)

    @admin.action(description="Lift suspensions", permissions=["change"])
    def unsuspend(self, request: Any, mailboxes: QuerySet[Mailbox]) -> None:
        run_on_each(request, mailboxes, "unsuspend", by_staff=True)

    @admin.action(description="Restore", permissions=["change"])
    def restore(self, request: Any, mailboxes: QuerySet[Mailbox]) -> None:
        run_on_each(request, mailboxes, "restore")


def run_on_each(request: Any, things: QuerySet[Any], verb: str, **arguments: Any) -> None:
    """Call the verb of each; one that refuses is named with its reason and stops none of the others."""
    for thing in things:
        try:
            getattr(thing, verb)(by=request.user, **arguments)
        except ValidationError as refusal:
            messages.error(request, f"{thing}: {' '.join(refusal.messages)}")
