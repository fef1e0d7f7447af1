"""Each app registers here how it hands out, and how it erases, what it holds about a person."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder

if TYPE_CHECKING:
    from accounts.models import User


class Hindrance(NamedTuple):
    """Why a person cannot be erased yet, and the page on which they mend that."""

    text: str
    url: str
    label: str


class Holder(NamedTuple):
    """What an app does about a person's data.

    about    what it holds, in a sentence
    export   data of the person that JSON can hold; a value that is an iterator is written row by row, so that nobody
             needs all of it at once
    erases   what erasing removes, in a sentence; empty: nothing
    keeps    what stays of this person all the same, each with the reason and for how long
    erase    removes everything else
    hinders  why that cannot be yet
    hold     locks what `erase` needs and what has to be locked before the person's customers
    """

    about: str
    export: Callable[["User"], dict[str, Any]]
    erases: str
    keeps: Callable[["User"], list[str]]
    erase: Callable[["User"], None]
    hinders: Callable[["User"], list[Hindrance]] = lambda user: []
    hold: Callable[["User"], None] = lambda user: None


_holders: dict[str, Holder] = {}


def register(name: str, holder: Holder) -> None:
    """Register an app's holder under its label; a second registration replaces the first."""
    _holders[name] = holder


def held() -> dict[str, str]:
    """What each app holds about people, in a sentence."""
    return {name: holder.about for name, holder in sorted(_holders.items())}


def export_person(user: "User") -> Iterator[tuple[str, Iterator[str]]]:
    """Everything held about `user`, by app: its name, and its JSON in pieces. Call inside a transaction."""
    for name, holder in sorted(_holders.items()):
        yield name, _as_json(holder.export(user))


def hold_person(user: "User") -> None:
    """Lock what erasing `user` needs that comes before their customers. Call inside a unit of work."""
    for _, holder in sorted(_holders.items()):
        holder.hold(user)


def hindrances(user: "User") -> list[Hindrance]:
    """Why `user` cannot be erased yet; empty when nothing is in the way."""
    return [each for _, holder in sorted(_holders.items()) for each in holder.hinders(user)]


def erased() -> list[str]:
    """What erasing somebody removes, in sentences."""
    return [holder.erases for _, holder in sorted(_holders.items()) if holder.erases]


def kept(user: "User") -> list[str]:
    """What stays after `user` is erased, each with the reason and for how long."""
    return [line for _, holder in sorted(_holders.items()) for line in holder.keeps(user)]


def erase_person(user: "User") -> None:
    """Erase `user` app by app, from the top of the house down. Call inside a unit of work."""
    for name in sorted(_holders, key=lambda name: name == "accounts"):  # the person's own row goes last
        _holders[name].erase(user)


def _as_json(values: dict[str, Any]) -> Iterator[str]:
    yield "{"
    for place, (name, value) in enumerate(values.items()):
        yield f"{',' if place else ''}\n  {_dumps(name)}: "
        if isinstance(value, Iterator):
            yield "["
            for count, row in enumerate(value):
                yield f"{',' if count else ''}\n    {_dumps(row)}"
            yield "\n  ]"
        else:
            yield _dumps(value)
    yield "\n}\n"


def _dumps(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
