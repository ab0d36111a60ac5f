"""A run takes ratios turn by turn, and goes on without what is missing or fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.adapters import OURS, SERVERS
from bench.adapters.base import Server, Unavailable
from bench.adapters.plain import PlainSocketIO
from bench.runs import Plan, ratios, run, spread
from bench.scenarios.base import Measurement, Scenario, Sizes


class Absent(PlainSocketIO):
    """A server that is not installed."""

    name = "absent"

    @classmethod
    def versions(cls) -> dict[str, str]:
        """There are none."""
        raise Unavailable("not installed, see make setup-bench")


def test_ratios_are_taken_within_a_turn() -> None:
    turns: list[dict[str, Measurement]] = [
        {OURS: {"cpu": 2.0}, "node": {"cpu": 4.0}},
        {OURS: {"cpu": 20.0}, "node": {"cpu": 20.0}},
        {OURS: {"cpu": 3.0}, "node": {"cpu": 2.0}},
        {OURS: {"cpu": 9.0}},
    ]

    assert ratios(turns, "node", ["cpu"])["cpu"] == {"median": 1.0, "min": 0.5, "max": 1.5}


def test_a_spread_is_the_median_between_the_ends() -> None:
    assert spread([5, 1, 3]) == {"median": 3, "min": 1, "max": 5}


def test_what_is_missing_or_fails_is_reported_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    def measure(kind: type[Server], folder: Path, sizes: Sizes) -> Measurement:
        tried.append(kind.name)
        if kind.name == "node":
            raise RuntimeError("it broke")
        return {"cpu": 1.0, "exact": True}

    monkeypatch.setitem(SERVERS, Absent.name, Absent)
    monkeypatch.setattr(SERVERS["node"], "versions", classmethod(lambda cls: {}))
    names = (OURS, "absent", "node")
    scenario = Scenario("one", "One", names, measure, ("cpu",))
    said: list[str] = []

    (results,) = run(Plan([scenario], names, Sizes(), repeats=4), said.append)

    assert results["missing"] == {"absent": "not installed, see make setup-bench"}
    one = results["scenarios"]["one"]
    assert one["failures"] == ["node, turn 1: it broke", "node, turn 2: it broke"]
    assert one["summary"] == {OURS: {"cpu": spread([1]), "exact": True}}
    assert any("it broke" in text for text in said)
    assert (tried.count(OURS), tried.count("node")) == (4, 2)
