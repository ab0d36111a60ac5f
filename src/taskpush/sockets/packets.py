"""Packets of Engine.IO, and the payloads of long polling that carry several.

Source: the Engine.IO protocol document, version 4, section "Packet encoding". A packet is kept as
it is over WebSocket: text that starts with its type, or the bare bytes of a binary message.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

SEPARATOR: Final = "\x1e"
_BINARY: Final = "b"

Packet = str | bytes


class Type(StrEnum):
    """What a packet is, in its first character."""

    OPEN = "0"
    CLOSE = "1"
    PING = "2"
    PONG = "3"
    MESSAGE = "4"
    UPGRADE = "5"
    NOOP = "6"


CLOSE: Final = Type.CLOSE.value
PING: Final = Type.PING.value
NOOP: Final = Type.NOOP.value
PROBE: Final = Type.PING + "probe"
PROBE_ANSWER: Final = Type.PONG + "probe"
UPGRADE: Final = Type.UPGRADE.value


def message(data: str | bytes) -> Packet:
    """The packet of a message."""
    return Type.MESSAGE + data if isinstance(data, str) else data


def read(packet: Packet) -> tuple[Type, str | bytes]:
    """Type and data of a packet; raises `ValueError` when it is none."""
    if isinstance(packet, bytes):
        return Type.MESSAGE, packet
    return Type(packet[:1]), packet[1:]


def payload(packets: Iterable[Packet]) -> str:
    """The body of an HTTP answer that carries `packets`."""
    return SEPARATOR.join(
        packet if isinstance(packet, str) else _BINARY + b64encode(packet).decode()
        for packet in packets
    )


def split(body: bytes, *, most: int) -> list[Packet]:
    """The packets of an HTTP request's body; raises `ValueError` for more than `most`."""
    parts = body.decode().split(SEPARATOR)
    if len(parts) > most:
        raise ValueError(f"more than {most} packets at once")
    return [
        b64decode(part[1:], validate=True) if part.startswith(_BINARY) else part for part in parts
    ]
