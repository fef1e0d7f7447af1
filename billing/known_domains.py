"""Who holds a domain here already, asked of the apps above that know; each registers itself."""

from collections.abc import Callable

# Gets a normalised name and returns the username of its holder, empty where there is none.
Holder = Callable[[str], str]

_holders: list[Holder] = []


def register(holder: Holder) -> None:
    if holder not in _holders:
        _holders.append(holder)


def holder_of(name: str) -> str:
    """The username of the customer that holds `name` here; empty where nobody does."""
    return next((found for holder in _holders if (found := holder(name))), "")
