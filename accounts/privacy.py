"""Each app registers here how it hands out, and how it erases, what it holds about a person."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.serializers.json import DjangoJSONEncoder

if TYPE_CHECKING:
    from accounts.models import User


class Holder(NamedTuple):
    """`about` says in a sentence what is held. `export` returns data of the person that JSON can hold; a value that is an
    iterator is written row by row, so that nobody needs all of it at once. `erase` removes what no law asks us to
    keep and returns the names of what stays, with the reason.
    """

    about: str
    export: Callable[["User"], dict[str, Any]]
    erase: Callable[["User"], list[str]]


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


def erase_person(user: "User") -> dict[str, list[str]]:
    """Erase `user` app by app, from the top of the house down; returns what had to stay and why, by app.

    Call inside a unit of work.
    """
    order = sorted(_holders, key=lambda name: name == "accounts")  # the person's own row goes last
    return {name: _holders[name].erase(user) for name in order}


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
