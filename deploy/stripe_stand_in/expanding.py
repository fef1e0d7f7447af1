"""Replies in which a request wants objects in the place of their ids (`expand`)."""

import copy

from deploy.stripe_stand_in import sessions
from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.errors import Refusal

EXPANDABLE = {
    "customer": "customer", "payment_method": "payment_method", "default_payment_method": "payment_method",
    "payment_intent": "payment_intent", "setup_intent": "setup_intent", "latest_charge": "charge", "charge": "charge",
}  # fmt: skip


def expanded(books: Books, reply: Object, paths: list[str]) -> Object:
    """A copy of the reply in which the named ids are the objects themselves."""
    found = copy.deepcopy(_shown(reply))
    for path in paths:
        _expand(books, [found], path.split("."), path)
    return found


def _shown(reply: Object) -> Object:
    if reply["object"] == "list":
        return {**reply, "data": [_shown(each) if "object" in each else each for each in reply["data"]]}
    return sessions.shown(reply) if reply["object"] == "checkout.session" else reply


def _expand(books: Books, nodes: list[Object], names: list[str], path: str) -> None:
    name, *rest = names
    below: list[Object] = []
    for node in nodes:
        if name == "line_items" and node.get("object") == "checkout.session":
            node[name] = sessions.list_lines(books, books.find("checkout.session", node["id"]), {})
        elif name not in node or (name not in EXPANDABLE and name != "data"):
            raise Refusal(400, f"This property cannot be expanded ({path}).", param="expand")
        elif isinstance(node[name], str):
            node[name] = copy.deepcopy(_shown(books.find(EXPANDABLE[name], node[name])))
        below += node[name] if isinstance(node[name], list) else [node[name]] if node[name] else []
    if rest and below:
        _expand(books, below, rest, path)
