"""Clients that stop reading: what the others feel, and what it costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.adapters.base import Flow, Server
from bench.event import now_us
from bench.load import Load
from bench.scenarios.base import GRACE_S, SETTLE_S, Measurement, Sizes, new_channel

HOSE_BYTES: Final = 8 * 1024
HOSE_HZ: Final = 200.0
"""What the one stalled client is sent beside the others' events, so that its buffers do fill."""
CROWD_BYTES: Final = 16 * 1024
CROWD_HZ: Final = 25.0
CROWD_S: Final = 20.0
"""8 MB for each: more than the kernel takes for a connection (tcp_wmem, tcp_rmem)."""
RECEIVE_BUFFER_BYTES: Final = 16 * 1024
LEAD_S: Final = 0.5


def stalled(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
    """One in all, by what the others feel; then many at once, by what they cost."""
    with kind(folder) as server:
        figures = _one(server, sizes)
        time.sleep(SETTLE_S)
        return figures | _crowd(server, sizes)


def _one(server: Server, sizes: Sizes) -> dict[str, float | bool]:
    """The healthy clients' latency, first while the one reads, then while it does not."""
    rounds = [[new_channel(), new_channel()] for _ in range(2)]
    watched = [channel for channel, _ in rounds]
    server.announce([*rounds[0], *rounds[1]])
    with Load() as healthy, Load() as one:
        for load, subjects in (
            (healthy, [watched] * sizes.watchers),
            (one, [[*rounds[0], *rounds[1]]]),
        ):
            load.open(
                server.port,
                server.script(len(subjects[0])),
                subjects,
                replies=server.replies,
                timed=True,
                receive_buffer_bytes=RECEIVE_BUFFER_BYTES if load is one else None,
            )
        reports = []
        events = round(sizes.duration_s * sizes.rate_hz)
        for turn, (channel, hose) in enumerate(rounds):
            if turn:
                time.sleep(SETTLE_S)
                one.tell("stall")
            start_us = now_us() + round(LEAD_S * 1e6)
            hose_events = round(sizes.duration_s * HOSE_HZ)
            server.publish(Flow([hose], hose_events, HOSE_HZ, start_us, HOSE_BYTES))
            server.publish(Flow([channel], events, sizes.rate_hz, start_us, sizes.size_bytes))
            reports.append(
                healthy.tell(
                    "collect",
                    expected=(turn + 1) * events * sizes.watchers,
                    timeout_s=sizes.duration_s + GRACE_S,
                )
            )
        healthy.tell("cut")
        one.tell("cut")
    without, with_one = (report["latency_ms"] for report in reports)
    return {
        "exact": reports[1]["least"] == reports[1]["most"] == 2 * events,
        "healthy_p99_without_ms": without["p99"],
        "healthy_p99_ms": with_one["p99"],
        "healthy_p99_ratio": with_one["p99"] / without["p99"],
    }


def _crowd(server: Server, sizes: Sizes) -> dict[str, float | bool]:
    """What the server holds more while many do not read, and what becomes of them."""
    channel = new_channel()
    server.announce([channel])
    with Load() as crowd:
        crowd.open(
            server.port,
            server.script(1),
            [[channel]] * sizes.stalled,
            replies=server.replies,
            timed=False,
            receive_buffer_bytes=RECEIVE_BUFFER_BYTES,
        )
        time.sleep(SETTLE_S)
        before = server.process.memory()
        crowd.tell("stall")
        events = round(CROWD_S * CROWD_HZ)
        start_us = now_us() + round(LEAD_S * 1e6)
        server.publish(Flow([channel], events, CROWD_HZ, start_us, CROWD_BYTES))
        most = before.rss
        until_us = start_us + CROWD_S * 1e6
        while now_us() < until_us:
            time.sleep(0.5)
            most = max(most, server.process.memory().rss)
        report = crowd.tell("resume", each=events, timeout_s=GRACE_S)
        crowd.tell("cut")
        return {
            "stalled_mib": (most - before.rss) / 2**20,
            "stalled_closed": report["closed"],
            "stalled_drained": report["drained"],
        }
