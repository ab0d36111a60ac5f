"""An event loop in a thread of its own, for callers that do not await."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

_STOP_WITHIN_S: Final = 5.0


class LoopThread:
    """Runs coroutines on a private event loop, whichever thread they come from.

    The thread starts with the first call and is a daemon: a program that forgets to close still
    ends.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._closed = False
        # Both None until the first call.
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def started(self) -> bool:
        """Whether a call was ever made."""
        return self._thread is not None

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on the loop's own thread."""
        return threading.current_thread() is self._thread

    def call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run it, wait for it and give its result, or raise what it raised.

        Anything that interrupts the waiting (Ctrl-C) cancels it first. Raises `RuntimeError`
        after `close`, and on the loop's own thread, which would wait for itself.
        """
        if self.is_current:
            coroutine.close()
            raise RuntimeError("a blocking call was made on the client's own thread")
        outcome: Future[Result] = Future()
        started: list[asyncio.Task[Result]] = []

        def begin() -> None:
            started.append(self._begin(coroutine, outcome))

        def cancel() -> None:
            if started:
                started[0].cancel()
            else:
                coroutine.close()
                outcome.set_exception(RuntimeError("the call was interrupted before it began"))

        try:
            self._post(begin)
            return outcome.result()
        except RuntimeError:
            # Also what closing says; a coroutine that runs or has run does not mind.
            coroutine.close()
            raise
        except BaseException:
            if not outcome.done():
                self._post(cancel)
                wait([outcome], timeout=_STOP_WITHIN_S)
            raise

    def post(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run it without waiting; does nothing after `close`. Any thread may call this."""
        try:
            self._post(lambda: self._begin(coroutine, Future()))
        except RuntimeError:
            coroutine.close()

    def close(self) -> None:
        """Cancel what runs and end the thread; closing twice is the same as once."""
        with self._lock:
            self._closed = True
            thread, loop = self._thread, self._loop
        if thread is None or loop is None or not thread.is_alive():
            return
        loop.call_soon_threadsafe(loop.stop)
        if not self.is_current:
            thread.join(_STOP_WITHIN_S)

    def _post(self, callback: Callable[[], object]) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name=self._name, daemon=True
                )
                self._thread.start()
            self._loop.call_soon_threadsafe(callback)

    def _begin(
        self, coroutine: Coroutine[Any, Any, Result], outcome: Future[Result]
    ) -> asyncio.Task[Result]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._settle(done, outcome))
        return task

    def _settle(self, task: asyncio.Task[Result], outcome: Future[Result]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            outcome.set_exception(RuntimeError("the client was closed"))
        elif (error := task.exception()) is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())


def _run(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()
