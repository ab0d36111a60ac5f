"""What `/metrics` says: the figures of the server in the text format of Prometheus.

Names and units follow its conventions; labels are kinds, types and codes, never tasks or owners,
so that there are as many series as there are kinds. The library writes the format, and is given a
collector for each answer: nothing is kept in its registries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from taskpush.models.server import ServerFigures
from taskpush.telemetry.counters import Distribution

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


def exposition(
    figures: ServerFigures,
    events: Mapping[str, int],
    attempts: Mapping[tuple[str, str], Distribution],
    lag: Distribution,
) -> bytes:
    """The figures, counts of telemetry events, durations of attempts, lags of the event loop."""
    return generate_latest(_Answer(figures, events, attempts, lag))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A collector, as the library calls it, of what is to be said once."""

    figures: ServerFigures
    events: Mapping[str, int]
    attempts: Mapping[tuple[str, str], Distribution]
    lag: Distribution

    def collect(self) -> Iterable[Metric]:
        figures = self.figures
        yield _gauge("build_info", "The version, as a label; always 1.", 1, version=figures.version)
        yield _gauge(
            "start_time_seconds", "When the server started.", figures.started_at.timestamp()
        )
        yield from _connections(figures)
        yield from _tasks(figures)
        yield _counters(
            "events", "Events committed or published.", "event_type", figures.events.items()
        )
        yield _counter(
            "pushes",
            "How often a subscription was told of something; without replays and previews.",
            figures.pushes,
        )
        yield _counters(
            "telemetry_events",
            "What was noticed inside the server, by the name that it has in the log.",
            "event",
            self.events.items(),
        )
        yield _attempts(self.attempts)
        yield _lag(self.lag)
        yield from _store(figures)
        yield from ProcessCollector(registry=None).collect()


def _connections(figures: ServerFigures) -> Iterator[Metric]:
    connections, outboxes = figures.connections, figures.outboxes
    doors = connections.doors.items()
    yield _gauges("connections", "Who watches, by the door they came through.", "door", doors)
    yield _gauge(
        "connections_open",
        "Connections that count towards the limit, also those that have yet to say who they are.",
        connections.inside,
    )
    yield _gauge("connections_limit", "How many there may be.", connections.limit)
    yield _gauge("watched_tasks", "Tasks that somebody watches.", connections.watched_tasks)
    yield _gauge("watched_feeds", "Feeds that somebody watches.", connections.watched_feeds)
    yield _gauge(
        "outboxes_waiting_bytes",
        "What was committed and waits for watchers, a second ago at most.",
        outboxes.waiting_bytes,
    )
    yield _gauge("outboxes_limit_bytes", "What may wait for all together.", outboxes.limit_bytes)
    yield _gauge(
        "outboxes_waiting_connections",
        "Connections for which something waits, a second ago at most.",
        outboxes.waiting_connections,
    )
    yield _counter(
        "connections_cut_off",
        "Connections that were given up because they took nothing.",
        outboxes.cut_off,
    )


def _tasks(figures: ServerFigures) -> Iterator[Metric]:
    running = ((each.kind, each.running) for each in figures.kinds)
    yield _gauges("tasks_running", "Tasks that run.", "kind", running)
    waiting = ((each.kind, each.waiting) for each in figures.kinds)
    yield _gauges("tasks_waiting", "Tasks that wait for a slot.", "kind", waiting)
    yield _gauge("tasks_delayed", "Pending tasks that may not start yet.", figures.delayed)
    slots = ((each.kind, each.slots) for each in figures.kinds)
    yield _gauges("task_slots", "Tasks that may run at once.", "kind", slots)


def _store(figures: ServerFigures) -> Iterator[Metric]:
    store = figures.store
    if store is None:
        return
    yield _gauge("store_tasks", "Tasks in the store, counted once a minute.", store.tasks)
    yield _gauge("store_events", "Logged events in the store.", store.events)
    yield _gauge("store_used_bytes", "What the database uses.", store.bytes)
    yield _gauge("store_unused_bytes", "What it has room for.", store.unused_bytes)


def _attempts(attempts: Mapping[tuple[str, str], Distribution]) -> Metric:
    family = HistogramMetricFamily(
        "taskpush_attempt_duration_seconds",
        "From the start of an attempt to its end, by how it ended.",
        labels=["kind", "status"],
    )
    for (kind, status), distribution in attempts.items():
        family.add_metric([kind, status], *_observed(distribution))
    return family


def _lag(lag: Distribution) -> Metric:
    family = HistogramMetricFamily(
        "taskpush_loop_lag_seconds",
        "How late the event loop answers, asked ten times a second.",
    )
    family.add_metric([], *_observed(lag))
    return family


def _observed(distribution: Distribution) -> tuple[list[tuple[str, float]], float]:
    buckets = [(str(float(bound)), float(count)) for bound, count in distribution.buckets]
    return [*buckets, ("+Inf", distribution.count)], distribution.sum


def _gauge(name: str, help_text: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(f"taskpush_{name}", help_text, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def _gauges(name: str, help_text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"taskpush_{name}", help_text, labels=[label])
    for told, value in values:
        family.add_metric([told], value)
    return family


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(f"taskpush_{name}", help_text, value=value)


def _counters(name: str, help_text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(f"taskpush_{name}", help_text, labels=[label])
    for told, value in values:
        family.add_metric([told], value)
    return family
