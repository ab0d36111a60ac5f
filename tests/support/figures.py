"""What a server might say of itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from taskpush.api.exposition import exposition
from taskpush.models.server import (
    ConnectionCounts,
    KindCount,
    LoopFigures,
    Outboxes,
    ServerFigures,
    StoreFigures,
)
from taskpush.telemetry.counters import EventCounters
from taskpush.telemetry.events import TaskEnded
from taskpush.telemetry.lag import LoopLag

FIGURES: Final = ServerFigures(
    version="1.2.3",
    started_at=datetime(2026, 11, 22, tzinfo=UTC),
    uptime_seconds=60,
    connections=ConnectionCounts(
        {"socketio": 5, "sse": 2, "long_poll": 1}, 9, 20_000, watched_tasks=4, watched_feeds=3
    ),
    outboxes=Outboxes(1024, 2, 1 << 28, 7),
    kinds=[KindCount("layout", 1, 2, 4), KindCount("render", 6, 0, 0)],
    delayed=8,
    events={"log": 100, "progress": 50},
    pushes=1000,
    loop=LoopFigures(0.001, 0.25),
    rss_bytes=1 << 26,
    store=StoreFigures(10, 150, 1 << 20, 4096),
)


def families(figures: ServerFigures = FIGURES) -> dict[str, Metric]:
    """What `/metrics` says of these figures and of two ended attempts, as a reader has it."""
    counters, lag = EventCounters(), LoopLag()
    for took_s in (0.2, 7200.0):
        counters(TaskEnded("t", 'lay"out\n', 1, "completed", took_s))
    lag.observe(0.004)
    text = exposition(figures, counters.events, counters.attempts, lag.distribution).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}
