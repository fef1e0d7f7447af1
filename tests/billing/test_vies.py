"""VIES is spoken to over its wire protocol, whatever it answers."""

from typing import Any

import pytest

from billing import vies as gateway
from deploy.vies import Server
from foundation.outbound import Reply


def test_works(vies: Server) -> None:
    assert gateway.check("DE100000008") == gateway.Answer(True, "")
    assert gateway.check("DE200000005") == gateway.Answer(False, "")
    assert gateway.check("EL094259216").is_valid
    assert vies.asked == {"DE100000008": 1, "DE200000005": 1, "EL094259216": 1}


def test_the_sellers_own_id_brings_the_number_of_the_check(vies: Server) -> None:
    found = gateway.check("DE100000008", requester="ATU57194903")
    assert found.is_valid
    assert found.consultation.startswith("WAPI")
    with pytest.raises(gateway.ViesError, match="INVALID_REQUESTER_INFO"):
        gateway.check("DE100000008", requester="GB110305878")


@pytest.mark.parametrize(
    ("vat_id", "retry", "said"),
    [
        ("DE201000007", False, "INVALID_INPUT"),
        ("DE202000009", False, "INVALID_REQUESTER_INFO"),
        ("DE300000002", True, "SERVICE_UNAVAILABLE"),
        ("DE301000004", True, "MS_UNAVAILABLE"),
        ("DE600000004", True, "MS_MAX_CONCURRENT_REQ"),  # it says `valid: false` beside its error
        ("DE700000001", True, "No complete answer within"),
        ("DE701000003", True, "status 200"),
    ],
)
def test_an_outage_is_never_a_verdict(
    vies: Server, vat_id: str, retry: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "DEADLINE", 0.5)
    with pytest.raises(gateway.ViesError, match=said) as raised:
        gateway.check(vat_id)
    assert raised.value.retry is retry
    assert vat_id[2:] not in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"null", b'"valid"', b'{"valid": "true"}', b'{"valid": 1}', b"{}", b'{"valid": null}', b"\xff",
        b'{"valid": true, "userError": "<b>&x"}', b'{"valid": true, "errorWrappers": [{"error": "x\\ny"}]}',
        b'{"valid": true, "errorWrappers": [{"error": {}}], "userError": ["A"]}',
    ],
)  # fmt: skip
def test_nonsense_is_no_answer(body: bytes, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.outbound, "fetch", lambda *args, **kwargs: Reply(200, {}, body))
    with pytest.raises(gateway.ViesError) as raised:
        gateway.check("DE100000008")
    assert raised.value.retry
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "body", "retry", "said"),
    [
        (500, b'{"valid": false}', True, "status 500"),
        (403, b'{"valid": false}', True, "status 403"),
        (201, b'{"valid": true, "userError": "VALID"}', True, "status 201"),
        (400, b'{"errorWrappers": [{"error": "INVALID_INPUT"}]}', False, "INVALID_INPUT"),
        (200, b"[" * 60000, True, "nothing in it"),
        (200, b'{"valid": false, "userError": "' + b"A" * 60000 + b'"}', True, "UNKNOWN"),
    ],
)
def test_no_status_and_no_bomb_is_a_verdict(
    status: int, body: bytes, retry: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.outbound, "fetch", lambda *args, **kwargs: Reply(status, {}, body))
    with pytest.raises(gateway.ViesError, match=said) as raised:
        gateway.check("DE100000008")
    assert raised.value.retry is retry


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        (b'"WAPI\\u0000-1\\ud800\\n<b>"', "WAPI-1b"),
        (b'"' + b"A" * 50 + b'"', "A" * 40),
        (b"17", ""),
        (b"null", ""),
    ],
)
def test_the_number_of_the_check_is_plain_text(
    number: bytes, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"valid": true, "requestIdentifier": ' + number + b"}"
    monkeypatch.setattr(gateway.outbound, "fetch", lambda *args, **kwargs: Reply(200, {}, body))
    assert gateway.check("DE100000008") == gateway.Answer(True, kept)


def test_it_may_be_away(settings: Any) -> None:
    settings.VIES_URL = "http://127.0.0.1:9"
    with pytest.raises(gateway.ViesError, match="could not be asked") as raised:
        gateway.check("DE100000008")
    assert raised.value.retry
