"""One channel and many watchers: as fast as it goes, and at a steady rate."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.adapters.base import Flow, Server
from bench.event import now_us
from bench.load import Load
from bench.processes import wait_until
from bench.scenarios.base import (
    GRACE_S,
    SETTLE_S,
    Measurement,
    Sizes,
    Window,
    delivered,
    new_channel,
)

WARM_EVENTS: Final = 20
LEAD_S: Final = 0.05
PAUSE_S: Final = 0.002
"""In a burst the generator reads so seldom that it finds several events at once."""


def burst(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
    """One event after the other."""
    return _fan_out(kind, folder, sizes, events=sizes.events, rate_hz=0)


def steady(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
    """So many events a second, and how long each takes to arrive."""
    events = round(sizes.duration_s * sizes.rate_hz)
    return _fan_out(kind, folder, sizes, events=events, rate_hz=sizes.rate_hz)


def _fan_out(
    kind: type[Server], folder: Path, sizes: Sizes, *, events: int, rate_hz: float
) -> Measurement:
    with kind(folder) as server, Load() as load:
        channel = new_channel()
        server.announce([channel])
        clients = sizes.watchers
        load.open(
            server.port,
            server.script(1),
            [[channel]] * clients,
            replies=server.replies,
            timed=bool(rate_hz),
        )
        wait_until(lambda: server.are_subscribed(channel, clients))
        server.publish(Flow([channel], WARM_EVENTS, size_bytes=sizes.size_bytes))
        load.tell("collect", expected=WARM_EVENTS * clients, timeout_s=GRACE_S)
        time.sleep(SETTLE_S)
        window = Window(server, load)
        load.begin(
            "collect",
            expected=(WARM_EVENTS + events) * clients,
            timeout_s=sizes.duration_s + GRACE_S,
            pause_s=0 if rate_hz else PAUSE_S,
        )
        start_us = now_us() + round(LEAD_S * 1e6)
        server.publish(Flow([channel], events, rate_hz, start_us, sizes.size_bytes))
        report = load.answer()
        figures = delivered(report, window.used(), WARM_EVENTS + events, start_us)
        load.tell("cut")
        return figures
