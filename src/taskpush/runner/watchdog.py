"""Notices a blocked event loop while it is still blocked, and names who holds it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Final

from taskpush.runner.execution import RUNNING, Running
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import LoopBlocked
from taskpush.telemetry.lag import LoopLag

BLOCKED_S: Final = 0.25
PING_S: Final = 0.1


class Watchdog:
    """Asks the loop for a sign of life, from a daemon thread.

    One blockage makes one `LoopBlocked`, after `blocked_s` seconds of it. `start` and `stop` are
    called on the loop that is watched. `lag` is told how late each sign was.
    """

    def __init__(
        self, telemetry: Telemetry, lag: LoopLag | None = None, *, blocked_s: float = BLOCKED_S
    ) -> None:
        self._telemetry = telemetry
        self._lag = LoopLag() if lag is None else lag
        self._blocked_s = blocked_s
        self._stopped = threading.Event()
        # None until started.
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        loop, thread_id = asyncio.get_running_loop(), threading.get_ident()
        self._thread = threading.Thread(
            target=self._watch, args=(loop, thread_id), name="taskpush watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. The thread ends by itself within a moment."""
        self._stopped.set()

    def _watch(self, loop: AbstractEventLoop, thread_id: int) -> None:
        while not self._stopped.wait(PING_S):
            sign = _Sign()
            try:
                loop.call_soon_threadsafe(sign.give)
            except RuntimeError:  # the loop is closed
                return
            if not sign.given.wait(self._blocked_s):
                self._say(sign, *_who_holds(loop, thread_id))
                while not sign.given.wait(PING_S) and not loop.is_closed():
                    pass
            elif sign.took_s > self._blocked_s:
                # The interpreter's lock was held all along, so that nobody could look.
                self._say(sign, None, "unseen: the interpreter's lock was held")
            if sign.given.is_set():
                self._lag.observe(sign.took_s)

    def _say(self, sign: _Sign, running: Running | None, where: str) -> None:
        self._telemetry.emit(
            LoopBlocked(
                kind=running.kind if running else None,
                task_id=running.task_id if running else None,
                blocked_s=sign.waited_s(),
                where=where,
            )
        )


class _Sign:
    """A sign of life, and how long it took."""

    def __init__(self) -> None:
        self.given = threading.Event()
        self.took_s = 0.0
        self._asked = time.monotonic()

    def give(self) -> None:
        """Called by the loop."""
        self.took_s = self.waited_s()
        self.given.set()

    def waited_s(self) -> float:
        return time.monotonic() - self._asked


def _who_holds(loop: AbstractEventLoop, thread_id: int) -> tuple[Running | None, str]:
    """The handler whose code the loop is running (None: not a handler's), and where it is."""
    task = asyncio.current_task(loop)
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - documented, there is no other way
    if frame is None:
        return None, "unknown"
    code = frame.f_code
    where = f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}"
    return (None if task is None else _running_in(task)), where


def _running_in(task: asyncio.Task[Any]) -> Running | None:
    """Which handler the asyncio task belongs to, be it one that the handler started."""
    get_context: Callable[[], contextvars.Context] | None = getattr(task, "get_context", None)
    if get_context is not None:
        return get_context().get(RUNNING)
    # Python 3.11 keeps a task's context to itself, but shows it to the garbage collector: the
    # task's own comes first, before those of its callbacks.
    contexts = (each for each in gc.get_referents(task) if isinstance(each, contextvars.Context))
    first = next(contexts, None)
    return None if first is None else first.get(RUNNING)
