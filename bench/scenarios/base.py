"""What a scenario is: one measurement of one server, repeated by `bench.runs`."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.adapters.base import Server
from bench.load import Load

GRACE_S: Final = 120.0
"""What a slow server may take beyond the time planned."""
SETTLE_S: Final = 1.0
"""Between a warm-up and what is measured, so that nothing of the one falls into the other."""
GENERATOR_BUSY: Final = 0.85
"""Above this share of one core the generator may be what limits a burst."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a measurement is."""

    watchers: int = 1000
    events: int = 100
    duration_s: float = 10.0
    rate_hz: float = 5.0
    size_bytes: int = 330
    connections: int = 10_000
    returning: int = 2000
    stalled: int = 100
    creates: int = 2000


QUICK: Final = Sizes(
    watchers=200, events=50, duration_s=4, connections=1000, returning=300, stalled=20, creates=500
)
QUICK_REPEATS: Final = 2


Measurement = Mapping[str, float | bool]
"""Figures by name; a unit stands in each name. `exact`: each got exactly what was sent."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A measurement and the servers that it makes sense for."""

    name: str
    title: str
    servers: tuple[str, ...]
    measure: Callable[[type[Server], Path, Sizes], Measurement]
    # The figures for the table, the first of which is compared.
    figures: tuple[str, ...]


class Window:
    """The CPU that a server and the generator use from here on."""

    def __init__(self, server: Server, load: Load) -> None:
        self._server = server
        self._load = load
        self._started = (server.process.cpu_s(), load.cpu_s(), time.monotonic())

    def used(self) -> tuple[float, float, float]:
        """Seconds of the server's CPU, of the generator's, and of the clock."""
        now = (self._server.process.cpu_s(), self._load.cpu_s(), time.monotonic())
        server, load, clock = (now - before for now, before in zip(now, self._started, strict=True))
        return server, load, clock


def new_channel() -> str:
    """A name for a channel; a task's id."""
    return str(uuid.uuid4())


def delivered(
    report: Mapping[str, Any], used: tuple[float, float, float], each: int, start_us: int
) -> dict[str, float | bool]:
    """The figures that all deliveries have, when `each` client should have so many in all."""
    server_s, load_s, clock_s = used
    count = report["delivered"]
    figures: dict[str, float | bool] = {
        "exact": report["least"] == report["most"] == each,
        "deliveries": count,
        "cpu_us_per_delivery": server_s * 1e6 / max(1, count),
        "deliveries_per_s": count / max(1e-6, (report["last_us"] - start_us) / 1e6),
        "bytes_per_delivery": report["bytes"] / max(1, count),
        "server_cores": server_s / clock_s,
        "generator_cores": load_s / clock_s,
    }
    latency_ms = report["latency_ms"] or {}
    return figures | {f"latency_{name}_ms": value for name, value in latency_ms.items()}
