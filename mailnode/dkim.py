"""DKIM private keys as Rspamd reads them: `<dkim>/<domain>/<selector>.key` is the one that signs; others of the domain,
published or kept for a rotation, are `<selector>.kept`.

A directory for each domain, because a domain name alone may fill a file name (253 of 255 bytes). It is looked at anew
for each message (`rspamd.local.lua`), so what is effective is signed: a map of Rspamd's own for all domains would be
read whole after each change, seconds later. Rspamd keeps a key that it has read until the file's time stamp, in
whole seconds, is later than it was at reading; so a key that is made again under the same selector gets a stamp later
than any that the name ever had."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from mailnode.files import flush_file_system, write

SUFFIX = {True: ".key", False: ".kept"}  # whether it signs


def fingerprint(private_key: str) -> str:
    """What tells two keys apart without saying what they are: SHA-256 (hex) of the PEM text."""
    return hashlib.sha256(private_key.encode()).hexdigest()


class Name(NamedTuple):
    """What a key is in force as; `signs` of at most one in a domain."""

    domain: str
    selector: str
    signs: bool


class File(NamedTuple):
    """A key as it shall be in force; `stamp` is the file's time, in seconds since the epoch."""

    name: Name
    pem: str
    stamp: int


class KeyFiles:
    """The key directory. Its owner is the agent and its group Rspamd's (set-group-ID, so new files
    follow)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.staging = directory / "stage"  # no domain name lacks a dot, so it is nobody's directory

    def stage(self, key: str, private_key: str) -> None:
        """Keep a key where nothing signs with it yet; the same key twice is one file."""
        write(self._staged(key, fingerprint(private_key)), private_key.encode(), mode=0o600)

    def staged(self, key: str, wanted: str) -> str:
        """The staged key with this fingerprint; FileNotFoundError when it was never staged, or is damaged."""
        pem = self._staged(key, wanted).read_text(errors="replace")
        if fingerprint(pem) != wanted:
            raise FileNotFoundError(f"the staged copy of key {key} is damaged")
        return pem

    def unstage(self, key: str, wanted: str) -> None:
        """Forget the staged copy of a key that is in force."""
        self._staged(key, wanted).unlink(missing_ok=True)

    def stage_page(self, name: str, private_keys: dict[str, str]) -> None:
        """Keep the keys of a page of a rebuild, by their ids, in one file; it is the caller's to see that it survives
        a power cut."""
        write(self.staging / name, msgspec.json.encode(private_keys), mode=0o600, flush=False)

    def staged_page(self, name: str) -> dict[str, str]:
        """The keys of a staged page; none where it is not there, or not whole."""
        try:
            return msgspec.json.decode((self.staging / name).read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def pages(self, prefix: str) -> list[str]:
        """The names of the staged pages that begin so."""
        return sorted(path.name for path in self.staging.glob(f"{prefix}*"))

    def unstage_page(self, name: str) -> None:
        """Forget a page whose keys are in force."""
        (self.staging / name).unlink(missing_ok=True)

    def _staged(self, key: str, wanted: str) -> Path:
        return self.staging / f"{key}.{wanted[:16]}"

    def path(self, name: Name) -> Path:
        """The file of a key."""
        return self.directory / name.domain / f"{name.selector}{SUFFIX[name.signs]}"

    def read(self, name: Name) -> str | None:
        """The PEM text that is in force, whatever somebody made of it, or None."""
        try:
            return self.path(name).read_text(errors="replace")
        except FileNotFoundError:
            return None

    def install(self, files: list[File]) -> None:
        """Put keys in force."""
        for file in files:
            target = self.path(file.name)
            target.parent.mkdir(mode=0o2750, exist_ok=True)
            write(target, file.pem.encode(), mode=0o640, stamp=file.stamp, flush=len(files) == 1)
        if len(files) > 1:
            flush_file_system(self.directory)

    def stamp(self, name: Name) -> int:
        """The time stamp of the file, 0 when there is none."""
        try:
            return int(self.path(name).stat().st_mtime)
        except FileNotFoundError:
            return 0

    def of(self, domain: str) -> list[Name]:
        """The keys of a domain that have a file."""
        return [
            Name(domain, path.stem, signs)
            for signs, suffix in SUFFIX.items()
            for path in (self.directory / domain).glob(f"*{suffix}")
        ]

    def all(self) -> Iterator[Name]:
        """Every key that has a file."""
        for path in self.directory.iterdir():
            if path.is_dir() and path != self.staging:
                yield from self.of(path.name)

    def remove(self, name: Name) -> None:
        """Remove a key; gone already is as good."""
        self.path(name).unlink(missing_ok=True)
        if not self.of(name.domain):
            shutil.rmtree(self.directory / name.domain, ignore_errors=True)

    def clear_staging(self, waiting: set[tuple[str, str]]) -> None:
        """Remove keys that were staged for a page that never came to be. `waiting`: (key, fingerprint) of the
        rows that are there; one whose domain has not come yet still needs its staged file."""
        keep = {self._staged(key, wanted) for key, wanted in waiting}
        for path in self.staging.iterdir():
            if path not in keep:
                path.unlink()
