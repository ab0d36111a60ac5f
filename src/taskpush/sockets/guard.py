"""What a client may send, checked before anything else sees it.

Source: the Socket.IO protocol document, version 5. Clients of this protocol send CONNECT,
DISCONNECT and EVENT in text packets; ACK (the server never asks for one), CONNECT_ERROR and
binary packets are refused, and so are events with the names that the library reserves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue

from taskpush.errors import InvalidJson
from taskpush.models.values import parse_json

RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
_PACKET: Final = re.compile(
    r"(?P<type>[0-6])(?:(?P<attachments>\d+)-)?(?:(?P<namespace>/[^,]*),)?(?P<id>\d{1,15})?",
    re.ASCII,
)
# A packet without data may leave out the comma after its namespace.
_BARE: Final = re.compile(r"(?P<type>[01])(?P<namespace>/[^,\[{\"]*)")


class BadPacket(ValueError):
    """A packet that no client of the protocol sends; its connection is closed."""


@dataclass(frozen=True, slots=True)
class Connect:
    """The client asks for a namespace."""

    namespace: str
    # None when the client sent no credentials.
    auth: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The client leaves a namespace."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Event:
    """The client says something in a namespace."""

    namespace: str
    name: str
    args: tuple[JsonValue, ...]
    # None when the client asks for no acknowledgement.
    ack: int | None


ClientPacket = Connect | Disconnect | Event


def parse(packet: object) -> ClientPacket:
    """Read the payload of one engine.io message; raises `BadPacket` saying why."""
    if not isinstance(packet, str):
        raise BadPacket("binary packets are not taken")
    match = _BARE.fullmatch(packet) or _PACKET.match(packet)
    if match is None:
        raise BadPacket("not a Socket.IO packet")
    parts = match.groupdict()
    if parts.get("attachments") is not None:
        raise BadPacket("packets with attachments are not taken")
    namespace = parts["namespace"] or "/"
    data = _data(packet[match.end() :])
    match parts["type"]:
        case "0" if parts.get("id") is None:
            return Connect(namespace.partition("?")[0], _auth(data))
        case "1" if parts.get("id") is None and data is None:
            return Disconnect(namespace)
        case "2":
            return _event(namespace, parts["id"], data)
        case _:
            raise BadPacket(f"packets of type {parts['type']} are not taken")


def _data(text: str) -> JsonValue:
    if not text:
        return None
    try:
        return parse_json(text)
    except InvalidJson as error:
        raise BadPacket(f"data is not JSON: {error.detail}") from None


def _auth(data: JsonValue) -> dict[str, Any] | None:
    if data is None or isinstance(data, dict):
        return data
    raise BadPacket("auth must be an object")


def _event(namespace: str, ack: str | None, data: JsonValue) -> Event:
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise BadPacket("an event is an array that starts with its name")
    name = data[0]
    if name in RESERVED:
        raise BadPacket(f"the name {name} is reserved")
    return Event(namespace, name, tuple(data[1:]), None if ack is None else int(ack))
