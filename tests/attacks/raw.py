"""Bytes on sockets: what no library would send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final, Self

import orjson

TIMEOUT_S: Final = 10.0
POLLING: Final = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET: Final = "/socket.io/?EIO=4&transport=websocket"
UPGRADE: Final = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
CUT: Final = 1006
"""What RFC 6455 calls the end of a connection that nobody closed."""


def plug(port: int, *, receive_buffer: int | None = None) -> socket.socket:
    raw = socket.socket()
    raw.settimeout(TIMEOUT_S)
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.connect(("127.0.0.1", port))
    return raw


def answered(raw: socket.socket) -> bytes:
    """Everything until the server ends the connection, or the whole of an answer."""
    answer = b""
    while True:
        try:
            part = raw.recv(65536)
        except ConnectionError:
            return answer
        answer += part
        head, found, body = answer.partition(b"\r\n\r\n")
        length = [
            line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        if not part or (found and length and len(body) >= int(length[0].split(b":")[1])):
            return answer


def ask(port: int, request: bytes) -> bytes:
    """The answer to a request; empty when the server just closes."""
    with closing(plug(port)) as raw:
        # It may be ended before everything was sent, with an answer.
        with suppress(ConnectionError):
            raw.sendall(request)
        return answered(raw)


def status(answer: bytes) -> int:
    """The status of an answer; 0 when there was none."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


def get(port: int, path: str, more: bytes = b"") -> bytes:
    last = b"" if UPGRADE in more else b"Connection: close\r\n"
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    return ask(port, head + more + last + b"\r\n")


def post(port: int, path: str, body: bytes, *, chunked: bool = False) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    if chunked:
        framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return ask(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + framed)
    return ask(port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def polling_session(port: int, *, query: str = "") -> str:
    """The address of a new session over long polling, which was asked for with `query` besides."""
    body = get(port, f"{POLLING}{query}").partition(b"\r\n\r\n")[2]
    return f"{POLLING}&sid={orjson.loads(body[body.index(b'{') : body.rindex(b'}') + 1])['sid']}"


def frame(
    payload: bytes, *, opcode: int = 1, final: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    """A frame as clients send it. Source: RFC 6455 section 5.2."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    flag = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    # A mask of zeros leaves the payload as it is.
    return head + (bytes(4) if masked else b"") + payload


class Peer:
    """A WebSocket of an Engine.IO client, frame by frame."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._buffer = b""

    @property
    def port(self) -> int:
        port: int = self.raw.getsockname()[1]
        return port

    def send(self, *frames: bytes) -> Self:
        """Send whole frames; does nothing once the server has ended the connection."""
        # How it ended is asked for with `close_code`.
        with suppress(ConnectionError):
            self.raw.sendall(b"".join(frames))
        return self

    def say(self, *packets: str | bytes) -> Self:
        return self.send(
            *(frame(p.encode()) if isinstance(p, str) else frame(p, opcode=2) for p in packets)
        )

    def hear(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; opcode -1 when the connection was cut."""
        try:
            head = self._take(2)
            size = head[1]
            if size == 126:
                size = int.from_bytes(self._take(2), "big")
            elif size == 127:
                size = int.from_bytes(self._take(8), "big")
            return head[0] & 0xF, self._take(size)
        except ConnectionError:
            return -1, b""

    def packet(self) -> str:
        """The next packet that is not a ping."""
        while True:
            opcode, payload = self.hear()
            assert opcode == 1, (opcode, payload)
            if payload != b"2":
                return payload.decode()

    def close_code(self) -> int:
        """With which code the server ends the connection; other frames are skipped."""
        while True:
            opcode, payload = self.hear()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big") if payload else 1005
            if opcode == -1:
                return CUT

    def join(self) -> Self:
        """Connect the namespace."""
        self.say("40/tasks,")
        while not self.packet().startswith('42/tasks,["connected"'):
            pass
        return self

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            part = self.raw.recv(65536)
            if not part:
                raise ConnectionResetError
            self._buffer += part
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


@contextmanager
def peer(port: int, *, receive_buffer: int | None = None, query: str = "") -> Iterator[Peer]:
    """A WebSocket whose session was opened."""
    with closing(plug(port, receive_buffer=receive_buffer)) as raw:
        address = f"{WEBSOCKET}{query}"
        raw.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n".encode() + UPGRADE + b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += raw.recv(1)
        assert status(head) == 101, head
        opened = Peer(raw)
        assert opened.packet().startswith("0{")
        yield opened
