"""Writes files in MaxMind's format (https://maxmind.github.io/MaxMind-DB/) that know countries of IPv4 networks."""

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any


def write_countries(path: Path, countries: dict[str, str]) -> None:
    """A file that says of each network which country it is in."""
    nodes: list[list[tuple[str, int]]] = [[("none", 0), ("none", 0)]]
    data = b""
    for network, code in countries.items():
        _add(nodes, IPv4Network(network), len(data))
        data += _encode({"country": {"iso_code": code}})
    tree = b"".join(_record(side, len(nodes)).to_bytes(3, "big") for node in nodes for side in node)
    about = _encode({"database_type": "Test-Country", "languages": [], "description": {}})
    numbers = {
        "node_count": (len(nodes), 4), "record_size": (24, 2), "ip_version": (4, 2), "build_epoch": (1, 8),
        "binary_format_major_version": (2, 2), "binary_format_minor_version": (0, 2),
    }  # fmt: skip
    more = b"".join(_encode(key) + _number(*value) for key, value in numbers.items())
    about = bytes([about[0] + len(numbers)]) + about[1:] + more
    path.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + about)


def _add(nodes: list[list[tuple[str, int]]], network: IPv4Network, offset: int) -> None:
    at = 0
    for depth in range(network.prefixlen):
        bit = int(network.network_address) >> (31 - depth) & 1
        if depth == network.prefixlen - 1:
            nodes[at][bit] = ("data", offset)
        elif nodes[at][bit][0] == "node":
            at = nodes[at][bit][1]
        else:
            nodes.append([("none", 0), ("none", 0)])
            nodes[at][bit] = ("node", len(nodes) - 1)
            at = len(nodes) - 1


def _record(side: tuple[str, int], count: int) -> int:
    kind, number = side
    return {"node": number, "none": count, "data": count + 16 + number}[kind]


def _encode(value: Any) -> bytes:
    if isinstance(value, dict):
        return bytes([7 << 5 | len(value)]) + b"".join(_encode(k) + _encode(v) for k, v in value.items())
    if isinstance(value, list):
        return bytes([len(value), 4])
    return bytes([2 << 5 | len(value)]) + value.encode()


def _number(value: int, size: int) -> bytes:
    """An unsigned number of 16, 32 or 64 bits; the type of the last stands in a byte of its own."""
    kind = {2: bytes([5 << 5 | size]), 4: bytes([6 << 5 | size]), 8: bytes([size, 2])}[size]
    return kind + value.to_bytes(size, "big")
