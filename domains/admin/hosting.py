"""What is hosted: who is placed where, domains, mailboxes."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin import NothingByHand, ReasonedAdmin, VerbAdmin
from domains.models import Domain, DomainClaim, Mailbox, Placement


@admin.register(Placement)
class PlacementAdmin(ReasonedAdmin, VerbAdmin):
    """A placement added here, before service starts, is where the customer will go."""

    list_display = ("customer", "server", "wished_at", "placed_at", "by")
    list_select_related = ("customer", "server", "by")
    search_fields = ("customer__username",)
    raw_id_fields = ("customer",)
    fields = ("customer", "server", "wished_at", "placed_at", "by")
    readonly_fields = ("wished_at", "placed_at", "by")

    def save_model(self, request: Any, obj: Placement, form: Any, change: bool) -> None:
        obj.wish(by=request.user)

    def has_change_permission(self, request: HttpRequest, obj: Placement | None = None) -> bool:
        return super().has_change_permission(request, obj) and not (obj and obj.placed_at)

    def has_delete_permission(self, request: HttpRequest, obj: Placement | None = None) -> bool:
        return False


@admin.register(Domain)
class DomainAdmin(ReasonedAdmin, NothingByHand):
    list_display = ("name", "customer", "status", "created_at", "deleted_at")
    list_select_related = ("customer",)
    search_fields = ("name", "customer__username")
    fields = readonly_fields = ("name", "customer", "status", "created_at", "deleted_at")
    actions = ("restore",)

    @admin.action(description="Restore", permissions=["change"])
    def restore(self, request: Any, domains: QuerySet[Domain]) -> None:
        run_on_each(request, domains, "restore")


@admin.register(DomainClaim)
class DomainClaimAdmin(ReasonedAdmin, NothingByHand):
    """Domains that a second customer has proved. Ask both before you decide: whoever controls the DNS now is usually
    right, and the holder's mailboxes stay with the holder's deleted domain.
    """

    list_display = ("domain", "holder", "claimant", "status", "opened_at", "decided_at", "decided_by")
    list_select_related = ("domain__customer", "claimant", "decided_by")
    search_fields = ("domain__name", "claimant__username")
    fields = readonly_fields = list_display
    actions = ("give", "keep")

    @admin.display(description="holder")
    def holder(self, claim: DomainClaim) -> str:
        return claim.domain.customer.username

    @admin.action(description="Give to the claimant, without the holder's mailboxes", permissions=["change"])
    def give(self, request: Any, claims: QuerySet[DomainClaim]) -> None:
        run_on_each(request, claims, "give")

    @admin.action(description="Leave with the holder", permissions=["change"])
    def keep(self, request: Any, claims: QuerySet[DomainClaim]) -> None:
        run_on_each(request, claims, "keep")


@admin.register(Mailbox)
class MailboxAdmin(ReasonedAdmin, NothingByHand):
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
        if mailbox.deleted_at:
            return "deleted"
        if mailbox.is_suspended:
            return "suspended"
        return "invited" if mailbox.password_awaited_since else "active"

    @admin.action(description="Suspend (sign-in, sending, receiving)", permissions=["change"])
    def suspend(self, request: Any, mailboxes: QuerySet[Mailbox]) -> None:
        run_on_each(request, mailboxes, "suspend", reason=request.reason, by_staff=True)

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
