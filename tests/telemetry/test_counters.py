"""What is counted of what happens."""

from __future__ import annotations

from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.counters import EventCounters, Histogram
from taskpush.telemetry.events import ServerStopped, TaskEnded, TelemetryEvent


def test_a_value_counts_up_to_its_bound_and_for_all_above() -> None:
    histogram = Histogram((1, 2, 5))
    for value in (0.5, 1.0, 1.5, 5.0, 7.0):
        histogram.observe(value)
    told = histogram.distribution
    assert told.buckets == [(1, 2), (2, 3), (5, 4)]
    assert (told.count, told.sum) == (5, 15.0)


def test_every_event_is_counted_by_its_name_and_the_others_are_0() -> None:
    counters = EventCounters()
    telemetry = Telemetry(counters)
    telemetry.emit(ServerStopped(interrupted=0))
    telemetry.emit(ServerStopped(interrupted=1))
    assert counters.events["server.stopped"] == 2
    assert counters.events["server.started"] == 0
    assert counters.events.keys() == {it.name for it in TelemetryEvent.__subclasses__()}


def test_attempts_are_told_by_kind_and_by_how_they_ended() -> None:
    counters = EventCounters()
    for kind, status, took_s in (("a", "completed", 2.0), ("a", "failed", 1), ("a", "failed", 3)):
        counters(TaskEnded("t", kind, 1, status, took_s))
    told = counters.attempts
    assert told.keys() == {("a", "completed"), ("a", "failed")}
    assert (told["a", "failed"].count, told["a", "failed"].sum) == (2, 4)
