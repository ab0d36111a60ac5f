"""What a scenario needs of a server."""

from __future__ import annotations

import http.client
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from bench.event import DEFAULT_SIZE_BYTES, NAMESPACE
from bench.frames import client_frame, upgrade
from bench.load import Step
from bench.processes import HOST, Process, free_port

CALL_WITHIN_S: Final = 120.0


class Unavailable(Exception):
    """A server cannot be measured here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Events for each of `channels`: `rate_hz` a second each (0: one after the other).

    The first goes out at `start_us` of `event.now_us`, on each further channel `stagger_us` later.
    """

    channels: Sequence[str]
    events: int
    rate_hz: float = 0
    start_us: int = 0
    size_bytes: int = DEFAULT_SIZE_BYTES
    stagger_us: float = 0


class Server(ABC):
    """A running server; stopped with the block. Raises `NotStarted` when it does not come up."""

    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.process = self.start(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stop()

    @classmethod
    @abstractmethod
    def versions(cls) -> dict[str, str]:
        """What is measured; raises `Unavailable` when it is not there."""

    @abstractmethod
    def start(self, folder: Path) -> Process:
        """Start it on `port`, with its files in `folder`, and see it ready."""

    def announce(self, channels: Sequence[str]) -> None:  # noqa: B027  # most need not be told
        """Make the channels known, before anybody subscribes to them."""

    @abstractmethod
    def script(self, subjects: int) -> list[Step]:
        """How a client connects and subscribes to `$0`, `$1`, …"""

    @property
    def replies(self) -> Mapping[str, bytes]:
        """Heartbeats by their payload, and the bytes that answer them."""
        return {}

    @abstractmethod
    def publish(self, flow: Flow) -> None:
        """Have the events sent; returns when that is under way, or done."""

    def are_subscribed(self, channel: str, clients: int) -> bool:
        """Whether so many clients are subscribed, where their scripts could not see it."""
        return True

    def call(self, method: str, path: str, body: Any = None, *, expected: int = 200) -> Any:
        """One HTTP call; raises `RuntimeError` for another status than the expected one."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=CALL_WITHIN_S)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != expected:
                raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
            return json.loads(content) if content else None
        finally:
            connection.close()


class SocketIOServer(Server):
    """A server that speaks Socket.IO and takes `POST /flow`."""

    @property
    def replies(self) -> Mapping[str, bytes]:
        """Engine.IO's ping and pong."""
        return {"2": client_frame(b"3")}

    def script(self, subjects: int) -> list[Step]:
        """Over WebSocket from the start; each subscription is acknowledged."""
        steps = [
            ("", upgrade("/socket.io/?EIO=4&transport=websocket", self.port), "raw"),
            ("0{", f"40{NAMESPACE},", "text"),
        ]
        awaited = f'40{NAMESPACE},{{"sid"'
        for i in range(subjects):
            command = json.dumps(["subscribe", {"task_id": f"${i}"}], separators=(",", ":"))
            steps.append((awaited, f"42{NAMESPACE},{i}{command}", "text"))
            awaited = f"43{NAMESPACE},{i}["
        return [*steps, (awaited, "", "text")]

    def publish(self, flow: Flow) -> None:
        """Returns at once."""
        self.call("POST", "/flow", asdict(flow))
