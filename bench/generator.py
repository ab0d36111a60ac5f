"""The load generator: thousands of clients in one process, for the least CPU.

A client is a non-blocking socket and a script of what it waits for and says. Once the script is
through, its WebSocket frames are found by their headers and the events in them counted by a search
for `event.MARK`: no decoding, no objects, nothing per event but that and, for latencies, one
number. Server-Sent Events have no frames: what came up to an event's end is searched.

Commands come as lines of JSON on standard input, each answered by one line on standard output;
`bench.load` is the other end. End of input ends the process.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from bench.event import MARK, now_us
from bench.frames import PONG_OPCODE, client_frame

BUFFER_BYTES: Final = 4 * 1024 * 1024
SMALL_BYTES: Final = 16
"""No event is as short; heartbeats are."""
POLL_S: Final = 0.5
CLIENTS_PER_ADDRESS: Final = 5_000
"""Below the number of ephemeral ports that one source address has for one destination."""
IP_BIND_ADDRESS_NO_PORT: Final = 24
LINGER_0: Final = struct.pack("ii", 1, 0)
HTTP_END: Final = b"\r\n\r\n"
EVENT_END: Final = b"\n\n"


class Client:
    """One connection."""

    __slots__ = ("count", "descriptor", "framed", "script", "socket", "step", "tail", "upgrading")

    def __init__(self, sock: socket.socket, script: Sequence[tuple[bytes, bytes]]) -> None:
        self.socket = sock
        self.descriptor = sock.fileno()
        self.script = script
        self.step = 0
        # Received, and not yet a whole frame.
        self.tail = b""
        self.upgrading = bool(script) and script[0][1].startswith(b"GET ")
        # False for Server-Sent Events.
        self.framed = True
        self.count = 0


class Generator:
    """All clients, and what they have received since the last report."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._waiting: deque[tuple[tuple[str, int], Sequence[tuple[bytes, bytes]]]] = deque()
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._replies: dict[bytes, bytes] = {}
        self._receive_buffer_bytes: int | None = None
        self._opened = 0
        self._ready = 0
        self._closed = 0
        self._errors: list[str] = []
        self._timed = True
        self._received = 0
        self._reset()

    def _reset(self) -> None:
        self._total = 0
        self._bytes = 0
        self._first_us = 0
        self._last_us = 0
        self._latencies_us = array("q")

    # Commands.

    def open(
        self,
        address: Sequence[Any],
        steps: Sequence[Sequence[str]],
        subjects: Sequence[Sequence[str]],
        replies: dict[str, str],
        at_once: int,
        timeout_s: float,
        timed: bool,
        receive_buffer_bytes: int | None = None,
    ) -> dict[str, Any]:
        """Connect one client for each of `subjects`, `at_once` at a time, and see all ready."""
        self._timed = timed
        self._receive_buffer_bytes = receive_buffer_bytes
        self._replies = {key.encode(): base64.b64decode(value) for key, value in replies.items()}
        target = (str(address[0]), int(address[1]))
        for names in subjects:
            self._waiting.append((target, [_filled(step, names) for step in steps]))
        wanted = self._ready + len(subjects)
        started = time.monotonic()
        while self._ready < wanted and not self._errors:
            while self._waiting and self._opened - self._ready < at_once:
                self._connect(*self._waiting.popleft())
            self._turn(POLL_S)
            if time.monotonic() - started > timeout_s:
                self._errors.append(f"{self._ready} of {wanted} ready after {timeout_s:g} s")
        gc.collect()
        gc.freeze()
        return {"seconds": time.monotonic() - started, "ready": self._ready}

    def collect(self, expected: int, timeout_s: float, pause_s: float = 0) -> dict[str, Any]:
        """Read until `expected` events came since `open`; with a pause, many at a time."""
        deadline = time.monotonic() + timeout_s
        while self._received < expected and time.monotonic() < deadline and not self._errors:
            self._turn(POLL_S)
            if pause_s:
                time.sleep(pause_s)
        return self.report()

    def report(self) -> dict[str, Any]:
        """What was received since the last report; the clients' counts go on."""
        counts = [client.count for client in self._clients.values()]
        report = {
            "delivered": self._total,
            "least": min(counts, default=0),
            "most": max(counts, default=0),
            "bytes": self._bytes,
            "first_us": self._first_us,
            "last_us": self._last_us,
            "closed": self._closed,
            "latency_ms": _quantiles(self._latencies_us),
        }
        self._reset()
        return report

    def stall(self) -> dict[str, Any]:
        """Stop reading."""
        for descriptor in self._clients:
            self._epoll.unregister(descriptor)
        return {}

    def resume(self, each: int, timeout_s: float) -> dict[str, Any]:
        """Read again, until each client was closed by the server or has `each` events."""
        for descriptor in self._clients:
            self._epoll.register(descriptor, select.EPOLLIN)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and any(
            client.count < each for client in self._clients.values()
        ):
            self._turn(POLL_S)
        drained = sum(client.count >= each for client in self._clients.values())
        return self.report() | {"drained": drained}

    def cut(self) -> dict[str, Any]:
        """Close all connections, by reset: no port is left waiting."""
        for client in self._clients.values():
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
            client.socket.close()
        self._clients.clear()
        self._opened = self._ready = self._received = 0
        self._reset()
        return {}

    # Connections.

    def _connect(self, target: tuple[str, int], script: Sequence[tuple[bytes, bytes]]) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.0.{2 + self._opened // CLIENTS_PER_ADDRESS}", 0))
        error = sock.connect_ex(target)
        if error not in {0, 115}:  # EINPROGRESS
            self._errors.append(f"connect: {os.strerror(error)}")
        self._opened += 1
        client = Client(sock, script)
        self._clients[client.descriptor] = client
        self._epoll.register(client.descriptor, select.EPOLLOUT)

    def _connected(self, client: Client) -> None:
        error = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._errors.append(f"connect: {os.strerror(error)}")
            return
        self._epoll.modify(client.descriptor, select.EPOLLIN)
        self._say(client)

    def _say(self, client: Client) -> None:
        """Take the script's next step, whose condition has been met."""
        said = client.script[client.step][1]
        client.step += 1
        if said:
            client.socket.send(said)
        if client.step == len(client.script):
            self._ready += 1

    def _lost(self, client: Client) -> None:
        self._epoll.unregister(client.descriptor)
        client.socket.close()
        del self._clients[client.descriptor]
        self._closed += 1
        if client.step < len(client.script):
            self._errors.append(f"closed by the server at step {client.step}: {client.tail!r:.300}")

    # Reading.

    def _turn(self, timeout_s: float) -> None:
        clients = self._clients
        for descriptor, event in self._epoll.poll(timeout_s):
            if descriptor == 0:
                continue
            client = clients[descriptor]
            if event == select.EPOLLOUT:
                self._connected(client)
            else:
                self._read(client)

    def _read(self, client: Client) -> None:
        kept = len(client.tail)
        if kept:
            self._buffer[:kept] = client.tail
        try:
            size = client.socket.recv_into(self._view[kept:])
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._lost(client)
            return
        end = kept + size
        start = self._upgraded(client, end) if client.upgrading else 0
        if not client.upgrading:
            take = self._frames if client.framed else self._events
            start = take(client, start, end)
        client.tail = bytes(self._view[start:end]) if start < end else b""

    def _upgraded(self, client: Client, end: int) -> int:
        """Where events begin behind the HTTP answer; 0 while it is not complete."""
        stop = self._buffer.find(HTTP_END, 0, end)
        if stop < 0:
            return 0
        client.framed = self._buffer.startswith(b"HTTP/1.1 101")
        if not (client.framed or self._buffer.startswith(b"HTTP/1.1 200")):
            self._errors.append(f"not upgraded: {bytes(self._view[: min(end, 200)])!r}")
        client.upgrading = False
        self._follow(client, 0, stop + len(HTTP_END))
        return stop + len(HTTP_END)

    def _frames(self, client: Client, at: int, end: int) -> int:
        """Take all whole frames between `at` and `end`; returns where the first other begins."""
        buffer = self._buffer
        begin, counted = at, 0
        now = now_us()
        while end - at >= 2:
            length = buffer[at + 1]
            start = at + 2
            if length == 126:
                if end - at < 4:
                    break
                length = buffer[at + 2] << 8 | buffer[at + 3]
                start = at + 4
            elif length == 127:
                if end - at < 10:
                    break
                length = int.from_bytes(buffer[at + 2 : at + 10], "big")
                start = at + 10
            stop = start + length
            if stop > end:
                break
            if length <= SMALL_BYTES:
                self._answer(client, buffer[at], bytes(buffer[start:stop]))
            elif self._timed:
                counted += self._timed_events(start, stop, now)
            else:
                counted += buffer.count(MARK, start, stop)
            if client.step < len(client.script):
                self._follow(client, start, stop)
            at = stop
        self._count(client, counted, at - begin, now)
        return at

    def _events(self, client: Client, at: int, end: int) -> int:
        """Take what ends with an event; returns where the first other begins."""
        stop = self._buffer.rfind(EVENT_END, at, end)
        if stop < 0:
            return at
        now = now_us()
        if self._timed:
            counted = self._timed_events(at, stop, now)
        else:
            counted = self._buffer.count(MARK, at, stop)
        stop += len(EVENT_END)
        self._count(client, counted, stop - at, now)
        return stop

    def _count(self, client: Client, counted: int, size_bytes: int, now: int) -> None:
        if counted:
            client.count += counted
            self._total += counted
            self._received += counted
            self._bytes += size_bytes
            self._first_us = self._first_us or now
            self._last_us = now

    def _timed_events(self, start: int, stop: int, now: int) -> int:
        buffer = self._buffer
        found = 0
        while (at := buffer.find(MARK, start, stop)) >= 0:
            start = at + len(MARK)
            self._latencies_us.append(now - int(buffer[start : buffer.find(b",", start, stop)]))
            found += 1
        return found

    def _follow(self, client: Client, start: int, stop: int) -> None:
        awaited = client.script[client.step][0]
        if self._buffer.find(awaited, start, stop) >= 0:
            if self._buffer.find(b'"ok":false', start, stop) >= 0:
                self._errors.append(f"refused: {bytes(self._view[start:stop])!r:.300}")
            self._say(client)

    def _answer(self, client: Client, first: int, payload: bytes) -> None:
        """Answer a heartbeat, of WebSocket or of what it carries."""
        reply = self._replies.get(payload)
        if first == 0x89:
            reply = client_frame(payload, PONG_OPCODE)
        if reply is not None:
            client.socket.send(reply)

    def answer(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do one command; what went wrong is in `errors`."""
        methods: dict[str, Callable[..., dict[str, Any]]] = {
            "open": self.open,
            "collect": self.collect,
            "report": self.report,
            "stall": self.stall,
            "resume": self.resume,
            "cut": self.cut,
        }
        answer = methods[command](**arguments)
        errors, self._errors = self._errors[:5], []
        return answer | {"errors": errors}

    def idle_until_input(self) -> None:
        """Go on reading, and answering heartbeats, until there is a command."""
        self._epoll.register(0, select.EPOLLIN)
        try:
            while not select.select([0], [], [], 0)[0]:
                self._turn(POLL_S)
        finally:
            self._epoll.unregister(0)


def _filled(step: Sequence[str], names: Sequence[str]) -> tuple[bytes, bytes]:
    """A step of a script with `$0`, `$1`, … replaced, framed: (what it waits for, what it says)."""
    awaited, said, how = step
    for i, name in enumerate(names):
        said = said.replace(f"${i}", name)
    payload = said.encode()
    if payload and how != "raw":
        payload = client_frame(payload, 1 if how == "text" else 2)
    return awaited.encode(), payload


def _quantiles(values_us: array[int]) -> dict[str, float] | None:
    """p50, p90, p99 and the maximum in milliseconds; None without values."""
    if not values_us:
        return None
    ordered = sorted(values_us)
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: ordered[round(share * last)] / 1000 for name, share in shares.items()}


def main() -> None:
    """Serve the commands on standard input."""
    generator = Generator()
    # Unbuffered: select on the descriptor sees what a buffer would hide.
    pending = b""
    while True:
        generator.idle_until_input()
        received = os.read(0, 1 << 20)
        if not received:
            return
        pending += received
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            command = json.loads(line)
            answer = generator.answer(command.pop("command"), command)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
