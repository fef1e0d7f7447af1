"""checkdmarc as an independent judge of the records whose state it can tell, asked at the same name server."""

import dns.resolver
import pytest
from checkdmarc.dmarc import DMARCError, parse_dmarc_record
from checkdmarc.spf import SPFError, parse_spf_record
from dns.nameserver import Do53Nameserver

from tests.domains.zones import SENDERS, ZONES

SINGLE = [zone for zone in ZONES if len(zone.values) == 1]


@pytest.mark.parametrize(
    "record", [zone.values[0].strip() for zone in SINGLE if (zone.kind, zone.state) == ("dmarc", "ok")]
)
def test_dmarc_that_we_take_is_valid(record):
    assert parse_dmarc_record(record, "acme.test", ignore_unrelated_records=True)


@pytest.mark.parametrize("record", ["v=DMARC1; p=monitor", "v=DMARC1 p=none"])
def test_dmarc_that_we_refuse_is_not(record):
    with pytest.raises(DMARCError):
        parse_dmarc_record(record, "acme.test")


def judged(knot, record: str) -> None:
    knot.publish_all(SENDERS)
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [Do53Nameserver("127.0.0.1", knot.port)]
    try:
        parse_spf_record(record, "acme.test", resolver=resolver)
    finally:
        knot.clear()


def test_spf_with_too_many_look_ups(knot):
    for zone in SINGLE:
        if "look-ups" in zone.says:
            with pytest.raises(SPFError):
                judged(knot, zone.values[0])


@pytest.mark.parametrize(
    "record", [zone.values[0] for zone in SINGLE if zone.kind == "spf" and "is no SPF term" in zone.says]
)
def test_spf_that_cannot_be_read(knot, record):
    with pytest.raises(SPFError):
        judged(knot, record)
