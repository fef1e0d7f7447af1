"""Making Rspamd's key files what the rows say."""

import time

from mailnode.dkim import File, Name, fingerprint
from mailnode.store import Store

KEYS_OF = """SELECT k.id, k.selector, k.signs, k.fingerprint FROM domains d JOIN dkim k ON k.domain = d.id
WHERE d.name = ?"""
KEY = """SELECT d.name, k.selector, k.signs, k.fingerprint FROM dkim k LEFT JOIN domains d ON d.id = k.domain
WHERE k.id = ?"""
NAMES = "SELECT d.name, k.selector, k.signs FROM dkim k JOIN domains d ON d.id = k.domain"


class Signing:
    """Runs under the same lock as `Store.apply`; everything may run twice."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keys = store.keys

    def settle(self, domains: set[str]) -> None:
        """Make the key files of these domains what the rows say: install what is wanted and not there, remove what
        is there and not wanted. Raises FileNotFoundError for a key that was never staged (the page has to come
        again)."""
        installed: list[File] = []
        removed: list[Name] = []
        settled: list[tuple[str, str]] = []
        for domain in sorted(domains):
            wanted = set()
            for key, selector, signs, expected in self.store.node.execute(KEYS_OF, (domain,)).fetchall():
                name = Name(domain, selector, bool(signs))
                current = self.keys.read(name)
                if current is None or fingerprint(current) != expected:
                    installed.append(self._file(name, self.keys.staged(key, expected)))
                settled.append((key, expected))
                wanted.add(name)
            removed += sorted(set(self.keys.of(domain)) - wanted)
        self._put(installed, removed)
        for key, expected in settled:
            self.keys.unstage(key, expected)

    def install_page(self, page: str) -> None:
        """Put the keys of one staged page of a rebuild in force; one whose domain is not here waits for it."""
        installed = []
        for key, pem in self.keys.staged_page(page).items():
            row = self.store.node.execute(KEY, (key,)).fetchone()
            domain, selector, signs, expected = row or (None, "", 0, "")
            if expected != fingerprint(pem):
                continue  # changed since
            if domain is None:
                self.keys.stage(key, pem)
            elif self.keys.read(name := Name(domain, selector, bool(signs))) != pem:
                installed.append(self._file(name, pem))
        self._put(installed, [])
        self.keys.unstage_page(page)

    def remove_strange(self) -> None:
        """Remove every key file that no row knows."""
        known = set(self.store.node.execute(NAMES).fetchall())
        self._put([], [name for name in self.keys.all() if name not in known])

    def _file(self, name: Name, pem: str) -> File:
        return File(name, pem, stamp=max(int(time.time()), self._last_stamp(name) + 2))

    def _put(self, installed: list[File], removed: list[Name]) -> None:
        stamps = [(f"{file.name.domain}/{file.name.selector}", file.stamp) for file in installed]
        stamps += [(f"{name.domain}/{name.selector}", self._last_stamp(name)) for name in removed]
        if stamps:
            with self.store.transaction() as node:
                query = """INSERT INTO dkim_files VALUES (?, ?)
                    ON CONFLICT (name) DO UPDATE SET mtime = max(mtime, excluded.mtime)"""
                node.executemany(query, stamps)
        self.keys.install(installed)
        for name in removed:
            self.keys.remove(name)

    def _last_stamp(self, name: Name) -> int:
        """The latest time stamp that a key of this selector ever had."""
        query = "SELECT mtime FROM dkim_files WHERE name = ?"
        row = self.store.node.execute(query, (f"{name.domain}/{name.selector}",)).fetchone()
        return max(row[0] if row else 0, self.keys.stamp(name))
