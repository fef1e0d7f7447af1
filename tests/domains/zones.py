"""Zones as people really publish them, each with the state that one of its records should get and a part of what the
page says. `{key}` stands for the domain's DKIM key, `{half}` for its first 200 characters.
"""

from typing import NamedTuple

OURS = "include:_spf.mxpanel.test"
SENDERS = {
    ("_spf.mxpanel.test", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
    ("_spf.other.test", "TXT"): ["v=spf1 ip4:198.51.100.0/24 ~all"],
    ("_open.other.test", "TXT"): ["v=spf1 +all"],
    ("_hidden.other.test", "TXT"): [f"v=spf1 {OURS} -all"],
    ("_loop.other.test", "TXT"): ["v=spf1 include:_pool.other.test -all"],
    ("_pool.other.test", "TXT"): ["v=spf1 include:_loop.other.test -all"],
    ("_four.other.test", "TXT"): ["v=spf1 a mx exists:e.other.test ptr -all"],
    ("_twice.other.test", "TXT"): ["v=spf1 -all", "v=spf1 a -all"],
}


class Zone(NamedTuple):
    kind: str
    rdtype: str
    values: list[str]
    state: str
    says: str = ""


def spf(state: str, *values: str, says: str = "") -> Zone:
    return Zone("spf", "TXT", list(values), state, says)


def mx(state: str, *values: str, says: str = "") -> Zone:
    return Zone("mx", "MX", list(values), state, says)


def dkim(state: str, *values: str, says: str = "") -> Zone:
    return Zone("dkim", "TXT", list(values), state, says)


def dmarc(state: str, *values: str, says: str = "") -> Zone:
    return Zone("dmarc", "TXT", list(values), state, says)


ZONES: list[Zone] = [
    # SPF: fine in whatever spelling
    spf("ok", f"v=spf1 {OURS} -all"),
    spf("ok", f"v=spf1 {OURS} ~all"),
    spf("ok", f"  V=SPF1   {OURS.upper()}   -ALL  "),
    spf("ok", f"v=spf1 {OURS}. -all"),
    spf("ok", f"v=spf1 +{OURS} -all"),
    spf("ok", f"v=spf1 a mx ip4:192.0.2.0/24 ip6:2001:db8::/32 {OURS} include:_spf.other.test ~all"),
    spf("ok", f"v=spf1 {OURS} ?all", says="End it with ~all or -all"),
    spf("ok", f"v=spf1 {OURS}", says="End it with ~all or -all"),
    spf("ok", f"v=spf1 {OURS} -all", "google-site-verification=abc", "MS=ms12345678", "v=spf10 nothing"),
    spf("ok", f"v=spf1 {OURS} exp=explain.other.test unknown=modifier -all"),
    spf("ok", "v=spf1 redirect=_hidden.other.test"),
    spf("ok", "v=spf1 include:_hidden.other.test -all"),
    spf("ok", f"v=spf1 {OURS} exists:%{{i}}.list.other.test -all"),
    spf("ok", f"v=spf1 a/24 mx/28 {OURS} -all"),
    spf("ok", f"v=spf1 {OURS} redirect=_spf.other.test"),
    # SPF: somebody must act
    spf("missing"),
    spf("missing", "google-site-verification=abc"),
    spf("missing", "spf1 include:_spf.mxpanel.test -all"),
    spf("different", "v=spf1 -all", says="Our servers are not in it"),
    spf("different", "v=spf1 include:_spf.other.test ~all", says="which keeps the rest"),
    spf("different", "v=spf1 redirect=_spf.other.test", says="Our servers are not in it"),
    spf("different", f"v=spf1 -all {OURS}", says="where nobody reads it"),
    spf("different", f"v=spf1 -{OURS} -all", says="where nobody reads it"),
    spf("different", f"v=spf1 ?{OURS} -all", says="where nobody reads it"),
    spf("different", "v=spf1 include:_spf.mxpanel.test~all", says="is no SPF term"),
    spf("different", "v=spf1 include: _spf.mxpanel.test -all", says="is no SPF term"),
    spf("different", f"v=spf1 {OURS} 192.0.2.1 -all", says="is no SPF term"),
    spf("different", f"v=spf1 {OURS} ipv4:192.0.2.1 -all", says="ipv4:192.0.2.1"),
    spf("different", f"v=spf1 {OURS} ip4:300.0.2.1 -all", says="is no SPF term"),
    spf("different", f'"v=spf1 {OURS} -all"', says="Quotation marks"),
    spf("different", f"v=spf1 {OURS} include:_nothing.other.test -all", says="_nothing.other.test has no single SPF"),
    spf("different", f"v=spf1 {OURS} include:_twice.other.test -all", says="_twice.other.test has no single SPF"),
    spf("different", f"v=spf1 {OURS} include:_loop.other.test -all", says="has no single SPF"),
    spf("different", f"v=spf1 {OURS} " + "include:_four.other.test " * 2 + "-all", says="costs 11 look-ups"),
    spf("different", f"v=spf1 {OURS} a mx a:b.test a:c.test a:d.test mx:e.test a:f.test a:g.test ptr a:h.test -all"),
    spf("ok", f"v=spf1 {OURS} a mx a:b.test a:c.test a:d.test mx:e.test a:f.test a:g.test ptr -all"),
    spf("insecure", f"v=spf1 {OURS} +all", says="lets everybody send"),
    spf("insecure", f"v=spf1 {OURS} all"),
    spf("insecure", "v=spf1 all"),
    spf("insecure", f"v=spf1 ip4:0.0.0.0/0 {OURS} -all"),
    spf("insecure", f"v=spf1 {OURS} include:_open.other.test -all"),
    spf("conflict", f"v=spf1 {OURS} -all", "v=spf1 include:_spf.other.test ~all", says="several SPF records"),
    spf("conflict", "v=spf1 a -all", "v=spf1 mx -all", "v=spf1 include:_spf.other.test -all"),
    spf("duplicate", f"v=spf1 {OURS} -all", f"v=spf1  {OURS}  -ALL"),
    # MX
    mx("ok", "10 mx1.mxpanel.test."),
    mx("ok", "0 MX1.MXPANEL.TEST."),
    mx("ok", "65535 mx1.mxpanel.test."),
    mx("duplicate", "10 mx1.mxpanel.test.", "20 mx1.mxpanel.test.", says="2 times"),
    mx("missing"),
    mx("different", "0 .", says="takes no mail at all"),
    mx("different", "1 aspmx.l.google.test.", "5 alt1.aspmx.l.google.test.", says="All mail goes to aspmx"),
    mx("different", "10 mx1.mxpanel.test.acme.test.", says="has appended acme.test"),
    mx("different", "10 mx2.mxpanel.test."),
    mx("conflict", "10 mx1.mxpanel.test.", "20 backup.test.", says="While we are out of reach"),
    mx("conflict", "10 mx1.mxpanel.test.", "1 aspmx.l.google.test.", says="Mail goes to aspmx.l.google.test first"),
    mx("conflict", "10 mx1.mxpanel.test.", "10 old.test.", says="A part of the mail goes to old.test"),
    mx("conflict", "10 mx1.mxpanel.test.", "0 .", says="contradicts ours"),
    # DKIM
    dkim("ok", "v=DKIM1; k=rsa; p={key}"),
    dkim("ok", "p={key}"),
    dkim("ok", "v=DKIM1;k=rsa;h=sha256;s=email;t=s;n=a note;p={key};"),
    dkim("ok", "v=DKIM1; k=rsa; p={half} {rest}"),
    dkim("ok", "v=DKIM1; p={key}", "something else"),
    dkim("ok", "v=DKIM1; t=y; p={key}", says="remove t=y"),
    dkim("missing"),
    dkim("missing", "not a key"),
    dkim("different", "v=DKIM1; p=", says="withdrawn"),
    dkim("different", "v=DKIM1; k=rsa; p={half}", says="cut off after 200"),
    dkim("different", "v=DKIM1; p=MIIBIjANother", says="another key"),
    dkim("ok", "k=rsa; v=DKIM1; p={key}", says="should come first"),
    dkim("different", "v=DKIM2; p={key}"),
    dkim("different", "v=DKIM1; k=ed25519; p={key}"),
    dkim("different", "v=DKIM1; h=sha1; p={key}"),
    dkim("different", "v=DKIM1; s=tlsrpt; p={key}"),
    dkim("duplicate", "v=DKIM1; k=rsa; p={key}", "v=DKIM1; p={key}"),
    dkim("conflict", "v=DKIM1; k=rsa; p={key}", "v=DKIM1; p=MIIBIjANother"),
    # DMARC
    dmarc("ok", "v=DMARC1; p=none;"),
    dmarc("ok", "v=DMARC1;p=quarantine;pct=50;sp=none;rua=mailto:d@acme.test"),
    dmarc("ok", "v=DMARC1; p=reject; adkim=s; aspf=s; fo=1; ruf=mailto:f@acme.test"),
    dmarc("ok", "v=DMARC1; P=None", "something foreign"),
    dmarc("missing"),
    dmarc("missing", "v=spf1 -all"),
    dmarc("different", "v=DMARC1; rua=mailto:d@acme.test", says="has no policy"),
    dmarc("different", "v=DMARC1; p=monitor", says="monitor is no policy"),
    dmarc("different", "v=dmarc1; p=none", says="in capitals"),
    dmarc("different", "v=DMARC1 p=none", says="with the semicolon"),
    dmarc("different", '"v=DMARC1; p=none"', says="Quotation marks"),
    dmarc("duplicate", "v=DMARC1; p=none", "v=DMARC1;p=none;"),
    dmarc("conflict", "v=DMARC1; p=none", "v=DMARC1; p=reject"),
]  # fmt: skip
