"""A program that reports by a `Reporter`, for tests that kill it, its server or the link between.

    python -m tests.support.reporting URL SECONDS [TASK_ID]

Says what it found on its standard output, as JSON.
"""

from __future__ import annotations

import json
import sys
import time

from taskpush import Reporter

PAUSE_S = 0.05


def main(url: str, seconds: str, task_id: str | None = None) -> None:
    began = time.perf_counter()
    until = began + float(seconds)
    in_calls = 0.0
    longest = 0.0
    turns = 0
    with Reporter.start(url, "render", {"scene": "quay"}, task_id=task_id) as report:
        print(report.task_id, flush=True)
        while time.perf_counter() < until:
            time.sleep(PAUSE_S)
            before, used_before = time.perf_counter(), time.thread_time()
            report.iteration(turns, {"noise": 1 / (turns + 1)})
            report.progress(turns, 100_000, unit="frame")
            report.log(f"line {turns}")
            # What they cost, and whether one waited: others keep the cores busy, too.
            in_calls += time.thread_time() - used_before
            longest = max(longest, time.perf_counter() - before)
            turns += 1
        report.complete({"frames": turns})
        took_s = time.perf_counter() - began
        report.close(30)
    found = {"turns": turns, "in_calls_s": in_calls, "longest_s": longest, "took_s": took_s}
    print(json.dumps({**found, "lost": report.lost, "left_out": report.left_out}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
