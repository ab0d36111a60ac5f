"""What travels between a server and its worker processes: JSON texts with their length in front.

A line break ends a text that bytes follow, its attachment; texts have none of their own.

From the server, first the `job`, then any number of:
    {"cancel": true}
    {"done": [id, ...], "error": [type, message] or absent}
From the worker, `id` only where it wants to know when that is committed:
    {"log": data, "size_bytes": n, "id": n}         {"iteration": data, "id": n}
    {"volatile": event type, "data": data}          with a picture's bytes as attachment
    {"artifact": name, "path": path, "media_type": type, "id": n}
    {"checkpoint": label or null, "path": path, "progress_percent": number or null, "id": n}
and last one of:
    {"returned": result}    {"raised": [message, type, code, traceback or null]}
    {"stopped": true}
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import orjson

MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
"""Longest frame; a result is the only thing that can come near."""

_LENGTH: Final = struct.Struct("!I")
HEAD_BYTES: Final = _LENGTH.size


class BadFrame(ValueError):
    """What arrived is no frame."""


def pack(message: Mapping[str, Any], attachment: bytes | None = None) -> bytes:
    """One frame; raises `BadFrame` when it would be too long."""
    body = orjson.dumps(message)
    if attachment is not None:
        body += b"\n" + attachment
    if len(body) > MAX_FRAME_BYTES:
        raise BadFrame(f"{len(body)} bytes exceed {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


def body_bytes(head: bytes) -> int:
    """How long the body is that follows `head`."""
    length: int = _LENGTH.unpack(head)[0]
    if length > MAX_FRAME_BYTES:
        raise BadFrame(f"a frame of {length} bytes")
    return length


def unpack(body: bytes) -> dict[str, Any]:
    """The message of one frame, with what is attached as its `attachment`."""
    text, attached, attachment = body.partition(b"\n")
    message = orjson.loads(text)
    if not isinstance(message, dict):
        raise BadFrame("a frame that is no object")
    return {**message, "attachment": attachment} if attached else message
