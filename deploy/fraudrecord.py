"""Stand-in for FraudRecord: its version 1 protocol over HTTP, with test values for each verdict and outage.

It answers GET and POST at `/api/` as the service does: `_action` is `query`, `report` or `delete`, the other
fields are hashes of personal data. Reports are kept in memory and found by later queries. A direct link
(`/api/?showreport=CODE`) shows what stands under a code. Nothing of a request but its action is logged.

Orders in one of these names (the field `name`) get a fixed answer, whatever else they carry:

| Name | Answer |
|---|---|
| Fraud Reported | `3-1-2.5`: one mild report |
| Fraud Held | `14-3-6.7`: several grave, reliable reports |
| Fraud Outage | HTTP 503 |
| Fraud Recovering | HTTP 503 twice for the same hashes, then clean |
| Fraud Html | an HTML page with status 200 |
| Fraud Redirect | a redirect |
| Fraud Slow | one byte a second, without end |
| Fraud Long | a megabyte |
| Fraud Hangup | the connection closes without an answer |
| Fraud Malformed | a report whose numbers are none |
| Fraud Badkey | `ERR:API` |
| Fraud Unapproved | `ERR:NOT-APPROVED` |
| Fraud Nodata | `NODATA` |
"""

import argparse
import hashlib
import os
import re
import secrets
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ROUNDS = 32_000
MAX_BODY = 64 * 1024
HASH = re.compile(r"[0-9a-f]{40}")
CODE = re.compile(r"[0-9a-f]{16}")
PERSON_FIELDS = frozenset(
    {"name", "company", "email", "address", "phone", "ip", "hostname", "domain", "paypalemail"}
)
FIELDS = PERSON_FIELDS | {"accountuser", "accountpass", "ccname", "ccnumber"}
FIXED_REPORTS = {"Fraud Reported": "3-1-2.5", "Fraud Held": "14-3-6.7", "Fraud Malformed": "many-some-good"}
FIXED_ERRORS = {"Fraud Badkey": "ERR:API", "Fraud Unapproved": "ERR:NOT-APPROVED", "Fraud Nodata": "NODATA"}
OUTAGES = ("Outage", "Recovering", "Html", "Redirect", "Slow", "Long", "Hangup")
FAILURES_BEFORE_RECOVERY = 2


def fraudrecord_hash(value: str, *, raw: bool = False) -> str:
    """40 lower-case hex digits of `value`, normalised as FraudRecord's own PHP does (`raw`: as it is)."""
    if not raw:
        value = value.strip(" \t\n\r\0\x0b").replace(" ", "")
        value = "".join(c.lower() if c.isascii() else c for c in value)
    for _ in range(ROUNDS):
        value = hashlib.sha1(f"fraudrecord-{value}".encode()).hexdigest()  # noqa: S324 (the protocol's hash)
    return value


@dataclass(frozen=True)
class Report:
    """One report: what it says in clear, how grave it is, and the hashes it is found by."""

    kind: str
    text: str
    value: int
    hashes: frozenset[tuple[str, str]]


@dataclass
class Ledger:
    """Every report of this run and the fixed answers; shared by the server's threads."""

    api_key: str
    reports: dict[str, Report] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    failures: Counter[frozenset[tuple[str, str]] | None] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        special = [*FIXED_REPORTS, *FIXED_ERRORS, *(f"Fraud {outage}" for outage in OUTAGES)]
        self.names = {fraudrecord_hash(name): name for name in special}

    def answer(self, form: dict[str, str]) -> str:
        """The plain-text answer to one request; outages are the handler's."""
        if form.get("_api") != self.api_key:
            return "ERR:API"
        name = self.names.get(form.get("name", ""))
        if name in FIXED_ERRORS:
            return FIXED_ERRORS[name]
        action = {"query": self.query, "report": self.report, "delete": self.delete}.get(
            form.get("_action", "")
        )
        return action(form) if action else "ERR:ACTION"

    def query(self, form: dict[str, str]) -> str:
        hashes = hashes_of(form)
        if not hashes:
            return "NODATA" if hashes is not None else "ERR:DATA"
        with self.lock:
            found = [report for report in self.reports.values() if report.hashes & hashes]
            name = self.names.get(form.get("name", ""), "")
            numbers = FIXED_REPORTS.get(name) or summary(found)
            code = self.codes.setdefault(f"{numbers} {sorted(hashes)}", secrets.token_hex(8))
        return f"<report>{numbers}-{code}</report>"

    def report(self, form: dict[str, str]) -> str:
        hashes, value = hashes_of(form), form.get("_value", "")
        known = hashes and form.get("_type") and form.get("_text")
        if not known or not value.isdecimal() or not 1 <= int(value) <= 10:
            return "ERR:DATA"
        code = secrets.token_hex(8)
        with self.lock:
            self.reports[code] = Report(form["_type"], form["_text"], int(value), hashes or frozenset())
        return f"OK:{code}"

    def delete(self, form: dict[str, str]) -> str:
        code = form.get("_code", "")
        with self.lock:
            return f"OK:{code}" if CODE.fullmatch(code) and self.reports.pop(code, None) else "ERR:DATA"

    def outage(self, form: dict[str, str]) -> str:
        """Which outage this request is to meet, empty for none."""
        name = self.names.get(form.get("name", ""), "")
        outage = name.removeprefix("Fraud ")
        if outage == "Recovering":
            with self.lock:
                self.failures[hashes_of(form)] += 1
                recovered = self.failures[hashes_of(form)] > FAILURES_BEFORE_RECOVERY
            return "" if recovered else "Outage"
        return outage if outage in OUTAGES else ""


def hashes_of(form: dict[str, str]) -> frozenset[tuple[str, str]] | None:
    """The (field, hash) pairs of a request; None where one of them is no hash."""
    pairs = frozenset((name, value) for name, value in form.items() if name in FIELDS and value)
    return pairs if all(HASH.fullmatch(value) for _, value in pairs) else None


def summary(found: list[Report]) -> str:
    """VALUE-COUNT-RELIABILITY of the reports found."""
    reliability = min(10.0, 1.0 + 1.5 * len(found)) if found else 0.0
    return f"{sum(report.value for report in found)}-{len(found)}-{reliability:.1f}"


class Handler(BaseHTTPRequestHandler):
    """One HTTP request; the path is `/api/` as at the service."""

    server: "Server"
    server_version = "FraudRecordStandIn"
    sys_version = ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.respond(url.path, url.query)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return self.send_text(413, "too long")
        body = self.rfile.read(int(length)).decode("utf-8", "replace")
        self.respond(urlsplit(self.path).path, body)

    def respond(self, path: str, encoded: str) -> None:
        if path.rstrip("/") != "/api":
            return self.send_text(404, "Not Found")
        form = {name: values[-1] for name, values in parse_qs(encoded, keep_blank_values=True).items()}
        if "showreport" in form:
            return self.show_report(form["showreport"])
        outage = self.server.ledger.outage(form)
        sys.stderr.write(f"{self.command} {form.get('_action', '-')[:10]!r} {outage or 'answered'}\n")
        if outage:
            return getattr(self, f"fail_{outage.lower()}")()
        self.send_text(200, self.server.ledger.answer(form))

    def show_report(self, code: str) -> None:
        known = code in self.server.ledger.codes.values() or code in self.server.ledger.reports
        report = self.server.ledger.reports.get(code)
        text = f"{report.kind}, severity {report.value}: {report.text}" if report else "No single report."
        self.send_text(200 if known else 404, text if known else "Unknown code.")

    def send_text(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail_outage(self) -> None:
        self.send_text(503, "<h1>Service Unavailable</h1>", "text/html")

    def fail_html(self) -> None:
        self.send_text(200, "<!doctype html><title>FraudRecord</title><p>Down for maintenance.", "text/html")

    def fail_redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/maintenance")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def fail_slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        for character in "<report>0-0-0.0-" + "0" * 120:
            self.wfile.write(character.encode())
            time.sleep(1)

    def fail_long(self) -> None:
        self.send_text(200, "<report>0-0-0.0-" + "0" * 1_000_000 + "</report>")

    def fail_hangup(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Silence: the request line of a GET carries the key and the hashes."""


class Server(ThreadingHTTPServer):
    """The stand-in at one address, with a ledger of its own."""

    daemon_threads = True

    def __init__(self, host: str, port: int, api_key: str) -> None:
        super().__init__((host, port), Handler)
        self.ledger = Ledger(api_key)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, as one that meets `Fraud Slow` does, is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description="Stand-in for FraudRecord")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    Server(options.host, options.port, os.environ["FRAUDRECORD_API_KEY"]).serve_forever()


if __name__ == "__main__":
    main()
