"""The wire format: what passes, what does not, and what both sides compare."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailnode import wire
from mailnode.wire import WireError
from tests.mailnode.server import FAKE_HASH, identity

KEY = identity("anna@acme.test")
MAILBOX = {"domain": KEY, "local_part": "anna", "quota_bytes": 0, "password_hash": FAKE_HASH}
STATE = {"subject_kind": "mailbox", "subject": KEY, "stops": ["send"], "reason": "", "until": None}
CHANGES = {"wire": 1, "base": {"revision": 0, "mark": ""}, "revision": 1, "mark": "m", "rows": []}


def read(kind: str, data: dict[str, object]) -> wire.Data | None:
    return wire.data_of(wire.Row(kind=kind, key=KEY, data=data))


def test_a_page_comes_out_as_it_went_in() -> None:
    row = wire.row("mailbox", KEY, wire.Mailbox(**MAILBOX))
    page = wire.decode(json.dumps(CHANGES | {"rows": [json.loads(wire.encode(row))]}).encode(), wire.Changes)
    assert wire.decode(wire.encode(page), wire.Changes) == page
    assert wire.data_of(page.rows[0]) == wire.Mailbox(**MAILBOX)


def test_unknown_fields_are_ignored() -> None:
    assert wire.decode(json.dumps(CHANGES | {"colour": "red"}).encode(), wire.Changes).revision == 1
    assert read("mailbox", MAILBOX | {"colour": "red"}) == wire.Mailbox(**MAILBOX)


def test_an_unknown_kind_is_an_error_that_names_the_row() -> None:
    with pytest.raises(WireError) as caught:
        read("forwarder", {})
    assert (caught.value.kind, caught.value.key) == ("forwarder", KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"local_part": "a..b"},
        {"local_part": "a\n"},
        {"local_part": ".a"},
        {"local_part": "a+b"},
        {"local_part": "A"},
        {"local_part": ""},
        {"local_part": "a" * 65},
        {"local_part": "../x"},
        {"quota_bytes": -1},
        {"quota_bytes": 2**60},
        {"quota_bytes": "1"},
        {"password_hash": "{PLAIN}secret"},
        {"password_hash": "secret"},
        {"password_hash": FAKE_HASH + "\n"},
        {"password_hash": "{ARGON2ID}" + "a" * 500},
        {"domain": "x"},
        {"domain": KEY.upper() + "\n"},
    ],
)
def test_hostile_mailboxes_do_not_pass(change: dict[str, object]) -> None:
    with pytest.raises(WireError):
        read("mailbox", MAILBOX | change)


@pytest.mark.parametrize(
    "name", ["acme", "acme.test.", "Acme.test", "a b.test", "a'.test", "-a.test", "a..test", "%d.test"]
)
def test_hostile_domain_names_do_not_pass(name: str) -> None:
    with pytest.raises(WireError):
        read("domain", {"customer": KEY, "name": name})


@pytest.mark.parametrize(
    "change",
    [
        {"stops": []},
        {"stops": ["everything"]},
        {"subject_kind": "server"},
        {"reason": "x" * 501},
        {"until": -1},
    ],
)
def test_wrong_states_do_not_pass(change: dict[str, object]) -> None:
    with pytest.raises(WireError):
        read("state", STATE | change)


def test_keys_that_are_no_pem_do_not_pass() -> None:
    with pytest.raises(WireError):
        read("dkim", {"domain": KEY, "selector": "k1", "private_key": "-----BEGIN PRIVATE KEY-----\n$(id)\n"})


def test_errors_quote_no_secret() -> None:
    with pytest.raises(WireError) as caught:
        read("mailbox", MAILBOX | {"password_hash": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_page_is_bounded() -> None:
    row = {"kind": "mailbox", "key": KEY, "data": None}
    with pytest.raises(WireError):
        wire.decode(json.dumps(CHANGES | {"rows": [row] * 1_001}).encode(), wire.Changes)
    with pytest.raises(WireError):
        wire.decode(b" " * (wire.MAX_BODY + 1), wire.Changes)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_nothing_but_a_wire_error_comes_of_nonsense(body: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(body, wire.Changes)


def test_deep_nesting_is_an_error() -> None:
    body = b'{"wire": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(WireError):
        wire.decode(body, wire.Changes)


def test_one_state_has_one_hash() -> None:
    one = wire.State(**STATE | {"stops": ["send", "sign_in", "send"]})
    other = wire.State(**STATE | {"stops": ["sign_in", "send"]})
    assert wire.row_hash("state", KEY, one) == wire.row_hash("state", KEY, other)


def test_the_hash_of_a_row_never_changes() -> None:
    """Panel and node may be one version apart: a field that is added later must not change hashes of rows without it."""
    data = wire.Domain(customer=KEY, name="acme.test")
    expected = "f2d27edd3ae9310f9b83b456cd950b9c10f2979509fad9efed3dce2ffdc377a8"
    assert wire.row_hash("domain", KEY, data) == expected
    assert wire.digest_hash([("b", "2", "y"), ("a", "1", "x")]) == wire.digest_hash(
        [("a", "1", "x"), ("b", "2", "y")]
    )
