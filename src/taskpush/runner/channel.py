"""The channel inside this process: straight on the event loop, across to it from any thread."""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from concurrent import futures
from typing import Any, Final

from taskpush.runner.context import DONE, LastWords, TaskCancelled
from taskpush.runner.receipt import Receipt
from taskpush.runner.recorder import Recorder
from taskpush.runner.reporting.reports import LOGS_IN_FLIGHT, LogLine, Newest, Report

TURN_S: Final = 0.01
"""An async handler that awaits its reports gives the loop a turn this often."""


class LocalChannel:
    """Between a handler in this process and its recorder.

    Made on the event loop. Whoever reports from the loop's thread is never held up there; any
    other thread blocks instead, so an async handler may also hand its context to a thread.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._event_loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turned_at = time.monotonic()
        self._crossing = _Crossing(self._event_loop)
        self._cancel_requested = False
        self._last_words = LastWords()
        self._closed = False
        # Guards the count of log lines from threads that are not committed yet.
        self._room = threading.Condition()
        self._logs_in_flight = 0
        self._waiting: set[futures.Future[None]] = set()

    @property
    def cancel_requested(self) -> bool:
        return self._cancel_requested

    def send(self, report: Report) -> Awaitable[None]:
        if threading.get_ident() != self._loop_thread:
            self._raise_if_cancelled(report)
            self._send_across(report)
            return DONE
        committed = self._recorder.take(report)
        if committed is None:
            return _Turn(self)
        if isinstance(report, LogLine):
            return _Room(self, self._recorder)
        return committed if isinstance(committed, Receipt) else _Kept(committed)

    def pulse(self) -> Awaitable[None]:
        if threading.get_ident() == self._loop_thread:
            return _Turn(self)
        self._raise_if_cancelled()
        return DONE

    def cancel(self) -> None:
        """Have threads raise `TaskCancelled` at their next call."""
        self._cancel_requested = True
        with self._room:
            self._room.notify_all()

    def close(self) -> None:
        """As `cancel`, and wake those that wait for a commit: nobody will answer them."""
        self._closed = True
        self.cancel()
        for waiting in list(self._waiting):
            waiting.cancel()

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """Run `callback` on the loop, after the reports that this thread sent before."""
        self._crossing.post(callback, *args)

    def turn_is_due(self) -> bool:
        """Whether the loop should get a turn; if so it is about to."""
        now = time.monotonic()
        if now - self._turned_at < TURN_S:
            return False
        self._turned_at = now
        return True

    def _send_across(self, report: Report) -> None:
        match report:
            case Newest():
                self.post(self._recorder.take, report)
            case LogLine():
                self._enter()
                self.post(self._take_log, report)
            case _:
                self._wait_for_commit(report)

    def _wait_for_commit(self, report: Report) -> None:
        done: futures.Future[None] = futures.Future()
        self._waiting.add(done)
        try:
            if self._closed:
                raise TaskCancelled
            self.post(self._take_and_answer, report, done)
            done.result()
        except futures.CancelledError:
            raise TaskCancelled from None
        finally:
            self._waiting.discard(done)

    def _take_and_answer(self, report: Report, done: futures.Future[None]) -> None:
        committed = self._recorder.take(report)
        if committed is None:
            _answer(done, None)
        else:
            committed.add_done_callback(lambda each: _answer(done, each))

    def _take_log(self, line: Report) -> None:
        committed = self._recorder.take(line)
        if committed is None:
            self._leave()
        else:
            committed.add_done_callback(self._leave)

    def _enter(self) -> None:
        """Wait until few enough log lines are in flight."""
        with self._room:
            while self._logs_in_flight >= LOGS_IN_FLIGHT and not self._cancel_requested:
                self._room.wait()
            self._raise_if_cancelled()
            self._logs_in_flight += 1

    def _leave(self, _: object = None) -> None:
        with self._room:
            self._logs_in_flight -= 1
            self._room.notify()

    def _raise_if_cancelled(self, report: Report | None = None) -> None:
        if self._cancel_requested:
            self._last_words.check(report)


class _Crossing:
    """Callbacks from threads, in order, waking the loop once for many.

    Bounded by its users: log lines are counted, and every other call waits for its answer or is
    merged at its source.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._woken = False

    def post(self, callback: Callable[..., object], *args: object) -> None:
        self._waiting.append((callback, args))
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._run)
            except RuntimeError:  # the loop is closed: the server has gone without this thread
                raise TaskCancelled from None

    def _run(self) -> None:
        # Lifted first: what is appended from now on either is seen below or wakes the loop.
        self._woken = False
        while self._waiting:
            callback, args = self._waiting.popleft()
            callback(*args)


def _answer(done: futures.Future[None], committed: Future[Any] | None) -> None:
    if done.done():
        return
    if committed is None:
        done.set_result(None)
    elif committed.cancelled():
        done.cancel()
    elif (error := committed.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(None)


class _Turn:
    """Awaiting it gives the loop a turn, if it had none for a while.

    An async handler that computes between its reports would else freeze every push.
    """

    __slots__ = ("_channel",)

    def __init__(self, channel: LocalChannel) -> None:
        self._channel = channel

    def __await__(self) -> Generator[None, None, None]:
        if self._channel.turn_is_due():
            yield


class _Room:
    """Awaiting it waits until few enough log events are in flight."""

    __slots__ = ("_channel", "_recorder")

    def __init__(self, channel: LocalChannel, recorder: Recorder) -> None:
        self._channel = channel
        self._recorder = recorder

    def __await__(self) -> Generator[Any, None, None]:
        room = self._recorder.room()
        if room is not None:
            yield from room
        elif self._channel.turn_is_due():
            yield


class _Kept:
    """Awaiting it waits until a file is kept; who stops waiting does not undo that."""

    __slots__ = ("_kept",)

    def __init__(self, kept: Future[None]) -> None:
        self._kept = kept

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.shield(self._kept)
