"""How the mail server is, as the panel asks for it."""

import os
import sqlite3
import time

from mailnode import __version__, certificates, schema, wire
from mailnode.keeper_client import Keeper, KeeperError
from mailnode.rebuild import state
from mailnode.settings import Settings
from mailnode.store import row_counts


async def status(
    settings: Settings, node: sqlite3.Connection, keeper: Keeper, lag_error: str | None
) -> wire.Status:
    """The Status of now. What only root can see comes from the keeper; without it no daemon counts as
    running."""
    try:
        seen = await keeper.call("status", deadline=5.0)
    except KeeperError:
        seen = {"services": [], "queue": None}
    point, under_way = schema.point(node), state(node)
    disk = os.statvfs(settings.directory)
    return wire.Status(
        wire=wire.WIRE,
        wires=list(wire.WIRES),
        version=__version__,
        name=settings.name,
        revision=point.revision,
        mark=point.mark,
        effective=schema.effective(node),
        services=[
            wire.Service(name="agent", running=True),
            wire.Service(name="keeper", running=bool(seen["services"])),
            *(wire.Service(name=str(name), running=bool(running)) for name, running in seen["services"]),
        ],
        disk=wire.Disk(total=disk.f_blocks * disk.f_frsize, free=disk.f_bavail * disk.f_frsize),
        queue=seen["queue"],
        certificate_not_after=certificates.not_after(settings.tls / "cert.pem"),
        rows=row_counts(node),
        lag_error=lag_error,
        time=int(time.time()),
        agent_not_after=certificates.not_after(settings.agent_certificate),
        rebuild=under_way if under_way.rebuild else None,
    )
