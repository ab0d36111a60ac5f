"""The floor: bare uvloop sockets that get the same bytes, and nothing else that a server does.

A client says `sub CHANNEL`; `flow {…}` starts events. No HTTP, no handshake, no heartbeat.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from typing import Any, cast

import uvloop

from bench.event import now_us, packet
from bench.frames import server_frame

channels: defaultdict[str, list[asyncio.Transport]] = defaultdict(list)
running: set[asyncio.Task[None]] = set()


class Subscriber(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        # None until it is connected.
        self._transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Do what each line says."""
        *lines, self._received = (self._received + data).split(b"\n")
        assert self._transport is not None
        for line in lines:
            command, _, argument = line.decode().partition(" ")
            if command == "sub":
                channels[argument].append(self._transport)
            else:
                start(json.loads(argument))
            self._transport.write(server_frame(b"ok"))


def start(flow: dict[str, Any]) -> None:
    """Start the events."""
    for i, channel in enumerate(flow["channels"]):
        task = asyncio.create_task(emit(flow, channel, flow["start_us"] + i * flow["stagger_us"]))
        running.add(task)
        task.add_done_callback(running.discard)


async def emit(flow: dict[str, Any], channel: str, start_us: float) -> None:
    """Send the events of one channel."""
    for i in range(flow["events"]):
        due_us = start_us + (i * 1e6 / flow["rate_hz"] if flow["rate_hz"] else 0)
        await asyncio.sleep(max(0, due_us - now_us()) / 1e6)
        frame = server_frame(packet(channel, i + 1, flow["size_bytes"]))
        for transport in channels[channel]:
            transport.write(frame)


async def main() -> None:
    """Listen on the port given."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Subscriber, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
