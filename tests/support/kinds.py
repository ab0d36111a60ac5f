"""Kinds for tests: each does one thing that a test needs done."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
import time
import zlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from taskpush import Sensitive, TaskCancelled, TaskContext, TaskPush
from taskpush.runner.policy import Backoff

push = TaskPush(default_kind="iterate")


class RenderParams(BaseModel):
    """What a producer outside the server is to render."""

    scene: str = "harbour"


class Rendered(BaseModel):
    """What it gives back."""

    frames: int


push.kind("render", params=RenderParams, result=Rendered, external=True, max_attempts=2)


class IterateParams(BaseModel):
    """How many iterations, how long each waits, and what it says beside them."""

    iterations: int = Field(default=20, ge=0, le=100_000)
    pause_s: float = Field(default=0, ge=0, le=60)
    log_every: int = Field(default=0, ge=0)


class IterateResult(BaseModel):
    """What 004's optimiser returned."""

    experiment_dir: str
    final_iteration: int
    num_components: int


@push.task("iterate", concurrency=500)
async def iterate(ctx: TaskContext, params: IterateParams) -> IterateResult:
    """An async job that iterates."""
    for i in range(1, params.iterations + 1):
        await asyncio.sleep(params.pause_s)
        ctx.progress(i, params.iterations, unit="iteration", message=f"iteration {i}")
        await ctx.iteration(i, metrics={"max_temp": 60 - i / 10, "min_clearance": 5.2})
        if params.log_every and i % params.log_every == 0:
            ctx.log(f"line {i}", iteration=i)
    return IterateResult(
        experiment_dir=f"experiments/run_{ctx.task_id}",
        final_iteration=params.iterations,
        num_components=5,
    )


@push.task("collector")
async def collector(ctx: TaskContext) -> dict[str, int]:
    """Tells how the cycle collector of the server is set."""
    return {
        "enabled": gc.isenabled(),
        "threshold": gc.get_threshold()[0],
        "frozen": gc.get_freeze_count(),
    }


class FloodParams(BaseModel):
    """How many steps, how long each waits, how much it logs and how often it reports progress."""

    steps: int = Field(default=100, ge=0, le=100_000)
    pause_s: float = Field(default=0.02, ge=0, le=60)
    line_chars: int = Field(default=2000, ge=0, le=16_000)
    reports: int = Field(default=5, ge=0)


@push.task("flood", concurrency=500)
async def flood(ctx: TaskContext, params: FloodParams) -> int:
    """An async job that says more than a slow watcher takes."""
    for step in range(1, params.steps + 1):
        await asyncio.sleep(params.pause_s)
        for part in range(params.reports):
            ctx.progress(step - 1 + (part + 1) / params.reports, params.steps)
            ctx.stats(step=step, part=part)
        await ctx.log("x" * params.line_chars, step=step)
    return params.steps


class ComputeParams(BaseModel):
    """How long to compute, and a file that a worker touches while it lives."""

    seconds: float = 2
    heartbeat: str | None = None


def _compute(ctx: TaskContext, params: ComputeParams) -> int:
    """Keep a core busy with pure Python, which holds the interpreter's lock."""
    until = time.monotonic() + params.seconds
    turns = 0
    while time.monotonic() < until:
        sum(i * i for i in range(2000))
        turns += 1
        if turns % 50 == 0:
            ctx.progress(turns, unit="turn")
            if params.heartbeat:
                Path(params.heartbeat).write_text(str(time.time()), encoding="utf-8")
    return turns


@push.task("compute_thread")
def compute_thread(ctx: TaskContext, params: ComputeParams) -> int:
    """A CPU-bound job in a thread."""
    return _compute(ctx, params)


@push.task("compute_process", process=True, concurrency=4)
def compute_process(ctx: TaskContext, params: ComputeParams) -> int:
    """A CPU-bound job in a worker process."""
    return _compute(ctx, params)


class BlockParams(BaseModel):
    """How long to hold the event loop."""

    seconds: float = 1.5


@push.task("block")
async def block(ctx: TaskContext, params: BlockParams) -> None:
    """What nobody should do: block in an async handler."""
    time.sleep(params.seconds)  # noqa: ASYNC251 - blocking is what this kind is for


class FailParams(BaseModel):
    """What the error says."""

    message: str = "component battery does not fit"


@push.task("fail")
async def fail(ctx: TaskContext, params: FailParams) -> None:
    """A job that reports a little, then fails."""
    await ctx.iteration(1, metrics={"max_temp": 50.0})
    raise ValueError(params.message)


class VaultParams(BaseModel):
    """A login, and whether to fail with it."""

    user: str = "ann"
    password: Annotated[str, Sensitive] = ""
    fails: bool = False
    seconds: float = 0


class VaultResult(BaseModel):
    """What the vault held."""

    user: str
    content: Annotated[str, Sensitive]


@push.task("vault")
async def vault(ctx: TaskContext, params: VaultParams) -> VaultResult:
    """A job whose params and result hold secrets."""
    await asyncio.sleep(params.seconds)
    if params.fails:
        raise PermissionError(f"the vault did not open with {params.password}")
    return VaultResult(user=params.user, content=f"content for {params.password}")


class LeakyParams(BaseModel):
    """What it tells everywhere, how long it takes, and whether it fails."""

    canary: str
    secret: Annotated[str, Sensitive] = ""
    seconds: float = 0
    fails: bool = False


@push.task("leaky", concurrency=6, queue_visibility="titles")
async def leaky(ctx: TaskContext, params: LeakyParams) -> dict[str, str]:
    """A job that tells what it was given wherever it can."""
    await ctx.log(f"log: {params.canary}", canary=params.canary)
    ctx.progress(1, 2, message=params.canary, stage=params.canary)
    ctx.preview(params.canary, "text/plain")
    await ctx.artifact("note.txt", params.canary)
    await ctx.checkpoint({"canary": params.canary})
    await asyncio.sleep(params.seconds)
    if params.fails:
        raise ValueError(f"error: {params.secret or params.canary}")
    return {"canary": params.canary}


@push.task("awkward")
async def awkward(ctx: TaskContext) -> dict[str, int]:
    """A job that reports what cannot travel, and goes on."""
    await ctx.iteration(1, metrics={"good": 1.5, "nan": float("nan")})
    await ctx.iteration(2, metrics={"good": 2.5, "huge": 2**60})
    await ctx.iteration(3, metrics={"good": 3.5})
    return {"iterations": 3}


@push.task("files", concurrency=4)
def files(ctx: TaskContext) -> None:
    """A job that makes files, one of them twice."""
    ctx.artifact("layout.json", '{"version": 1}')
    ctx.artifact("page.html", "<script>alert(1)</script>", media_type="text/html")
    ctx.artifact("layout.json", '{"version": 2}')


@push.task("long_text")
def long_text(ctx: TaskContext) -> None:
    """A job that makes a text of which nobody wants all at once."""
    ctx.artifact("long.txt", "\n".join(f"line {number}" for number in range(20_000)))


@push.task("drafts")
async def drafts(ctx: TaskContext) -> None:
    """A job with a file of each attempt: the first fails, the second waits, the others complete."""
    await ctx.artifact("draft.txt", f"draft {ctx.attempt}")
    if ctx.attempt == 1:
        raise ValueError("a bad start")
    if ctx.attempt == 2:
        await asyncio.sleep(600)


@push.task("large_result")
async def large_result(ctx: TaskContext) -> dict[str, Any]:
    """A job whose result does not fit into an event."""
    return {"numbers": list(range(20_000))}


class SleepParams(BaseModel):
    """How long to wait."""

    seconds: float = 600


@push.task("narrow", concurrency=1, queue_limit=10)
async def narrow(ctx: TaskContext, params: SleepParams) -> None:
    """A job that waits, one at a time, of which ten may be pending."""
    await asyncio.sleep(params.seconds)


@push.task("sleep", concurrency=2)
async def sleep(ctx: TaskContext, params: SleepParams) -> None:
    """A job that waits, two at a time."""
    await ctx.log("sleeping")
    await asyncio.sleep(params.seconds)


class StubbornParams(BaseModel):
    """A file that holds the pid of the worker."""

    pid_file: str


@push.task("stubborn", process=True)
def stubborn(ctx: TaskContext, params: StubbornParams) -> None:
    """A process job that ignores everything that can be ignored."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(params.pid_file).write_text(str(os.getpid()), encoding="utf-8")
    ctx.log("begun")
    while True:
        with contextlib.suppress(TaskCancelled):
            ctx.progress(message="still here")
        time.sleep(0.01)


@push.task("deaf_loop")
async def deaf_loop(ctx: TaskContext) -> None:
    """An async job that goes on whatever it is asked."""
    await ctx.log("begun")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)


@push.task("deaf_thread")
def deaf_thread(ctx: TaskContext) -> None:
    """A job in a thread that goes on whatever it is asked."""
    ctx.log("begun")
    while True:
        with contextlib.suppress(TaskCancelled):
            ctx.progress(message="still here")
        time.sleep(0.05)


@push.task("until_stopped")
def until_stopped(ctx: TaskContext) -> None:
    """A job in a thread that reports until it is stopped."""
    ctx.log("begun")
    while True:
        ctx.progress(message="on it")
        time.sleep(0.01)


@push.task("slow_loop", timeout_s=0.5)
async def slow_loop(ctx: TaskContext) -> None:
    """An async job that takes longer than it may."""
    await asyncio.sleep(600)


@push.task("slow_thread", timeout_s=0.5)
def slow_thread(ctx: TaskContext) -> None:
    """A job in a thread that takes longer than it may."""
    until_stopped(ctx)


@push.task("slow_process", process=True, timeout_s=0.5)
def slow_process(ctx: TaskContext) -> None:
    """A process job that takes longer than it may."""
    until_stopped(ctx)


@push.task("unlucky", max_attempts=3, backoff=Backoff(first_s=0.2, longest_s=0.4))
async def unlucky(ctx: TaskContext) -> None:
    """A job that always fails, and is tried three times."""
    raise ValueError(f"attempt {ctx.attempt} failed")


class StepsParams(BaseModel):
    """How many steps, and how long each takes."""

    steps: int = 60
    pause_s: float = 0.05


@push.task("stepwise", process=True, resume="auto")
def stepwise(ctx: TaskContext, params: StepsParams) -> dict[str, Any]:
    """A job with a checkpoint after each step; returns which steps the last attempt took."""
    began_at = ctx.resumed_from["step"] if ctx.resumed_from else 0
    for step in range(began_at + 1, params.steps + 1):
        time.sleep(params.pause_s)
        ctx.iteration(step, metrics={"step": step})
        ctx.checkpoint({"step": step})
    return {"began_at": began_at, "attempt": ctx.attempt}


class KillerParams(BaseModel):
    """The file whose appearance it waits for."""

    trigger: str


@push.task("server_killer", resume="auto")
def server_killer(ctx: TaskContext, params: KillerParams) -> None:
    """A job in a thread that takes its server down."""
    while not Path(params.trigger).exists():
        ctx.progress(message="aiming")
        time.sleep(0.01)  # Another process makes it.
    os.kill(os.getpid(), signal.SIGKILL)


class PaintParams(BaseModel):
    """How many pictures, how large, and how long to wait after each."""

    pictures: int = 5
    size_bytes: int = 150 * 1024
    pause_s: float = 0.1


def picture(n: int, size_bytes: int) -> bytes:
    """A PNG `n` pixels wide; behind its end bytes of all values, always the same."""
    width = n.to_bytes(4, "big")
    parts = [
        (b"IHDR", width + b"\0\0\0\1\x08\0\0\0\0"),
        (b"IDAT", zlib.compress(bytes(1 + n))),
        (b"IEND", b""),
    ]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in parts
    )
    return png + random.Random(n).randbytes(size_bytes - len(png))


def _paint(ctx: TaskContext, params: PaintParams) -> None:
    for n in range(1, params.pictures + 1):
        ctx.preview(picture(n, params.size_bytes), "image/png")
        ctx.iteration(n, metrics={"n": n})
        time.sleep(params.pause_s)


@push.task("paint_loop")
async def paint_loop(ctx: TaskContext, params: PaintParams) -> None:
    """An async job that shows pictures."""
    for n in range(1, params.pictures + 1):
        await ctx.preview(picture(n, params.size_bytes), "image/png")
        await ctx.iteration(n, metrics={"n": n})
        await asyncio.sleep(params.pause_s)


@push.task("paint_thread")
def paint_thread(ctx: TaskContext, params: PaintParams) -> None:
    """A job in a thread that shows pictures."""
    _paint(ctx, params)


@push.task("paint_process", process=True)
def paint_process(ctx: TaskContext, params: PaintParams) -> None:
    """A job in a process that shows pictures."""
    _paint(ctx, params)


class WordyParams(BaseModel):
    """How many lines to write, and how many entries each has."""

    lines: int = 20
    entries: int = 200


@push.task("wordy")
async def wordy(ctx: TaskContext, params: WordyParams) -> None:
    """An async job whose log lines take kilobytes."""
    for line in range(params.lines):
        await ctx.log(f"line {line}", parts=[f"part {n}" for n in range(params.entries)])


_LONG_LINE = "x" * 10_000_000
_first_attempts: dict[str, TaskContext] = {}


@push.task("hostile", timeout_s=3, max_attempts=2, backoff=Backoff(first_s=0.01))
async def hostile(ctx: TaskContext) -> Any:
    """A job that says too much, takes back what it said, and speaks for an attempt that is over."""
    if ctx.attempt == 1:
        _first_attempts[ctx.task_id] = ctx
        await asyncio.sleep(600)
    await ctx.log(_LONG_LINE)
    ctx.progress(50, 100)
    ctx.progress(10, 100)
    before = _first_attempts.pop(ctx.task_id)
    with contextlib.suppress(Exception):
        await before.log("from the grave")
    with contextlib.suppress(Exception):
        await before.iteration(1, metrics={"from the grave": 1.0})
    return object()
