"""The thread behind a `Reporter`, and the way of its reports into the mailbox."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from taskpush.core.progress import BadReport
from taskpush.models.events import EventType
from taskpush.models.producing import MAX_WORDS
from taskpush.reporter.backlog import OVERHEAD_BYTES, File, Said
from taskpush.reporter.delivery import Events
from taskpush.reporter.mailbox import Mailbox
from taskpush.runner.context import DONE
from taskpush.runner.reporting import reports
from taskpush.runner.sendable import cut, encoded_size

logger: Final = logging.getLogger("taskpush.reporter")

LAST_S: Final = 5.0
"""So long the end of a program waits for what has not arrived; ..."""
LAST_UNREACHED_S: Final = 1.0
"""... and so long for a server that has never answered: it has tried all the time."""
_PROGRESS: Final = ("progress_percent", "completed", "total", "current_iteration", "max_iterations")
_WORDS: Final = ("unit", "message", "stage", "stage_description")
_UNKNOWN_S: Final = -1.0
_LAST_S: Final = 1.0


class Courier(Events):
    """Takes reports without waiting, and has a thread of its own deliver them."""

    def __init__(
        self,
        mailbox: Mailbox,
        *,
        on_begin: Callable[[], object] | None,
        on_cancel: Callable[[], object] | None,
        on_trouble: Callable[[str], object] | None,
    ) -> None:
        self.mailbox = mailbox
        self.cancelled = threading.Event()
        # None until the server has said it.
        self.attempt: int | None = None
        # Offers the newest states again, for another attempt. None until it is set.
        self.on_attempt: Callable[[], object] | None = None
        self._on_begin = on_begin
        self._on_cancel = on_cancel
        self._on_trouble = on_trouble or logger.warning
        # Both None until `start`.
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None

    # ------------------------------------------------------------ the thread

    def start(self, delivering: Callable[[Courier], Coroutine[Any, Any, None]]) -> None:
        """Begin to deliver."""
        self._thread = threading.Thread(
            target=self._run, args=(delivering,), name="taskpush-reporter", daemon=True
        )
        self._thread.start()
        atexit.register(self.at_exit)

    def _run(self, delivering: Callable[[Courier], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None
            self._stop = lambda: loop.call_soon_threadsafe(task.cancel)
            await delivering(self)

        try:
            with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=_OwnLoop) as runner:
                runner.run(main())
        finally:
            atexit.unregister(self.at_exit)

    def at_exit(self) -> None:
        """The program ends: wait a little for what has not arrived."""
        self.close()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on the delivering thread."""
        return threading.current_thread() is self._thread

    def close(self, within_s: float | None = None) -> bool:
        """End the thread; what has not arrived in time is given up. Whether all has."""
        mailbox = self.mailbox
        if mailbox.foreign or self.is_current:
            return True
        mailbox.close()
        if within_s is None:
            within_s = LAST_UNREACHED_S if self.attempt is None else LAST_S
        if not mailbox.wait_over(within_s) and self._stop is not None:
            with suppress(RuntimeError):
                self._stop()
            mailbox.wait_over(_LAST_S)
        return mailbox.over and mailbox.lost is None

    # ------------------------------------------------------------ what the delivery tells

    def attempt_began(self, attempt: int) -> None:
        again = self.attempt is not None
        self.attempt = attempt
        if not again:
            _call(self._on_begin, "reporter.on_begin_failed")
        elif self.on_attempt is not None:
            self.on_attempt()

    def cancel_wanted(self) -> None:
        self.cancelled.set()
        _call(self._on_cancel, "reporter.on_cancel_failed")

    def trouble(self, message: str) -> None:
        self._on_trouble(message)

    # ------------------------------------------------------------ the job's reports

    def send(self, report: reports.Report) -> Awaitable[None]:
        """Take a report on, in call order; never waits, and raises nothing."""
        match report:
            case reports.LogLine(data=data, size_bytes=size_bytes):
                self.mailbox.say(Said("log", data, size_bytes + OVERHEAD_BYTES))
            case reports.Iteration(data=data):
                self.mailbox.say(_said("iteration_complete", data))
            case reports.Newest(event_type=event_type):
                self.mailbox.show(event_type.value, lambda: _read(report))
            case reports.NewArtifact():
                self._hand_over(report)
            case reports.NewCheckpoint():
                raise AssertionError("a producer outside keeps its checkpoints itself")
        return DONE

    def pulse(self) -> Awaitable[None]:
        """As `send`, with nothing to hand over."""
        return DONE

    def _hand_over(self, artifact: reports.NewArtifact) -> None:
        try:
            file = File(artifact.name, artifact.media_type, _opened(artifact.source))
            if not self.mailbox.hand_over(file):
                raise BadReport("there is no room to keep it until it is sent")
        except (OSError, BadReport) as error:
            why = error.strerror if isinstance(error, OSError) else error
            line, _ = reports.log_line(f"artifact {artifact.name}: {why}; left out", "error", {})
            self.send(line)


class _OwnLoop(asyncio.SelectorEventLoop):
    """Looks names up on its own thread, which nobody else uses.

    The threads that asyncio would use for that take no work once the program is at its end.
    """

    @override
    async def getaddrinfo(self, *args: Any, **options: Any) -> Any:
        return socket.getaddrinfo(*args, **options)


def _call(callback: Callable[[], object] | None, failed: str) -> None:
    """Tell the job, whose mistakes must not end the delivery."""
    if callback is not None:
        try:
            callback()
        except Exception:
            logger.exception(failed)


def _opened(source: Path | bytes) -> int | bytes:
    """The content, or an open file: it may be renamed or removed before it is sent."""
    return source if isinstance(source, bytes) else os.open(source, os.O_RDONLY | os.O_CLOEXEC)


def _said(event_type: str, data: Any) -> Said:
    return Said(event_type, data, encoded_size(data) + OVERHEAD_BYTES)


def _read(newest: reports.Newest) -> Said:
    """The newest state as a producer tells it: the server works out the rest."""
    data = dict(newest.read(_UNKNOWN_S))
    if newest.event_type is EventType.PROGRESS:
        told = {name: data[name] for name in _PROGRESS if data.get(name) is not None}
        words = {name: data[name] for name in _WORDS if data.get(name) is not None}
        data = told | {name: cut(text, MAX_WORDS) for name, text in words.items()}
    elif data.get("elapsed_seconds") == _UNKNOWN_S:
        del data["elapsed_seconds"]
    return _said(newest.event_type.value, data)
