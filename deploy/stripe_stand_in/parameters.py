"""Parameters of a request, read by the types that the library itself declares for them (`stripe.params`)."""

import re
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin
from urllib.parse import parse_qsl

from stripe import RequestOptions
from typing_extensions import get_type_hints, is_typeddict

from deploy.stripe_stand_in.errors import Refusal

_PART = re.compile(r"\[([^\[\]]*)\]")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?")
MOST_METADATA, LONGEST_NAME, LONGEST_VALUE = 50, 40, 500


def decoded(encoded: str) -> dict[str, Any]:
    """`a[b][0]=c` → `{"a": {"b": {"0": "c"}}}`: lists stay dictionaries until their type is known."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        parts = [name.split("[", 1)[0], *_PART.findall(name)]
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise Refusal(400, f"Invalid parameter: {name}", param=name)
        node[parts[-1] or str(len(node))] = value
    return tree


def checked(kind: type, tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The values of `tree` in the types of the TypedDict `kind`; Refusal as Stripe words it."""
    fields = fields_of(kind)
    if unknown := [name for name in tree if name not in fields]:
        names = ", ".join(_below(path, name) for name in unknown)
        text = f"Received unknown parameter{'s' if len(unknown) > 1 else ''}: {names}"
        raise Refusal(400, text, code="parameter_unknown", param=_below(path, unknown[0]))
    for name, (_, is_required) in fields.items():
        if is_required and name not in tree:
            missing = _below(path, name)
            raise Refusal(400, f"Missing required param: {missing}.", code="parameter_missing", param=missing)
    return {name: _read(fields[name][0], value, _below(path, name)) for name, value in tree.items()}


@cache
def fields_of(kind: type) -> dict[str, tuple[Any, bool]]:
    """Name → type and whether it is required. What the library sends as headers is no parameter."""
    fields = {}
    # RequestOptions names these, and where its children live they are unknown.
    of_headers = {"StripeContext": Any, "Mapping": Mapping}
    hints = get_type_hints(kind, localns=of_headers, include_extras=True)
    for name, hint in hints.items():
        if name in RequestOptions.__annotations__:
            continue
        around: Any = get_origin(hint)
        of = get_args(hint)[0] if around in (NotRequired, Required) else hint
        fields[name] = (of, around is not NotRequired)
    return fields


def _read(kind: Any, value: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_one_of(get_args(kind), value, path)
    if origin is Literal:
        return _read_literal(get_args(kind), value, path)
    if origin in (list, dict) or is_typeddict(kind):
        return _read_many(kind, origin, value, path)
    if isinstance(value, dict):
        raise Refusal(400, f"Invalid string: {path} is a hash", param=path)
    return _read_plain(kind, value, path)


def _read_one_of(options: tuple[Any, ...], value: Any, path: str) -> Any:
    named = [word for option in options if get_origin(option) is Literal for word in get_args(option) if word]
    if value == "" and any(get_origin(option) is Literal and "" in get_args(option) for option in options):
        return ""
    # The library adds `str` to a list of words for those that later versions may have; this version has no others.
    left = [option for option in options if not (option is str and named)]
    left = [
        option for option in left if getattr(get_origin(option) or option, "__name__", "") not in _OBJECTS
    ]
    for option in left[:-1]:
        try:
            return _read(option, value, path)
        except Refusal:
            continue
    return _read(left[-1], value, path)


_OBJECTS = ("UntypedStripeObject", "NoneType")


def _read_literal(words: tuple[Any, ...], value: Any, path: str) -> Any:
    found = [word for word in words if str(word) == value]
    if not found:
        raise Refusal(
            400, f"Invalid {path}: must be one of {', '.join(str(word) for word in words)}", param=path
        )
    return found[0]


def _read_many(kind: Any, origin: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise Refusal(400, f"Invalid {'array' if origin is list else 'object'}: {path}", param=path)
    if origin is list:
        if not all(name.isdecimal() for name in value):
            raise Refusal(400, f"Invalid array: {path}", param=path)
        of = get_args(kind)[0]
        return [_read(of, value[name], f"{path}[{name}]") for name in sorted(value, key=int)]
    if origin is dict:
        return _read_metadata(value, path)
    return checked(kind, value, path)


def _read_metadata(value: dict[str, Any], path: str) -> dict[str, str]:
    if len(value) > MOST_METADATA:
        raise Refusal(400, f"Metadata can have up to {MOST_METADATA} keys.", param=path)
    for name, text in value.items():
        if len(name) > LONGEST_NAME or not isinstance(text, str) or len(text) > LONGEST_VALUE:
            raise Refusal(400, f"Invalid metadata: {name[:LONGEST_NAME]}", param=path)
    return value


def _read_plain(kind: Any, value: str, path: str) -> Any:
    if kind is bool:
        if value not in ("true", "false"):
            raise Refusal(400, f"Invalid boolean: {value[:80]}", param=path)
        return value == "true"
    if kind is int:
        if not _WHOLE_NUMBER.fullmatch(value):
            raise Refusal(400, f"Invalid integer: {value[:80]}", code="parameter_invalid_integer", param=path)
        return int(value)
    if kind is str:
        if not value:
            text = f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter."
            raise Refusal(400, text, code="parameter_invalid_empty", param=path)
        return value
    if not _DECIMAL.fullmatch(value):
        raise Refusal(400, f"Invalid decimal: {value[:80]}", param=path)
    return value


def _below(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
