"""The benchmark runs, small: what it measures is delivered, and its figures are kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from bench.adapters import OURS, SERVERS
from bench.event import DEFAULT_SIZE_BYTES, packet
from bench.processes import ROOT
from bench.scenarios import SCENARIOS

PEER = "python-socketio"
WATCHERS, EVENTS = 20, 25


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_burst_reaches_every_watcher_of_each_server_and_is_kept_as_json(tmp_path: Path) -> None:
    done = bench(
        *("--scenario", "burst", "--repeats", "1", "--peer", OURS, "--peer", PEER),
        *("--name", "smoke", "--results", str(tmp_path)),
        *("--watchers", str(WATCHERS), "--events", str(EVENTS)),
    )

    assert done.returncode == 0, done.stderr
    assert SERVERS[PEER].title.split(",")[0] in done.stdout
    results = orjson.loads((tmp_path / "smoke.json").read_bytes())
    assert {"started", "machine", "versions", "missing", "sizes", "repeats"} < set(results)
    assert set(results["versions"]) == {OURS, PEER}
    burst = results["scenarios"]["burst"]
    assert burst["failures"] == []
    assert set(burst["ratios"][PEER]) == set(SCENARIOS["burst"].figures)
    (turn,) = burst["turns"]
    for name in (OURS, PEER):
        assert turn[name]["exact"], done.stderr
        assert turn[name]["deliveries"] == WATCHERS * EVENTS
        assert turn[name]["cpu_us_per_delivery"] > 0


@pytest.mark.full
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_delivers_what_was_sent(scenario: str, tmp_path: Path) -> None:
    done = bench(
        *("--scenario", scenario, "--repeats", "1", "--peer", OURS, "--peer", "floor"),
        *("--name", "small", "--results", str(tmp_path), "--duration-s", "1"),
        *("--watchers", "10", "--events", "10", "--connections", "50", "--returning", "20"),
        *("--stalled", "5", "--creates", "20"),
    )

    assert done.returncode == 0, done.stderr
    summary = orjson.loads((tmp_path / "small.json").read_bytes())["scenarios"][scenario]["summary"]
    assert set(SCENARIOS[scenario].figures) <= set(summary[OURS])


def test_every_server_sends_events_of_the_same_size() -> None:
    event = packet("5f0c9a4e-6d0f-4a53-9d7e-2f3b8f7c1a10", 42)

    # Off by the digits of the machine's uptime.
    assert abs(len(event) - DEFAULT_SIZE_BYTES) <= 4
