"""Stand-in for VIES: its REST service over HTTP, with numbers for each answer and outage.

It answers POST at `/rest-api/check-vat-number` as the service does, and logs nothing of a request. The first three digits
of a number decide, as the whole number does at VIES's own test service:

| Digits | Such as | Answer |
|---|---|---|
| 200 | DE200000005 | not valid |
| 201 | DE201000007 | `INVALID_INPUT`, status 400 |
| 202 | DE202000009 | `INVALID_REQUESTER_INFO`, status 400 |
| 300 | DE300000002 | `SERVICE_UNAVAILABLE`, status 500 |
| 301 | DE301000004 | `MS_UNAVAILABLE`, status 200 |
| 600 | DE600000004 | `MS_MAX_CONCURRENT_REQ` as the live service has it: status 200 and `valid: false` |
| 700 | DE700000001 | one byte a second, without end |
| 701 | DE701000003 | an HTML page with status 200 |
| others | DE100000008 | valid; with a number of the consultation where the asker gives a VAT id |

An asker whose VAT id is of no member state gets `INVALID_REQUESTER_INFO`.
"""

import argparse
import json
import re
import secrets
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MAX_BODY = 16 * 1024
_STATES = "AT BE BG CY CZ DE DK EE EL ES FI FR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI"
STATES = frozenset(_STATES.split(" "))
FAULTS = {
    "201": (400, "INVALID_INPUT"),
    "202": (400, "INVALID_REQUESTER_INFO"),
    "300": (500, "SERVICE_UNAVAILABLE"),
    "301": (200, "MS_UNAVAILABLE"),
}


class Handler(BaseHTTPRequestHandler):
    server: "Server"
    server_version = "ViesStandIn"
    sys_version = ""

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/rest-api/check-vat-number" or not length.isdecimal() or int(length) > MAX_BODY:
            return self.send(404, "{}")
        try:
            question: dict[str, Any] = json.loads(self.rfile.read(int(length)))
            state, number = str(question["countryCode"]), str(question["vatNumber"])
        except (ValueError, KeyError, TypeError):
            return self.fail(400, "INVALID_INPUT")
        digits = "".join(re.findall(r"\d", number))[:3]
        self.server.asked[f"{state}{number}"] += 1
        if state not in STATES or not number:
            return self.fail(400, "INVALID_INPUT")
        if "requesterMemberStateCode" in question and question["requesterMemberStateCode"] not in STATES:
            return self.fail(*FAULTS["202"])
        if digits in FAULTS:
            return self.fail(*FAULTS[digits])
        if digits == "700":
            return self.drip()
        if digits == "701":
            return self.send(200, "<!doctype html><title>VIES</title><p>Maintenance", "text/html")
        self.answer(question, digits)

    def answer(self, question: dict[str, Any], digits: str) -> None:
        valid, asker = digits not in ("200", "600"), question.get("requesterNumber")
        answer = {
            "countryCode": question["countryCode"],
            "vatNumber": question["vatNumber"],
            "requestDate": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "valid": valid,
            "requestIdentifier": f"WAPI{secrets.token_hex(6)}" if valid and asker else "",
            "name": "---",
            "address": "---",
            "traderNameMatch": "NOT_PROCESSED",
        }
        if digits == "600":
            answer["userError"] = "MS_MAX_CONCURRENT_REQ"
        self.send(200, json.dumps(answer))

    def fail(self, status: int, code: str) -> None:
        self.send(status, json.dumps({"actionSucceed": False, "errorWrappers": [{"error": code}]}))

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        for character in '{"valid": ' + " " * 600:
            self.wfile.write(character.encode())
            time.sleep(1)

    def send(self, status: int, text: str, kind: str = "application/json") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence: what was asked is somebody's."""


class Server(ThreadingHTTPServer):
    """The stand-in at one address; `asked` counts how often about which VAT id."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), Handler)
        self.asked: Counter[str] = Counter()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description="Stand-in for VIES")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    Server(options.host, options.port).serve_forever()


if __name__ == "__main__":
    main()
