"""What is measured."""

from __future__ import annotations

from typing import Final

from bench.scenarios import fanout
from bench.scenarios.base import Scenario

ALL: Final = ("taskpush", "python-socketio", "flask-socketio", "node", "nchan", "nats", "floor")

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "burst",
            "(a) one task, many watchers, as fast as it goes",
            ALL,
            fanout.burst,
            ("cpu_us_per_delivery", "deliveries_per_s"),
        ),
        Scenario(
            "steady",
            "(b) one task, many watchers, at a steady rate",
            ALL,
            fanout.steady,
            ("latency_p99_ms", "latency_p50_ms", "cpu_us_per_delivery"),
        ),
    )
}
