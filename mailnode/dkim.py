"""DKIM private keys as Rspamd reads them: `<dkim>/<domain>/<selector>.key` and one map of signing selectors.

A directory for each domain, because a domain name alone may fill a file name (253 of 255 bytes). Rspamd keeps
a key that it has read until the file's time stamp, in whole seconds, is later than it was at reading; so a
key that is made again under the same selector gets a stamp later than any that the name ever had."""

import hashlib
import shutil
from pathlib import Path

from mailnode.files import flush_file_system, write

MAP_NAME = "selectors.map"


def fingerprint(private_key: str) -> str:
    """What tells two keys apart without saying what they are: SHA-256 (hex) of the PEM text."""
    return hashlib.sha256(private_key.encode()).hexdigest()


class KeyFiles:
    """The key directory. Its owner is the agent and its group Rspamd's (set-group-ID, so new files
    follow)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.staging = directory / "stage"  # no domain name lacks a dot, so it is nobody's directory

    def stage(self, key: str, private_key: str, *, flush: bool = True) -> None:
        """Keep a key where nothing signs with it yet; the same key twice is one file. Without `flush` it is the
        caller's to see that it survives a power cut."""
        place = self.staging / f"{key}.{fingerprint(private_key)[:16]}"
        write(place, private_key.encode(), mode=0o600, flush=flush)

    def is_staged(self, key: str, wanted: str) -> bool:
        """Whether the key with this fingerprint is staged, whole."""
        try:
            return fingerprint((self.staging / f"{key}.{wanted[:16]}").read_text()) == wanted
        except (FileNotFoundError, UnicodeDecodeError):
            return False

    def path(self, domain: str, selector: str) -> Path:
        """The file that Rspamd reads for this domain and selector."""
        return self.directory / domain / f"{selector}.key"

    def read(self, domain: str, selector: str) -> str | None:
        """The PEM text that is in force, or None."""
        try:
            return self.path(domain, selector).read_text()
        except FileNotFoundError:
            return None

    def install(self, wanted: list[tuple[str, str, str, str, int]]) -> None:
        """Put staged keys in force: (key, fingerprint, domain, selector, time stamp) each. Raises
        FileNotFoundError when one was never staged (the page has to come again)."""
        for key, expected, domain, selector, stamp in wanted:
            target = self.path(domain, selector)
            target.parent.mkdir(mode=0o2750, exist_ok=True)
            staged = self.staging / f"{key}.{expected[:16]}"
            write(target, staged.read_bytes(), mode=0o640, stamp=stamp, flush=len(wanted) == 1)
        if len(wanted) > 1:
            flush_file_system(self.directory)
        for key, expected, *_ in wanted:
            self.unstage(key, expected)

    def unstage(self, key: str, wanted: str) -> None:
        """Forget the staged copy of a key that is in force."""
        (self.staging / f"{key}.{wanted[:16]}").unlink(missing_ok=True)

    def stamp(self, domain: str, selector: str) -> int:
        """The time stamp of the key file, 0 when there is none."""
        try:
            return int(self.path(domain, selector).stat().st_mtime)
        except FileNotFoundError:
            return 0

    def selectors(self, domain: str) -> list[str]:
        """The selectors of a domain that have a key file."""
        return [path.stem for path in (self.directory / domain).glob("*.key")]

    def domains(self) -> list[str]:
        """The domains that have a directory of keys."""
        return [path.name for path in self.directory.iterdir() if path.is_dir() and path != self.staging]

    def remove(self, domain: str, selector: str) -> None:
        """Remove a key; gone already is as good."""
        self.path(domain, selector).unlink(missing_ok=True)
        if not self.selectors(domain):
            shutil.rmtree(self.directory / domain, ignore_errors=True)

    def write_map(self, signing: list[tuple[str, str]]) -> None:
        """Say which selector signs for each domain."""
        text = "".join(f"{domain} {selector}\n" for domain, selector in signing)
        write(self.directory / MAP_NAME, text.encode(), mode=0o640)

    def clear_staging(self, waiting: set[tuple[str, str]]) -> None:
        """Remove keys that were staged for a page that never came to be. `waiting`: (key, fingerprint) of the
        rows that are there; one whose domain has not come yet still needs its staged file."""
        keep = {f"{key}.{wanted[:16]}" for key, wanted in waiting}
        for path in self.staging.iterdir():
            if path.name not in keep:
                path.unlink()
