"""What `/metrics` says, as Prometheus' own parser reads it."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric

from tests.support.figures import FIGURES, families


def _values(family: Metric) -> dict[tuple[str, ...], float]:
    """Samples by their label values."""
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_every_figure_is_told_with_its_type_and_its_labels() -> None:
    told = families()
    assert _values(told["taskpush_connections"]) == {
        ("socketio",): 5,
        ("sse",): 2,
        ("long_poll",): 1,
    }
    assert _values(told["taskpush_tasks_running"]) == {("layout",): 1, ("render",): 6}
    assert _values(told["taskpush_tasks_waiting"]) == {("layout",): 2, ("render",): 0}
    assert _values(told["taskpush_task_slots"]) == {("layout",): 4, ("render",): 0}
    assert _values(told["taskpush_events"]) == {("log",): 100, ("progress",): 50}
    assert _values(told["taskpush_build_info"]) == {("1.2.3",): 1}
    alone = {
        "connections_open": 9,
        "connections_limit": 20_000,
        "connections_cut_off": 7,
        "watched_tasks": 4,
        "watched_feeds": 3,
        "outboxes_waiting_bytes": 1024,
        "outboxes_waiting_connections": 2,
        "outboxes_limit_bytes": 1 << 28,
        "tasks_delayed": 8,
        "pushes": 1000,
        "store_tasks": 10,
        "store_events": 150,
        "store_used_bytes": 1 << 20,
        "store_unused_bytes": 4096,
        "start_time_seconds": FIGURES.started_at.timestamp(),
    }
    assert {name: _values(told[f"taskpush_{name}"]) for name in alone} == {
        name: {(): value} for name, value in alone.items()
    }
    counters = {name for name, family in told.items() if family.type == "counter"}
    assert counters == {
        "taskpush_connections_cut_off",
        "taskpush_events",
        "taskpush_pushes",
        "taskpush_telemetry_events",
        "process_cpu_seconds",
    }
    assert all(family.documentation for family in told.values())


def test_a_histogram_counts_up_to_each_bound_and_keeps_names_apart_whatever_they_hold() -> None:
    family = families()["taskpush_attempt_duration_seconds"]
    ended = {"kind": 'lay"out\n', "status": "completed"}
    buckets = {
        sample.labels["le"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_bucket")
    }
    assert (buckets["0.1"], buckets["0.5"], buckets["3600.0"], buckets["+Inf"]) == (0, 1, 1, 2)
    assert [*buckets.values()] == sorted(buckets.values())
    whole = {it.name.rpartition("_")[2]: it for it in family.samples if "le" not in it.labels}
    assert (whole["count"].value, whole["sum"].value) == (2, 7200.2)
    assert whole["count"].labels == ended


def test_a_store_that_cannot_be_counted_has_no_figures_and_the_rest_is_told() -> None:
    told = families(replace(FIGURES, store=None))
    assert not [name for name in told if name.startswith("taskpush_store")]
    assert "taskpush_connections" in told


def test_nothing_of_it_is_in_the_librarys_own_registry() -> None:
    families()
    assert not [it.name for it in REGISTRY.collect() if it.name.startswith("taskpush")]
