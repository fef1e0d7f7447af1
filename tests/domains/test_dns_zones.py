"""What each kind of real-life mess gets, asked at a real name server."""

from typing import NamedTuple

import pytest

from domains.dns import records, spf
from tests.domains.zones import SENDERS, ZONES, Zone

BELOW = {"mx": "", "spf": "", "dkim": "k1._domainkey.", "dmarc": "_dmarc."}
NUMBERED = list(enumerate(ZONES))
TO_MEND = [
    (number, zone)
    for number, zone in NUMBERED
    if zone.kind == "spf" and zone.state in ("different", "conflict", "duplicate", "insecure")
]


class Key(NamedTuple):
    selector: str
    public_key: str


@pytest.fixture(scope="module")
def key(dkim_pair) -> Key:
    return Key("k1", dkim_pair.public_base64)


@pytest.fixture(scope="module")
def published(knot, key):
    """All zones at once, number n as zone<n>.test."""
    found = dict(SENDERS)
    for number, zone in NUMBERED:
        name = f"zone{number}.test"
        found[f"{BELOW[zone.kind]}{name}", zone.rdtype] = [_filled(value, key, name) for value in zone.values]
    knot.publish_all(found)
    yield knot
    knot.clear()


@pytest.fixture
def asked(published, settings):
    settings.DNS_NAMESERVERS = published.nameservers
    return published


def _filled(value: str, key: Key, name: str) -> str:
    half, rest = key.public_key[:200], key.public_key[200:]
    for mark, text in {"{key}": key.public_key, "{half}": half, "{rest}": rest, "acme.test": name}.items():
        value = value.replace(mark, text)
    return value


def check(name: str, key: Key, kind: str) -> dict:
    expected = records.expected(name, "mx1.mxpanel.test", key)
    return records.check(name, [record for record in expected if record.kind == kind])[kind]


def _id(value: object) -> str | None:
    return f"{value.kind}-{value.state}-{'+'.join(value.values)[:60]}" if isinstance(value, Zone) else None


@pytest.mark.parametrize(("number", "zone"), NUMBERED, ids=_id)
def test_state(asked, key, number, zone):
    found = check(f"zone{number}.test", key, zone.kind)
    assert found["state"] == zone.state, found["note"]
    assert zone.says.replace("acme.test", f"zone{number}.test") in found["note"]
    if zone.state != "ok":
        assert found["note"].endswith("."), "it says what to do"


def test_there_are_enough_of_them():
    assert len(ZONES) >= 60


@pytest.mark.parametrize(("number", "zone"), TO_MEND, ids=_id)
def test_the_spf_record_offered_is_right(asked, number, zone):
    """What is offered to paste is itself fine, or asks for what only the owner can choose."""

    def ask(name: str) -> list[str]:
        return SENDERS.get((name, "TXT"), [])

    offered = spf.compare("_spf.mxpanel.test", "acme.test", zone.values, ask).fix
    if offered:
        again = spf.compare("_spf.mxpanel.test", "acme.test", [offered], ask)
        left = ("has no single SPF", "(+all)")
        assert again.state == "ok" or any(text in again.note for text in left), (offered, again)


def test_merged_spf_keeps_what_both_allow():
    two = ["v=spf1 a include:_spf.other.test ~all", "v=spf1 A ip4:192.0.2.7 mx -all"]
    assert spf.merged("_spf.mxpanel.test", two) == (
        "v=spf1 include:_spf.mxpanel.test a include:_spf.other.test ip4:192.0.2.7 mx ~all"
    )


def test_an_include_that_cannot_be_asked_changes_nothing():
    def ask(name: str) -> list[str]:
        raise spf.NotAsked

    record = "v=spf1 include:_spf.mxpanel.test include:slow.test -all"
    verdict = spf.compare("_spf.mxpanel.test", "acme.test", [record], ask)
    assert verdict.state == "ok"
    assert "could not be asked" in verdict.note


def test_a_chain_without_end_is_cut_off():
    asked = []

    def ask(name: str) -> list[str]:
        asked.append(name)
        return [f"v=spf1 include:a{len(asked)}.test include:b{len(asked)}.test -all"]

    record = "v=spf1 include:_spf.mxpanel.test include:x.test -all"
    verdict = spf.compare("_spf.mxpanel.test", "acme.test", [record], ask)
    assert verdict.state == "different"
    assert len(asked) <= spf.ASKED_AT_MOST


@pytest.mark.parametrize("kind", ["dkim", "dmarc"])
def test_a_host_that_appends_the_zone_is_told(dns, key, kind):
    record = next(record for record in records.expected("acme.test", None, key) if record.kind == kind)
    dns.publish(f"{record.name}.acme.test", "TXT", record.value)
    found = check("acme.test", key, kind)
    assert found["state"] == "missing"
    assert f"enter only {record.name.removesuffix('.acme.test')} as its name" in found["note"]


def test_what_a_stranger_published_is_shown_without_control_characters(dns, key):
    dns.publish("_dmarc.acme.test", "TXT", "v=DMARC1; p=n\\007one\\226\\128\\174")
    found = check("acme.test", key, "dmarc")
    assert found["state"] == "different"
    assert all(text.isprintable() for text in [*found["found"], found["note"]])


def test_a_sub_domain_has_the_dmarc_of_its_organisation(asked, key):
    """Unless it has one of its own; one that is wrong is no help (RFC 7489, 6.6.3)."""
    asked.publish("_dmarc.above.test", "TXT", "v=DMARC1; p=reject")
    found = check("deep.below.above.test", key, "dmarc")
    assert (found["state"], found["found"]) == ("ok", ["v=DMARC1; p=reject"])
    assert "that of above.test holds for it" in found["note"]
    asked.publish("_dmarc.wrong.test", "TXT", "v=DMARC1")
    assert check("below.wrong.test", key, "dmarc")["state"] == "missing"
