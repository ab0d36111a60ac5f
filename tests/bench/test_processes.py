"""What a process costs is what its threads and children cost, also when they are gone."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from bench.processes import NotStarted, Process, cpu_s_of, free_port


def is_running(pid: int) -> bool:
    """Whether there is such a process, other than one that its parent has yet to bury."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def test_the_cpu_time_of_threads_that_have_ended_counts() -> None:
    before = cpu_s_of(os.getpid())
    thread = threading.Thread(target=lambda: sum(range(10_000_000)))
    thread.start()
    thread.join()

    assert cpu_s_of(os.getpid()) - before > 0.02
    assert cpu_s_of(os.getpid()) == pytest.approx(sum(os.times()[:2]), abs=0.1)


def test_the_cpu_time_of_children_counts_and_they_end_with_it(tmp_path: Path) -> None:
    # The shell waits, its child computes.
    script = "while :; do :; done & echo $!; wait"
    process = Process(["sh", "-c", script], tmp_path / "log")
    try:
        deadline = time.monotonic() + 30
        while process.cpu_s() < 0.2:
            assert time.monotonic() < deadline
    finally:
        process.stop()
    child = int(process.said)
    while is_running(child):
        assert time.monotonic() < deadline


def test_a_server_that_ends_early_is_reported_with_what_it_said(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "echo no such thing; exit 3"], tmp_path / "log")

    with pytest.raises(NotStarted, match=r"exit code 3\): no such thing"):
        process.wait_for(free_port())
