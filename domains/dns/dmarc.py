"""Whether a domain says what receivers do with mail that fails its tests (RFC 7489, 6.3 and 6.6.3)."""

import re
from collections.abc import Sequence

from domains.dns.verdict import PUBLISH, State, Verdict, tags, typing_slip

POLICIES = ("none", "quarantine", "reject")
_LOOKS_SO = re.compile(r'[\s"]*v\s*=\s*dmarc', re.IGNORECASE)


def compare(found: Sequence[str]) -> Verdict:
    """Any policy does: ours is the weakest that there is. Texts that do not begin like DMARC are ignored."""
    records = [text for text in found if _LOOKS_SO.match(text)]
    if not records:
        return Verdict(State.MISSING, records, PUBLISH)
    if len(records) > 1:
        same = len({tuple(sorted(tags(text).items())) for text in records}) == 1
        state = State.DUPLICATE if same else State.CONFLICT
        return Verdict(state, records, "There are several DMARC records, so receivers use none: leave one.")
    if wrong := _wrong(records[0]):
        return Verdict(State.DIFFERENT, records, wrong)
    return Verdict(State.OK, records)


def _wrong(text: str) -> str:
    found = tags(text)
    if slip := typing_slip(text):
        return slip
    if found.get("v") != "DMARC1" or next(iter(found)) != "v":
        return "It must begin with v=DMARC1; in capitals and with the semicolon: correct that."
    if "p" not in found:
        return "It has no policy: add p=none, p=quarantine or p=reject after v=DMARC1."
    if found["p"].lower() not in POLICIES:
        return f"{found['p'][:40]} is no policy: write p=none, p=quarantine or p=reject."
    return ""
