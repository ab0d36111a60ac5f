"""Handlers that only a process of their own can bear; see `kinds`."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from taskpush.runner.context import TaskCancelled, TaskContext


def crash(ctx: TaskContext) -> None:
    """Dies as a segmentation fault would have it."""
    ctx.log("begun")
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def vanish(ctx: TaskContext) -> None:
    """Ends its process without a word."""
    os._exit(7)


class Beat(BaseModel):
    """A file to write into while alive."""

    file: str


def stubborn(ctx: TaskContext, params: Beat) -> None:
    """Ignores cancels and SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(params.file).write_text(str(os.getpid()), encoding="utf-8")
    ctx.log("begun")
    while True:
        with contextlib.suppress(TaskCancelled):
            ctx.progress(message="still here")
        time.sleep(0.001)


def burn(ctx: TaskContext, params: Beat) -> None:
    """Computes without a pause, and never reports."""
    Path(params.file).write_text(str(os.getpid()), encoding="utf-8")
    while True:
        sum(i * i for i in range(10_000))


def hold_the_lock(ctx: TaskContext, params: Beat) -> None:
    """Never gives up the interpreter's lock, so that no other thread of the worker runs."""
    Path(params.file).write_text(str(os.getpid()), encoding="utf-8")
    re.match("(a+)+$", "a" * 60 + "b")


def parent_of_another(ctx: TaskContext, params: Beat) -> None:
    """Starts a process of its own, and ignores cancels."""
    other = subprocess.Popen(["sleep", "600"])
    Path(params.file).write_text(str(other.pid), encoding="utf-8")
    ctx.log("begun")
    while True:
        time.sleep(0.001)


def leave_something_running(ctx: TaskContext) -> int:
    """Completes, and leaves a process of its own behind."""
    return subprocess.Popen(["sleep", "600"]).pid


def hold_on_to_socket(ctx: TaskContext) -> None:
    """Dies, but leaves a forked child behind that has the socket open."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(5)
        os._exit(0)
    os._exit(9)


def surroundings(ctx: TaskContext) -> dict[str, Any]:
    """What its process looks like."""
    return {
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "path": sys.path,
        "pythonpath": os.environ.get("PYTHONPATH"),
        "mark": os.environ.get("TASKPUSH_TEST_MARK"),
        "secrets": [name for name, value in os.environ.items() if "canary" in value],
        "modules": sorted(sys.modules),
    }


def crash_once(ctx: TaskContext) -> Any:
    """Makes a checkpoint and dies; the next attempt returns what it finds."""
    if ctx.resumed_from is None:
        ctx.checkpoint({"attempt": ctx.attempt})
        os._exit(7)
    return ctx.resumed_from
