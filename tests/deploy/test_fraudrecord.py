"""The FraudRecord stand-in speaks version 1 of the protocol, byte for byte."""

import http.client
import re
import threading
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from deploy.fraudrecord import Server, fraudrecord_hash

KEY = "0123456789abcdef"
CLEAN = re.compile(r"<report>0-0-0\.0-[0-9a-f]{16}</report>")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server("127.0.0.1", 0, KEY) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server: Server, method: str = "POST", **form: str) -> tuple[int, str]:
    """Status and text of one request; fields without a value of their own get the right key."""
    fields = {f"_{name}" if name in {"action", "api", "type", "text", "value", "code"} else name: value
              for name, value in {"api": KEY, **form}.items()}  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    query = urlencode(fields)
    if method == "GET":
        connection.request("GET", f"/api/?{query}")
    else:
        connection.request("POST", "/api/", query, {"Content-Type": "application/x-www-form-urlencoded"})
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


@pytest.mark.parametrize(
    ("value", "raw", "expected"),
    [
        ("John Smith", False, "ac2c739924bf5d4d9bf5875dc70274fef0fe54cf"),
        (" john.smith@example.com\n", False, "34efd0a968b48cbf9a43ac3e73053e4f343234e4"),
        ("11.22.33.44", False, "f25c0306279af0bd9faf1caf0549daedb3472b7f"),
        ("+1 555 123 45 67", False, "d542e4bad3dbb13bcf0e31f484394997cd969b18"),
        ("example.com", False, "ff07748b4d4b8f08f21499e078ef792fded46641"),
        ("iLoveLinux!", True, "93491c2dff7b35528c319f304b0222fc55ebcfcb"),
    ],
)
def test_hashes_are_the_official_ones(value: str, raw: bool, expected: str) -> None:
    assert fraudrecord_hash(value, raw=raw) == expected


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_person_is_clean(server: Server, method: str) -> None:
    status, text = ask(server, method, action="query", name=fraudrecord_hash("Ada Clean"))
    assert status == 200
    assert CLEAN.fullmatch(text)


@pytest.mark.parametrize(("name", "numbers"), [("Fraud Reported", "3-1-2.5"), ("Fraud Held", "14-3-6.7")])
def test_named_verdicts(server: Server, name: str, numbers: str) -> None:
    _, text = ask(server, action="query", name=fraudrecord_hash(name))
    assert re.fullmatch(rf"<report>{re.escape(numbers)}-[0-9a-f]{{16}}</report>", text)


def test_report_is_found_and_deleted(server: Server) -> None:
    email = fraudrecord_hash("crook@example.test")
    _, text = ask(server, action="report", type="chargeback", text="Never paid", value="7", email=email)
    assert re.fullmatch(r"OK:[0-9a-f]{16}", text)
    assert "<report>7-1-2.5-" in ask(server, action="query", email=email, ip="")[1]
    assert ask(server, action="delete", code=text.removeprefix("OK:")) == (200, text)
    assert CLEAN.fullmatch(ask(server, action="query", email=email)[1])


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ({"action": "query", "api": "f" * 16}, "ERR:API"),
        ({"action": "destroy"}, "ERR:ACTION"),
        ({"action": "query"}, "NODATA"),
        ({"action": "query", "email": "not a hash"}, "ERR:DATA"),
        ({"action": "report", "type": "spam", "text": "x", "value": "11", "ip": "0" * 40}, "ERR:DATA"),
        ({"action": "delete", "code": "0" * 16}, "ERR:DATA"),
    ],
)
def test_errors_are_plain_text(server: Server, form: dict[str, str], answer: str) -> None:
    assert ask(server, **form) == (200, answer)


@pytest.mark.parametrize(
    ("name", "answer"),
    [("Fraud Badkey", "ERR:API"), ("Fraud Unapproved", "ERR:NOT-APPROVED"), ("Fraud Nodata", "NODATA")],
)
def test_named_errors(server: Server, name: str, answer: str) -> None:
    assert ask(server, action="query", name=fraudrecord_hash(name)) == (200, answer)


def test_outages(server: Server) -> None:
    assert ask(server, action="query", name=fraudrecord_hash("Fraud Outage"))[0] == 503
    assert "<title>" in ask(server, action="query", name=fraudrecord_hash("Fraud Html"))[1]
    assert ask(server, action="query", name=fraudrecord_hash("Fraud Redirect"))[0] == 302
    assert len(ask(server, action="query", name=fraudrecord_hash("Fraud Long"))[1]) > 1_000_000
    with pytest.raises(http.client.RemoteDisconnected):
        ask(server, action="query", name=fraudrecord_hash("Fraud Hangup"))


def test_outage_passes(server: Server) -> None:
    answers = [ask(server, action="query", name=fraudrecord_hash("Fraud Recovering")) for _ in range(3)]
    assert [status for status, _ in answers] == [503, 503, 200]
    assert CLEAN.fullmatch(answers[2][1])
