"""Secrets of one stack: made once, kept in `var/secrets` for their owner alone."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

MAKERS: dict[str, Callable[[], str]] = {
    "secret_key": lambda: secrets.token_urlsafe(50),
    "encryption_key": lambda: base64.urlsafe_b64encode(os.urandom(32)).decode(),  # a Fernet key
    "postgres_password": lambda: secrets.token_hex(16),
    "database_password": lambda: secrets.token_hex(16),
    "redis_password": lambda: secrets.token_hex(16),
    "fraudrecord_key": lambda: secrets.token_hex(8),
    "stripe_key": lambda: f"sk_test_{secrets.token_hex(16)}",
    "stripe_webhook_secret": lambda: f"whsec_{secrets.token_hex(16)}",
}


def load(directory: Path) -> dict[str, str]:
    """Every secret by name; those that are missing are made."""
    directory.mkdir(mode=0o700, exist_ok=True)
    return {name: one(directory / name, make) for name, make in MAKERS.items()}


def one(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_private(path, make())
    return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: it is there whole, or as it was."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
