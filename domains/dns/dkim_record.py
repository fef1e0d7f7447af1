"""Whether a published DKIM key is ours (RFC 6376, 3.6.1), by the key alone: spelling and order do not matter."""

from collections.abc import Sequence

from domains.dns.verdict import PUBLISH, State, Verdict, tags, typing_slip


def compare(public_key: str, found: Sequence[str]) -> Verdict:
    """`public_key`: the p= of ours. Texts without a p= are other people's business."""
    keys = [text for text in found if "p" in tags(text)]
    if not keys:
        return Verdict(State.MISSING, keys, PUBLISH)
    right = [text for text in keys if _key(text) == public_key]
    if not right:
        return Verdict(State.DIFFERENT, keys, _other(public_key, keys[0]))
    if len(right) < len(keys):
        note = "Another key stands beside ours, and receivers may take either: remove the other."
        return Verdict(State.CONFLICT, keys, note)
    if slip := next(filter(None, map(_slip, right)), ""):
        return Verdict(State.DIFFERENT, keys, slip)
    if len(right) > 1:
        return Verdict(State.DUPLICATE, keys, "The key stands there more than once: leave one.")
    return Verdict(State.OK, keys, _hint(keys[0]))


def _key(text: str) -> str:
    return tags(text)["p"].strip('"').rstrip("\\")


def _slip(text: str) -> str:
    """Why receivers do not use a record that holds our key; "" when they do."""
    found = tags(text)
    if slip := typing_slip(text):
        return slip
    if found.get("v", "DKIM1") != "DKIM1":
        return "It must begin with v=DKIM1: replace it by ours."
    if found.get("k", "rsa").lower() != "rsa":
        return "It says that the key is not an RSA key (k=): replace it by ours."
    if "sha256" not in found.get("h", "sha256").lower().split(":"):
        return "It forbids SHA-256, with which we sign (h=): replace it by ours."
    if not {"*", "email"} & set(found.get("s", "*").lower().split(":")):
        return "It says that the key is not for mail (s=): replace it by ours."
    return ""


def _hint(text: str) -> str:
    if "v" in tags(text) and next(iter(tags(text))) != "v":
        return "It works with most receivers. v=DKIM1 should come first: replace it by ours."
    if "y" in tags(text).get("t", "").lower().split(":"):
        return "It says that you are only testing (t=y), and receivers may ignore it: remove t=y."
    return ""


def _other(public_key: str, text: str) -> str:
    key = _key(text)
    if not key:
        return "It says that the key is withdrawn (empty p=): replace it by ours."
    if public_key.startswith(key):
        return (
            f"The key was cut off after {len(key)} of {len(public_key)} characters: enter the value in pieces of "
            "at most 255 characters, as the page of the key shows it."
        )
    return typing_slip(text) or "It holds another key: replace it by ours."
