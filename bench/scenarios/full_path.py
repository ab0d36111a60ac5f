"""Many tasks with one watcher each: from the handler's call to the client."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.adapters.base import Flow, Server
from bench.event import now_us
from bench.load import Load
from bench.scenarios.base import GRACE_S, Measurement, Sizes, Window, delivered, new_channel

WARM_S: Final = 2.0
LEAD_S: Final = 1.0


def full_path(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
    """As many tasks as there are watchers; their events evenly spread."""
    channels = [new_channel() for _ in range(sizes.watchers)]
    warm = round(WARM_S * sizes.rate_hz)
    events = warm + round(sizes.duration_s * sizes.rate_hz)
    with kind(folder) as server, Load() as load:
        server.announce(channels)
        load.open(
            server.port,
            server.script(1),
            [[channel] for channel in channels],
            replies=server.replies,
            timed=True,
        )
        start_us = now_us() + round(LEAD_S * 1e6)
        stagger_us = 1e6 / sizes.rate_hz / len(channels)
        server.publish(
            Flow(channels, events, sizes.rate_hz, start_us, sizes.size_bytes, stagger_us)
        )
        load.tell("collect", expected=warm * len(channels), timeout_s=LEAD_S + WARM_S + GRACE_S)
        window, started_us = Window(server, load), now_us()
        report = load.tell(
            "collect",
            expected=events * len(channels),
            timeout_s=sizes.duration_s + GRACE_S,
        )
        used = window.used()
        load.tell("cut")
        return delivered(report, used, events, started_us)
