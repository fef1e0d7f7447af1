"""Making a mail server known to the panel."""

from collections.abc import Mapping

from django.core.exceptions import ValidationError

from accounts import audit
from domains.models import MailServer, ServerSync
from foundation.names import normalise_domain
from foundation.unit_of_work import unit_of_work


def enrol(
    *, name: str, address: str, agent_url: str, certificate_sha256: str, agent_key: str, ports: dict[str, int]
) -> tuple[MailServer, bool]:
    """The server of this name, made or corrected, and whether anything changed. ValidationError for a bad
    value.
    """
    if len(agent_key) < 20:
        raise ValidationError("The agent's key is too short to be one.")
    values = {
        "address": address,
        "agent_url": agent_url,
        "agent_key": agent_key,
        "ports": ports,
        "certificate_sha256": certificate_sha256.replace(":", "").lower(),
        # A renewal that was cut off goes on from what the server says, not from what was noted before.
        "next_agent_key": "",
        "next_certificate_sha256": "",
    }
    name = normalise_domain(name)
    with unit_of_work():
        server = MailServer.objects.select_for_update().filter(name=name).first() or MailServer(name=name)
        changed = server.pk is None or any(getattr(server, field) != value for field, value in values.items())
        if changed:
            _write(server, values)
    return server, changed


def _write(server: MailServer, values: Mapping[str, object]) -> None:
    """Only these fields: the counter is raised by others meanwhile."""
    for field, value in values.items():
        setattr(server, field, value)
    server.full_clean()
    if server.pk:
        server.save(update_fields=list(values))
    else:
        server.save()
        ServerSync.objects.create(server=server)
    audit.record("server.enrol", by=None, subject=server.name)
