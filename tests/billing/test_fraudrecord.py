"""FraudRecord's protocol, byte for byte: against the stand-in, and against a server that means harm."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.test import Client

from accounts.models import User
from billing import fraudrecord as service
from billing import reporting
from billing.models import FraudReport, Order
from deploy.fraudrecord import Server
from tests.billing.conftest import check

VECTORS = [
    ("name", "John Smith", "ac2c739924bf5d4d9bf5875dc70274fef0fe54cf"),
    ("email", "john.smith@example.com", "34efd0a968b48cbf9a43ac3e73053e4f343234e4"),
    ("ip", "11.22.33.44", "f25c0306279af0bd9faf1caf0549daedb3472b7f"),
    ("phone", "+1 555 123 45 67", "d542e4bad3dbb13bcf0e31f484394997cd969b18"),
    ("domain", "example.com", "ff07748b4d4b8f08f21499e078ef792fded46641"),
    ("email", "john@compuserve.net", "ddb48c18cf40686416e811256b47c6f96485d70a"),
]
DETAILS = {"name": "Anna Example", "email": "anna@example.test", "domain": "www.example.test", "company": ""}


@pytest.mark.parametrize(("field", "value", "digest"), VECTORS)
def test_official_vectors(field: str, value: str, digest: str) -> None:
    assert service.fraud_hash(service.normalise(field, value)) == digest


def test_normalising_is_php_s() -> None:
    assert service.normalise("name", " \t\0\x0bJohn  SMITH\r\n") == "johnsmith"
    assert service.normalise("name", "ÄÖ Ü\u00a0x") == "ÄÖÜ\u00a0x"  # only ASCII letters and U+0020
    assert service.normalise("domain", " WWW.Example.com") == "example.com"
    assert service.normalise("name", "www.example") == "www.example"
    assert service.fraud_hash("iLoveLinux!") == "93491c2dff7b35528c319f304b0222fc55ebcfcb"


def test_clean(fraudrecord: Server) -> None:
    verdict = service.query(DETAILS)
    assert (verdict.value, verdict.count, verdict.reliability) == (0, 0, Decimal("0.0"))


def test_reported_and_held(fraudrecord: Server) -> None:
    assert service.query({"name": "Fraud Reported"}).count == 1
    held = service.query({"name": "Fraud Held"})
    assert (held.value, held.count, held.reliability) == (14, 3, Decimal("6.7"))


@pytest.mark.parametrize("name", ["Outage", "Html", "Redirect", "Slow", "Long", "Hangup", "Malformed"])
def test_outages_are_no_verdict_and_end_in_time(fraudrecord: Server, name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(service.FraudRecordError) as caught:
        service.query({"name": f"Fraud {name}"})
    assert caught.value.retry
    assert time.monotonic() - begun < 5  # where it never ends


@pytest.mark.parametrize("name", ["Badkey", "Unapproved", "Nodata"])
def test_what_is_our_fault_is_not_tried_again(fraudrecord: Server, name: str) -> None:
    with pytest.raises(service.FraudRecordError) as caught:
        service.query({"name": f"Fraud {name}"})
    assert not caught.value.retry


def test_a_wrong_key_is_our_fault(fraudrecord: Server, settings: Any) -> None:
    settings.FRAUDRECORD_API_KEY = "wrong"
    with pytest.raises(service.FraudRecordError, match="ERR:API") as caught:
        service.query(DETAILS)
    assert not caught.value.retry


def test_nobody_there(settings: Any) -> None:
    settings.FRAUDRECORD_URL, settings.FRAUDRECORD_API_KEY = "http://127.0.0.1:1/api/", "key"
    with pytest.raises(service.FraudRecordError) as caught:
        service.query(DETAILS)
    assert caught.value.retry
    assert not caught.value.reached


def test_a_report_is_found_by_the_next_query(fraudrecord: Server) -> None:
    person = {"name": "Reported Later", "email": "later@example.test"}
    code = service.report(person, kind="spam", severity=4, text="Sent spam & more <b>")
    assert fraudrecord.ledger.reports[code].text == "Sent spam & more <b>"
    verdict = service.query({"email": "later@example.test"})
    assert (verdict.value, verdict.count) == (4, 1)


class Hostile:
    """Answers every request with the bytes it is given, and remembers what was sent."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/api/"
        self.answer = b""
        self.received: list[bytes] = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.received.append(self.read(connection))
                connection.sendall(self.answer)

    def read(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def says(self, body: bytes, status: str = "200 OK") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.answer = head.encode() + body


@pytest.fixture
def hostile(settings: Any) -> Iterator[Hostile]:
    server = Hostile()
    settings.FRAUDRECORD_URL, settings.FRAUDRECORD_API_KEY, settings.FRAUDRECORD_DEADLINE = (
        server.url,
        "key",
        1.0,
    )
    yield server
    server.listener.close()


CODE = "cf2b27b5556c2ddc"
NO_VERDICTS = [
    "",
    f"<report>14-3-6.7-{CODE}",
    f"<report>-1-3-6.7-{CODE}</report>",
    f"<report>14-3-6.75-{CODE}</report>",
    f"<report>14-3-11.0-{CODE}</report>",
    f"<report>14-3-0.5-{CODE}</report>",
    f"<report>14-3-6,7-{CODE}</report>",
    f"<report>14-3-6.7-{CODE.upper()}</report>",
    f"<report>14-3-6.7-{CODE}</report><report>0-0-0.0-{CODE}</report>",
    f"<report>14-0-0.0-{CODE}</report>",
    f"<report>9999999999999-3-6.7-{CODE}</report>",
    "<report>14-3-6.7-<script>alert(1)</script></report>",
    f"<html><report>14-3-6.7-{CODE}</report></html>",
    f"<report>\u0661-1-6.7-{CODE}</report>",
    "ERR:SOMETHING",
]


@pytest.mark.parametrize("answer", NO_VERDICTS, ids=range(len(NO_VERDICTS)))
def test_anything_but_the_exact_shape_is_an_outage(hostile: Hostile, answer: str) -> None:
    hostile.says(answer.encode())
    with pytest.raises(service.FraudRecordError) as caught:
        service.query(DETAILS)
    assert caught.value.retry
    assert answer == "" or answer not in str(caught.value)


@pytest.mark.parametrize("status", ["301 Moved", "403 Forbidden", "404 Not Found", "500 Oops"])
def test_a_verdict_with_another_status_is_none(hostile: Hostile, status: str) -> None:
    hostile.says(f"<report>0-0-0.0-{CODE}</report>".encode(), status)
    with pytest.raises(service.FraudRecordError) as caught:
        service.query(DETAILS)
    assert caught.value.retry


def test_white_space_around_the_answer_is_no_harm(hostile: Hostile) -> None:
    hostile.says(f"\r\n<report>14-3-10.0-{CODE}</report>\n".encode())
    assert service.query(DETAILS).reliability == Decimal("10.0")


def test_what_is_sent(hostile: Hostile) -> None:
    """A POST of hashes alone: nothing in the address, nothing in clear, no empty value, no cookie."""
    hostile.says(f"<report>0-0-0.0-{CODE}</report>".encode())
    service.query(DETAILS | {"accountpass": "secret"})
    head, _, body = hostile.received[0].decode().partition("\r\n\r\n")
    form = parse_qs(body, keep_blank_values=True)
    assert head.startswith("POST /api/ HTTP/1.1\r\n")
    assert set(form) == {"_action", "_api", "name", "email", "domain"}
    assert form["domain"] == [service.fraud_hash("example.test")]
    assert "nna" not in body
    assert "cookie" not in head.lower()


def test_an_answer_without_end_is_cut(hostile: Hostile) -> None:
    hostile.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"<report>" * 100_000
    with pytest.raises(service.FraudRecordError) as caught:
        service.query(DETAILS)
    assert caught.value.retry


def test_a_report_with_a_lost_answer_may_have_arrived(hostile: Hostile) -> None:
    hostile.answer = b""
    with pytest.raises(service.FraudRecordError) as caught:
        service.report(DETAILS, kind="spam", severity=1, text="x")
    assert caught.value.reached


def test_link_that_integrations_owe() -> None:
    assert service.report_url(CODE) == f"https://www.fraudrecord.com/api/?showreport={CODE}"


MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.mark.parametrize(
    "answer",
    [
        MARKUP,
        f"<report>14-3-6.7-{MARKUP}</report>",
        f"ERR:{MARKUP}",
        f"OK:{MARKUP}",
        f"<report>{MARKUP}-3-6.7-{CODE}</report>",
    ],
)
def test_markup_in_an_answer_reaches_no_page(
    hostile: Hostile, ordered: Callable[..., Order], alice: User, sam: User, as_: Callable[[User], Client],
    caplog: pytest.LogCaptureFixture, answer: str,
) -> None:  # fmt: skip
    hostile.says(answer.encode())
    order = check(ordered())
    report = reporting.file_report(order, kind="spam", severity=1, text="Sent spam.", by=sam)
    reporting.send_report(report.pk)
    report.refresh_from_db()
    # As if it had been filed before the service was taken over.
    FraudReport.objects.update(tried_at=None, code=CODE)
    reporting.send_withdrawal(reporting.withdraw_report(report, reason="Wrong", by=sam).pk)
    staff, member = as_(sam), as_(alice)
    pages = [
        staff.get(f"/admin/review/{order.number}/"),
        staff.get("/admin/review/"),
        staff.get("/admin/billing/fraudreport/"),
        member.get(f"/order/{order.number}/"),
    ]
    assert order.status == "review"
    for page in pages:
        html = page.content.decode()
        assert page.status_code == 200
        assert "alert(" not in html
        assert "onerror" not in html
    assert "alert(" not in caplog.text


def test_a_deletion_has_to_be_confirmed(hostile: Hostile) -> None:
    for answer in (f"OK:{CODE}", "OK"):
        hostile.says(answer.encode())
        service.delete(CODE)
    head, _, body = hostile.received[0].decode().partition("\r\n\r\n")
    assert head.startswith("POST /api/ HTTP/1.1\r\n")
    assert parse_qs(body) == {"_action": ["delete"], "_code": [CODE], "_api": ["key"]}
    for answer in ("", "OKAY", "ok", "<html>OK</html>", f"OK:{CODE} and more", "NO"):
        hostile.says(answer.encode())
        with pytest.raises(service.FraudRecordError) as caught:
            service.delete(CODE)
        assert caught.value.retry
