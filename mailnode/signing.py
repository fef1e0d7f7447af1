"""Making Rspamd's key files, and the choice of which of them signs, what the rows say."""

import time

from mailnode.dkim import File, fingerprint
from mailnode.store import Store

KEYS_OF = """SELECT k.id, k.selector, k.fingerprint, k.signs FROM domains d JOIN dkim k ON k.domain = d.id
WHERE d.name = ?"""
KEY = """SELECT d.name, k.selector, k.fingerprint FROM dkim k LEFT JOIN domains d ON d.id = k.domain
WHERE k.id = ?"""
SIGNERS = """SELECT d.name, max(k.selector) FROM dkim k JOIN domains d ON d.id = k.domain
WHERE k.signs = 1 GROUP BY d.name"""


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
        removed: list[tuple[str, str]] = []
        settled: list[tuple[str, str]] = []
        chosen: dict[str, str] = {}
        for domain in sorted(domains):
            wanted = self.store.node.execute(KEYS_OF, (domain,)).fetchall()
            for key, selector, expected, _ in wanted:
                current = self.keys.read(domain, selector)
                if current is None or fingerprint(current) != expected:
                    staged = self.keys.staged(key, expected)
                    installed.append(self._file(domain, selector, staged))
                settled.append((key, expected))
            chosen[domain] = max((selector for _, selector, _, signs in wanted if signs), default="")
            strange = set(self.keys.selectors(domain)) - {selector for _, selector, _, _ in wanted}
            removed += [(domain, selector) for selector in sorted(strange)]
        self._put(installed, removed, chosen)
        for key, expected in settled:
            self.keys.unstage(key, expected)

    def install_page(self, name: str) -> None:
        """Put the keys of one staged page of a rebuild in force; one whose domain is not here waits for it."""
        installed = []
        for key, pem in self.keys.staged_page(name).items():
            row = self.store.node.execute(KEY, (key,)).fetchone()
            domain, selector, expected = row or (None, "", "")
            if expected != fingerprint(pem):
                continue  # changed since
            if domain is None:
                self.keys.stage(key, pem)
            elif self.keys.read(domain, selector) != pem:
                installed.append(self._file(domain, selector, pem))
        self._put(installed, [], {})
        self.keys.unstage_page(name)

    def settle_all(self) -> None:
        """Once every wanted key is in force: remove every other one, and say which signs for each domain."""
        query = "SELECT d.name, k.selector FROM dkim k JOIN domains d ON d.id = k.domain"
        known = set(self.store.node.execute(query).fetchall())
        signers = dict(self.store.node.execute(SIGNERS).fetchall())
        domains = list(self.keys.domains())
        files = ((domain, selector) for domain in domains for selector in self.keys.selectors(domain))
        strange = [file for file in files if file not in known]
        self._put([], strange, {domain: signers.get(domain, "") for domain in domains})

    def _file(self, domain: str, selector: str, pem: str) -> File:
        stamp = max(int(time.time()), self._last_stamp(domain, selector) + 2)
        return File(domain, selector, pem, stamp)

    def _put(self, installed: list[File], removed: list[tuple[str, str]], chosen: dict[str, str]) -> None:
        stamps = [(f"{file.domain}/{file.selector}", file.stamp) for file in installed]
        stamps += [
            (f"{domain}/{selector}", self._last_stamp(domain, selector)) for domain, selector in removed
        ]
        if stamps:
            with self.store.transaction() as node:
                node.executemany("INSERT OR REPLACE INTO dkim_files VALUES (?, ?)", stamps)
        self.keys.install(installed)
        self.keys.choose(chosen)
        for domain, selector in removed:
            self.keys.remove(domain, selector)

    def _last_stamp(self, domain: str, selector: str) -> int:
        """The latest time stamp that this file name ever had."""
        query = "SELECT mtime FROM dkim_files WHERE name = ?"
        row = self.store.node.execute(query, (f"{domain}/{selector}",)).fetchone()
        return max(row[0] if row else 0, self.keys.stamp(domain, selector))
