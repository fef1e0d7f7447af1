"""How the mail server is, as the panel asks for it."""

import os
import time

from mailnode import __version__, certificates, wire
from mailnode.keeper_client import Keeper, KeeperError
from mailnode.settings import Settings
from mailnode.store import Store


async def status(settings: Settings, store: Store, keeper: Keeper, lag_error: str | None) -> wire.Status:
    """The Status of now. What only root can see comes from the keeper; without it no daemon counts as
    running."""
    try:
        seen = await keeper.call("status", deadline=5.0)
    except KeeperError:
        seen = {"services": [], "queue": None}
    point = store.point()
    disk = os.statvfs(settings.directory)
    return wire.Status(
        wire=wire.WIRE,
        wires=list(wire.WIRES),
        version=__version__,
        name=settings.name,
        revision=point.revision,
        mark=point.mark,
        effective=store.effective(),
        services=[
            wire.Service(name="agent", running=True),
            wire.Service(name="keeper", running=bool(seen["services"])),
            *(wire.Service(name=str(name), running=bool(running)) for name, running in seen["services"]),
        ],
        disk=wire.Disk(total=disk.f_blocks * disk.f_frsize, free=disk.f_bavail * disk.f_frsize),
        queue=seen["queue"],
        certificate_not_after=certificates.not_after(settings.tls / "cert.pem"),
        rows=store.row_counts(),
        lag_error=lag_error,
        time=int(time.time()),
    )
