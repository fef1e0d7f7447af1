"""Each app registers here how it hands out, and how it erases, what it holds about a person."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from accounts.models import User


class Holder(NamedTuple):
    """`export` returns JSON-ready data of the person; `erase` removes what no law asks us to keep and returns
    the names of what stays, with the reason.
    """

    export: Callable[["User"], dict[str, Any]]
    erase: Callable[["User"], list[str]]


_holders: dict[str, Holder] = {}


def register(
    name: str, *, export: Callable[["User"], dict[str, Any]], erase: Callable[["User"], list[str]]
) -> None:
    """Register an app's holder under its label; a second registration replaces the first."""
    _holders[name] = Holder(export, erase)


def export_person(user: "User") -> dict[str, dict[str, Any]]:
    """Everything held about `user`, by app."""
    return {name: holder.export(user) for name, holder in sorted(_holders.items())}


def erase_person(user: "User") -> dict[str, list[str]]:
    """Erase `user` app by app, from the top of the house down; returns what had to stay and why, by app.

    Call inside a unit of work.
    """
    order = sorted(_holders, key=lambda name: name == "accounts")  # the person's own row goes last
    return {name: _holders[name].erase(user) for name in order}
