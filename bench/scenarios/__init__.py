"""What is measured."""

from __future__ import annotations

from typing import Final

from bench.scenarios.base import Scenario
from bench.scenarios.creates import creates
from bench.scenarios.fanout import burst, steady
from bench.scenarios.full_path import full_path
from bench.scenarios.idle import idle
from bench.scenarios.stalled import stalled
from bench.scenarios.storm import storm

ALL: Final = (
    "taskpush",
    "taskpush-sse",
    "python-socketio",
    "flask-socketio",
    "node",
    "nchan",
    "nats",
    "floor",
)

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "burst",
            "(a) one task, many watchers, as fast as it goes",
            ALL,
            burst,
            ("cpu_us_per_delivery", "deliveries_per_s"),
        ),
        Scenario(
            "steady",
            "(b) one task, many watchers, at a steady rate",
            ALL,
            steady,
            ("latency_p99_ms", "latency_p50_ms", "cpu_us_per_delivery"),
        ),
        Scenario(
            "full_path",
            "(c) many tasks, one watcher each: call, commit, push",
            ("taskpush", "python-socketio", "flask-socketio", "node", "floor"),
            full_path,
            ("cpu_us_per_delivery", "latency_p99_ms", "latency_p50_ms"),
        ),
        Scenario(
            "idle",
            "(d) idle connections, then one event to all",
            ALL,
            idle,
            ("rss_kib_per_connection", "all_have_it_ms", "idle_cpu_percent", "connects_per_s"),
        ),
        Scenario(
            "storm",
            "(e) all come back at once and replay 100 events each",
            ("taskpush",),
            storm,
            ("complete_s", "live_latency_p99_ms", "calm_latency_p99_ms"),
        ),
        Scenario(
            "creates",
            "(f) creates, durable with us; the bare route of FastAPI stores nothing",
            ("taskpush", "python-socketio"),
            creates,
            ("creates_per_s", "cpu_us_per_create", "latency_p99_ms"),
        ),
        Scenario(
            "stalled",
            "(g) one client that does not read, then many",
            ("taskpush", "python-socketio", "node"),
            stalled,
            (
                "healthy_p99_ratio",
                "healthy_p99_ms",
                "stalled_mib",
                "stalled_closed",
                "stalled_drained",
            ),
        ),
    )
}
