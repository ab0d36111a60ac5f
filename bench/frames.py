"""What clients and the floor say: HTTP requests, and WebSocket frames (RFC 6455 section 5)."""

from __future__ import annotations

from typing import Final

TEXT_OPCODE: Final = 1
PONG_OPCODE: Final = 10

UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\n"
    "Host: 127.0.0.1:{port}\r\n"
    "Connection: Upgrade\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "\r\n"
)


def upgrade(path: str, port: int) -> str:
    """The HTTP request that opens a WebSocket."""
    return UPGRADE.format(path=path, port=port)


def get(path: str, port: int) -> str:
    """An HTTP request whose answer goes on."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"


def client_frame(payload: bytes, opcode: int = TEXT_OPCODE) -> bytes:
    """A frame as clients send it: masked, with a mask of zeros, which changes nothing."""
    head = _head(len(payload), opcode)
    return bytes((head[0], head[1] | 0x80)) + head[2:] + b"\0\0\0\0" + payload


def server_frame(payload: bytes, opcode: int = TEXT_OPCODE) -> bytes:
    """A frame as servers send it."""
    return _head(len(payload), opcode) + payload


def _head(length: int, opcode: int) -> bytes:
    if length < 126:
        return bytes((0x80 | opcode, length))
    if length < 1 << 16:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2, "big")
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8, "big")
