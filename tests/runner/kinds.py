"""Handlers for tests, at the top of a module so that worker processes can import them.

A plain one is run in a thread and in a process; `a_` before the name is the same for the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from taskpush.runner.context import TaskCancelled, TaskContext
from taskpush.runner.kind import Handler


class Style(StrEnum):
    """Where a test has its handler run."""

    LOOP = "loop"
    THREAD = "thread"
    PROCESS = "process"


def handler_for(name: str, style: Style) -> Handler:
    """The handler called `name`, as the style needs it."""
    handler: Handler = globals()[f"a_{name}" if style is Style.LOOP else name]
    return handler


class Params(BaseModel):
    """How many rounds."""

    rounds: int = Field(default=3, ge=0)


class Result(BaseModel):
    """How many rounds there were."""

    rounds: int


class OddError(Exception):
    """Something only these handlers raise."""


async def a_everything(ctx: TaskContext, params: Params) -> Result:
    """Uses every way to report."""
    for i in ctx.track(range(1, params.rounds + 1), description="rounds"):
        await ctx.iteration(i, metrics={"half": i / 2})
        await ctx.log(f"round {i}", round=i)
        await ctx.stats(rounds=i)
    ctx.logger.warning("nearly %s", "done")
    await ctx.artifact("notes.txt", "content")
    return Result(rounds=params.rounds)


def everything(ctx: TaskContext, params: Params) -> Result:
    """Uses every way to report."""
    for i in ctx.track(range(1, params.rounds + 1), description="rounds"):
        ctx.iteration(i, metrics={"half": i / 2})
        ctx.log(f"round {i}", round=i)
        ctx.stats(rounds=i)
    ctx.logger.warning("nearly %s", "done")
    ctx.artifact("notes.txt", "content")
    return Result(rounds=params.rounds)


async def a_fail(ctx: TaskContext) -> None:
    """Raises."""
    raise OddError("the oven is cold")


def fail(ctx: TaskContext) -> None:
    """Raises."""
    raise OddError("the oven is cold")


async def a_miss(ctx: TaskContext) -> None:
    """Looks for what is not there."""
    raise KeyError("to")


def miss(ctx: TaskContext) -> None:
    """Looks for what is not there."""
    raise KeyError("to")


async def a_leave(ctx: TaskContext) -> None:
    """Calls sys.exit()."""
    sys.exit("bye")


def leave(ctx: TaskContext) -> None:
    """Calls sys.exit()."""
    sys.exit("bye")


async def a_shout(ctx: TaskContext) -> None:
    """Raises with a message that is long and has no UTF-8 form."""
    raise OddError("\ud800" + "x" * 100_000)


def shout(ctx: TaskContext) -> None:
    """Raises with a message that is long and has no UTF-8 form."""
    raise OddError("\ud800" + "x" * 100_000)


async def a_nan(ctx: TaskContext) -> dict[str, float]:
    """Returns what is not JSON."""
    return {"loss": float("nan")}


def nan(ctx: TaskContext) -> dict[str, float]:
    """Returns what is not JSON."""
    return {"loss": float("nan")}


async def a_large(ctx: TaskContext) -> str:
    """Returns more than an event holds."""
    return "x" * 100_000


def large(ctx: TaskContext) -> str:
    """Returns more than an event holds."""
    return "x" * 100_000


async def a_until_cancelled(ctx: TaskContext) -> None:
    """Works until it is cancelled."""
    await ctx.log("begun")
    await asyncio.Event().wait()


def until_cancelled(ctx: TaskContext) -> None:
    """Works until it is cancelled."""
    ctx.log("begun")
    while True:
        ctx.progress(message="on it")
        time.sleep(0.001)


async def a_finish_anyway(ctx: TaskContext) -> str:
    """Notices the cancel, and completes all the same."""
    await ctx.log("begun")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "done anyway"
    return "never"


def finish_anyway(ctx: TaskContext) -> str:
    """Notices the cancel, and completes all the same."""
    ctx.log("begun")
    while not ctx.cancel_requested:
        time.sleep(0.001)
    return "done anyway"


async def a_stumble(ctx: TaskContext) -> None:
    """Fails while it cleans up after a cancel."""
    await ctx.log("begun")
    try:
        await asyncio.Event().wait()
    finally:
        raise OddError("cleaning up failed")


def stumble(ctx: TaskContext) -> None:
    """Fails while it cleans up after a cancel."""
    ctx.log("begun")
    try:
        while True:
            ctx.progress(message="on it")
            time.sleep(0.001)
    except TaskCancelled:
        raise OddError("cleaning up failed") from None


async def a_bad_values(ctx: TaskContext) -> str:
    """Reports what cannot travel, and completes."""
    await ctx.iteration(1, {"loss": float("nan"), "good": 1.5, "huge": 2**60})
    await ctx.progress(5, 10)
    await ctx.progress(4, 10, message="further")
    await ctx.log("with fields", bad=object(), fine=1)
    await ctx.log("a \ud800 surrogate")
    await ctx.stats(worst=float("inf"), best=2)
    await ctx.preview("half way", "text/plain")
    await ctx.preview(b"x" * 200_000, "image/png")
    return "unharmed"


def bad_values(ctx: TaskContext) -> str:
    """Reports what cannot travel, and completes."""
    ctx.iteration(1, {"loss": float("nan"), "good": 1.5, "huge": 2**60})
    ctx.progress(5, 10)
    ctx.progress(4, 10, message="further")
    ctx.log("with fields", bad=object(), fine=1)
    ctx.log("a \ud800 surrogate")
    ctx.stats(worst=float("inf"), best=2)
    ctx.preview("half way", "text/plain")
    ctx.preview(b"x" * 200_000, "image/png")
    return "unharmed"


async def a_bad_artifact(ctx: TaskContext) -> str:
    """Keeps a file that is not there."""
    await ctx.artifact("gone.bin", Path("/nowhere/gone.bin"))
    return "unharmed"


def bad_artifact(ctx: TaskContext) -> str:
    """Keeps a file that is not there."""
    ctx.artifact("gone.bin", Path("/nowhere/gone.bin"))
    return "unharmed"


class Flood(BaseModel):
    """How many reports to send as fast as possible."""

    count: int


async def a_flood(ctx: TaskContext, params: Flood) -> None:
    """Sends progress and stats without a pause."""
    for i in range(1, params.count + 1):
        await ctx.progress(i, params.count)
        await ctx.stats(turns=i)


def flood(ctx: TaskContext, params: Flood) -> None:
    """Sends progress and stats without a pause."""
    for i in range(1, params.count + 1):
        ctx.progress(i, params.count)
        ctx.stats(turns=i)


async def a_chatter(ctx: TaskContext, params: Flood) -> None:
    """Writes log lines without a pause."""
    for i in range(params.count):
        await ctx.log(f"line {i}")


def chatter(ctx: TaskContext, params: Flood) -> None:
    """Writes log lines without a pause."""
    for i in range(params.count):
        ctx.log(f"line {i}")


async def a_chatter_on(ctx: TaskContext) -> None:
    """Writes log lines until it is stopped."""
    while True:
        await ctx.log("and another thing")
        await asyncio.sleep(0.001)


def chatter_on(ctx: TaskContext) -> None:
    """Writes log lines until it is stopped."""
    while True:
        ctx.log("and another thing")
        time.sleep(0.001)


# -- checkpoints ----------------------------------------------------------------


class Steps(BaseModel):
    """Steps to take, and after which of them to raise on the first attempt."""

    steps: int = 4
    fail_after: int | None = None


async def a_stepwise(ctx: TaskContext, params: Steps) -> list[int]:
    """Makes a checkpoint after each step; returns the steps that this attempt took."""
    taken = []
    done = ctx.resumed_from["done"] if ctx.resumed_from else 0
    for step in range(done + 1, params.steps + 1):
        await ctx.progress(step, params.steps)
        taken.append(step)
        await ctx.checkpoint({"done": step}, label=f"step {step}")
        if step == params.fail_after and ctx.attempt == 1:
            raise OddError("half-way")
    return taken


def stepwise(ctx: TaskContext, params: Steps) -> list[int]:
    """Makes a checkpoint after each step; returns the steps that this attempt took."""
    taken = []
    done = ctx.resumed_from["done"] if ctx.resumed_from else 0
    for step in range(done + 1, params.steps + 1):
        ctx.progress(step, params.steps)
        taken.append(step)
        ctx.checkpoint({"done": step}, label=f"step {step}")
        if step == params.fail_after and ctx.attempt == 1:
            raise OddError("half-way")
    return taken


async def a_last_words(ctx: TaskContext) -> Any:
    """Works until it is stopped, and makes a checkpoint then; returns the one it finds."""
    if ctx.resumed_from is not None:
        return ctx.resumed_from
    await ctx.log("begun")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await ctx.checkpoint("last words")
        raise


def last_words(ctx: TaskContext) -> Any:
    """Works until it is stopped, and makes a checkpoint then; returns the one it finds."""
    if ctx.resumed_from is not None:
        return ctx.resumed_from
    ctx.log("begun")
    try:
        while True:
            ctx.progress(message="on it")
            time.sleep(0.001)
    except TaskCancelled:
        ctx.checkpoint("last words")
        with contextlib.suppress(TaskCancelled):
            ctx.checkpoint("never kept")
        raise


def polite(ctx: TaskContext) -> Any:
    """Asks whether it is to stop, and makes a checkpoint before it does."""
    ctx.log("begun")
    while not ctx.cancel_requested:
        time.sleep(0.001)
    ctx.checkpoint("by itself")
    ctx.progress(message="never said")


async def a_polite(ctx: TaskContext) -> Any:
    """Asks whether it is to stop, and makes a checkpoint before it does."""
    await a_last_words(ctx)


class Size(BaseModel):
    """How many characters to keep."""

    size: int


async def a_big_state(ctx: TaskContext, params: Size) -> int:
    """Keeps a text and fails; returns the length of what it finds."""
    if ctx.resumed_from is None:
        await ctx.checkpoint("x" * params.size)
        raise OddError("again")
    return len(str(ctx.resumed_from))


def big_state(ctx: TaskContext, params: Size) -> int:
    """Keeps a text and fails; returns the length of what it finds."""
    if ctx.resumed_from is None:
        ctx.checkpoint("x" * params.size)
        raise OddError("again")
    return len(str(ctx.resumed_from))


async def a_bad_states(ctx: TaskContext) -> None:
    """Makes one checkpoint that can be kept, and some that cannot."""
    await ctx.checkpoint({"good": 1})
    await ctx.checkpoint({"good": 2, "bad": float("nan")})
    await ctx.checkpoint({"bad": object()})
    await ctx.checkpoint("x" * (16 * 1024 * 1024))


def bad_states(ctx: TaskContext) -> None:
    """Makes one checkpoint that can be kept, and some that cannot."""
    ctx.checkpoint({"good": 1})
    ctx.checkpoint({"good": 2, "bad": float("nan")})
    ctx.checkpoint({"bad": object()})
    ctx.checkpoint("x" * (16 * 1024 * 1024))


class Speech(BaseModel):
    """What to print, in how many turns."""

    word: str
    turns: int = 3


async def a_talk(ctx: TaskContext, params: Speech) -> None:
    """Prints, with others printing in between; half of a line at a time."""
    for turn in range(params.turns):
        print(params.word, end=" ")
        await asyncio.sleep(0)
        print(turn)
    await asyncio.gather(*(_say_later(params.word) for _ in range(2)))
    await asyncio.to_thread(print, params.word, "from a thread")
    print("no end", end="")


async def _say_later(word: str) -> None:
    await asyncio.sleep(0)
    print(word, "from a task")


def talk(ctx: TaskContext, params: Speech) -> None:
    """Prints, with others printing in between; half of a line at a time."""
    for turn in range(params.turns):
        print(params.word, end=" ")
        time.sleep(0.002)
        print(turn)
        ctx.log(f"between {turn}")
    print("no end", end="")


def babble(ctx: TaskContext) -> None:
    """Prints until it is stopped, and reports nothing."""
    while True:
        print("and")
        time.sleep(0.001)


def talk_beside(ctx: TaskContext) -> None:
    """Prints from a thread and from another program."""
    thread = threading.Thread(target=print, args=("from a thread of its own",))
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", "print('from a program')"], check=True)
    print("from the handler")
