"""Whether mail for a domain comes here: its MX records (RFC 5321, 5.1; RFC 7505)."""

from collections.abc import Sequence

from domains.dns.verdict import PUBLISH, State, Verdict

NULL = ""  # the host of the record that says "takes no mail"


def compare(server: str, zone: str, found: Sequence[str]) -> Verdict:
    """`found`: "<preference> <host>" each. `server`: the host that should be the only one."""
    ours = server.rstrip(".").lower()
    hosts = sorted(_parse(text) for text in found)
    shown = [f"{preference} {host}." for preference, host in hosts]
    names = [host for _, host in hosts]
    if not hosts:
        return Verdict(State.MISSING, shown, PUBLISH)
    if set(names) == {ours}:
        twice = len(names) > 1
        note = (
            f"{ours} stands there {len(names)} times: one is enough, so remove the others." if twice else ""
        )
        return Verdict(State.DUPLICATE if twice else State.OK, shown, note)
    if ours not in names:
        return Verdict(State.DIFFERENT, shown, _elsewhere(ours, zone, names))
    return Verdict(State.CONFLICT, shown, _mixed(ours, hosts))


def _parse(text: str) -> tuple[int, str]:
    preference, _, host = text.strip().partition(" ")
    return int(preference), host.strip().rstrip(".").lower()


def _elsewhere(ours: str, zone: str, names: list[str]) -> str:
    if names == [NULL]:
        return f"It says that {zone} takes no mail at all: put {ours} in its place."
    if f"{ours}.{zone}" in names:
        return f"Your DNS host has appended {zone} to the name: enter it as {ours}. with a dot at its end."
    others = _listed(names)
    return f"All mail goes to {others}: put {ours} in their place when you want it here."


def _mixed(ours: str, hosts: list[tuple[int, str]]) -> str:
    others = [(preference, host) for preference, host in hosts if host != ours]
    first = min(preference for preference, host in hosts if host == ours)
    if any(host == NULL for _, host in others):
        return "The record with only a dot says that no mail is taken, and contradicts ours: remove it."
    before = [host for preference, host in others if preference < first]
    if before:
        return f"Mail goes to {_listed(before)} first, whose number is lower: remove these records."
    beside = [host for preference, host in others if preference == first]
    if beside:
        return (
            f"A part of the mail goes to {_listed(beside)}, whose number is the same: remove these records."
        )
    return (
        f"While we are out of reach mail goes to {_listed([host for _, host in others])} and may stay there: "
        "remove these records."
    )


def _listed(names: list[str]) -> str:
    distinct = list(dict.fromkeys(name for name in names if name)) or ["nowhere"]
    return ", ".join(distinct[:3]) + (f" and {len(distinct) - 3} more" if len(distinct) > 3 else "")
