"""Another bearer key and another certificate of the agent, with an overlap in which the present ones hold, too.

The keeper's side, as root: the agent may not write its own key and certificate. Each step may come again; where a
renewal is, the files say:

| enrol/agent.key.next | agent/agent.next.pem | The renewal |
|---|---|---|
| no | no, or left over | has not begun |
| yes | yes | has begun: both keys are taken, the present certificate is shown |
| yes | no | has switched: both keys are taken, the next certificate is shown |
"""

import hashlib
import os
import secrets as random
from pathlib import Path

from mailnode import certificates
from mailnode.files import Place, flush_directory, write
from mailnode.settings import Settings


class NotYet(Exception):
    """The step before this one is missing; the text says which."""


def begin(settings: Settings, *, anew: bool) -> tuple[str, str]:
    """Make the next key and certificate, or find them made, unless `anew`: (key in clear, pin of the certificate)."""
    if anew or not _next_key(settings).exists():
        certificates.make_agent(settings, _next_certificate(settings))
        write(_next_key(settings), f"{new_key()}\n".encode(), mode=0o600)
    write_hashes(settings)
    following = _next_certificate(settings)
    pin = certificates.pin(following if following.exists() else settings.agent_certificate)
    return _next_key(settings).read_text().strip(), pin


def switch(settings: Settings) -> str:
    """Put the next certificate in the place of the present one, where a renewal has begun; the pin of what is shown."""
    if _next_key(settings).exists() and _next_certificate(settings).exists():
        os.replace(_next_certificate(settings), settings.agent_certificate)
        flush_directory(settings.agent_directory)
    return certificates.pin(settings.agent_certificate)


def end(settings: Settings) -> str:
    """Let the former key go; the pin of the certificate that is shown. Raises NotYet."""
    if _next_key(settings).exists():
        if _next_certificate(settings).exists():
            raise NotYet("the certificate has not been switched")
        os.replace(_next_key(settings), settings.key_file)
        flush_directory(settings.key_file.parent)
    write_hashes(settings)
    return certificates.pin(settings.agent_certificate)


def write_hashes(settings: Settings) -> None:
    """Have the agent take the present key, and the next one if there is one: a line each, the next one last."""
    keys = [path.read_text().strip() for path in (settings.key_file, _next_key(settings)) if path.exists()]
    text = "".join(f"{hashlib.sha256(key.encode()).hexdigest()}\n" for key in keys)
    if not settings.key_hashes.exists() or settings.key_hashes.read_text() != text:
        write(settings.key_hashes, text.encode(), mode=0o640, group=settings.users.agent)
    Place(settings.key_hashes, 0o640, "root", settings.users.agent).settle()


def new_key() -> str:
    """A bearer key."""
    return random.token_urlsafe(32)


def _next_key(settings: Settings) -> Path:
    return settings.key_file.with_name("agent.key.next")


def _next_certificate(settings: Settings) -> Path:
    return settings.agent_directory / "agent.next.pem"
