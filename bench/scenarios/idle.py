"""Connections that wait: what each holds, and how soon one event is with all of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.adapters.base import Flow, Server
from bench.load import Load
from bench.processes import wait_until
from bench.scenarios.base import (
    GRACE_S,
    SETTLE_S,
    Measurement,
    Sizes,
    Window,
    new_channel,
)

QUIET_S: Final = 3.0
"""After which what the handshakes left behind is gone, or stays."""
IDLE_S: Final = 5.0


def idle(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
    """All watch one task, in which nothing happens; then one event."""
    clients = sizes.connections
    channel = new_channel()
    with kind(folder) as server, Load() as load:
        server.announce([channel])
        time.sleep(SETTLE_S)
        before = server.process.memory()
        seconds = load.open(
            server.port,
            server.script(1),
            [[channel]] * clients,
            replies=server.replies,
            timed=True,
        )
        wait_until(lambda: server.are_subscribed(channel, clients))
        time.sleep(QUIET_S)
        window = Window(server, load)
        time.sleep(IDLE_S)
        idle_s, _, clock_s = window.used()
        after = server.process.memory()
        server.publish(Flow([channel], 1, size_bytes=sizes.size_bytes))
        report = load.tell("collect", expected=clients, timeout_s=GRACE_S)
        load.tell("cut")
        return {
            "exact": report["least"] == report["most"] == 1,
            "rss_kib_per_connection": (after.rss - before.rss) / 1024 / clients,
            "pss_kib_per_connection": (after.pss - before.pss) / 1024 / clients,
            "all_have_it_ms": report["latency_ms"]["max"] if report["latency_ms"] else GRACE_S,
            "idle_cpu_percent": 100 * idle_s / clock_s,
            "connects_per_s": clients / seconds,
        }
