"""Everybody comes back at once and wants what was missed, while others watch live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.adapters.base import Flow, Server
from bench.adapters.taskpush import Taskpush
from bench.event import now_us
from bench.load import Load
from bench.scenarios.base import GRACE_S, Measurement, Sizes, Window, new_channel

TASKS: Final = 20
REPLAYED: Final = 100
LIVE_CLIENTS: Final = 100
CALM_S: Final = 5.0
LEAST_S: Final = 1.0
LONGEST_S: Final = 60.0


def storm(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
    """Many clients replay a hundred events each; the time it takes, and what others feel."""
    with kind(folder) as server, Load() as live, Load() as returning:
        assert isinstance(server, Taskpush)
        tasks = [new_channel() for _ in range(TASKS)]
        watched = new_channel()
        server.announce([*tasks, watched])
        server.publish(Flow(tasks, REPLAYED, size_bytes=sizes.size_bytes))
        starts = [[task, *server.start_of(task, REPLAYED)] for task in tasks]
        live.open(
            server.port,
            server.script(1),
            [[watched]] * LIVE_CLIENTS,
            replies=server.replies,
            timed=True,
        )
        live_events = round((CALM_S + LONGEST_S) * sizes.rate_hz)
        server.publish(Flow([watched], live_events, sizes.rate_hz, now_us()))
        time.sleep(CALM_S)
        calm = live.tell("report")

        window, started_us = Window(server, returning), now_us()
        connected_s = returning.open(
            server.port,
            server.script_from_position(),
            [starts[i % TASKS] for i in range(sizes.returning)],
            replies=server.replies,
            at_once=sizes.returning,
            timed=False,
        )
        report = returning.tell("collect", expected=sizes.returning * REPLAYED, timeout_s=GRACE_S)
        server_s, _, _ = window.used()
        # A small storm is over before the next live event.
        time.sleep(max(0, LEAST_S - (now_us() - started_us) / 1e6))
        stormy = live.tell("report")
        if not stormy["latency_ms"]:
            raise RuntimeError("the live clients received nothing")
        for load in (live, returning):
            load.tell("cut")
        return {
            "exact": report["least"] == report["most"] == REPLAYED,
            "complete_s": (report["last_us"] - started_us) / 1e6,
            "connected_s": connected_s,
            "cpu_us_per_delivery": server_s * 1e6 / max(1, report["delivered"]),
            "calm_latency_p99_ms": calm["latency_ms"]["p99"],
            "live_latency_p50_ms": stormy["latency_ms"]["p50"],
            "live_latency_p99_ms": stormy["latency_ms"]["p99"],
        }
