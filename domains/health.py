"""How the mail servers are, in a word each."""

from django.utils import timezone

from domains.models import MailServer
from domains.signs import silent_after


def server_checks() -> dict[str, str]:
    """Server name -> "ok" or what is wrong; without what only staff may know."""
    return {server.name: _state(server) for server in MailServer.objects.select_related("sync")}


def _state(server: MailServer) -> str:
    sync = server.sync
    if sync.halted_at:
        return "sync is halted"
    if not sync.effective:
        return "not in service yet"
    if sync.failed_at:
        return "changes wait"
    if sync.contact_at is None or sync.contact_at < timezone.now() - silent_after():
        return "silent"
    return "ok"
