"""`Reporter`: what a program outside the server holds to report one task."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import socket
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from typing_extensions import override

from taskpush.client.credential import Credential, Token
from taskpush.client.patience import Contact, Patience
from taskpush.client.rest import Rest
from taskpush.ids import canonical_task_id, new_task_id
from taskpush.models.events import EventType
from taskpush.models.producing import MAX_WORDS
from taskpush.models.values import value_problems
from taskpush.reporter.backlog import MAX_BYTES, MAX_EVENTS, Backlog, Said
from taskpush.reporter.courier import LAST_S, Courier
from taskpush.reporter.delivery import Delivery, Errand
from taskpush.reporter.mailbox import Mailbox
from taskpush.runner.context import DONE, TaskCancelled
from taskpush.runner.reporting.calls import Reporting, ToTask
from taskpush.runner.sendable import clean_text, cut, encoded_size, plain, reason

MAX_TITLES: Final = 100
MAX_RESULT_BYTES: Final = 900_000
"""Longest result, as JSON: it travels in one request, of 1 MiB at most."""
_REQUEST_S: Final = 10.0
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Undelivered(Exception):
    """Not everything that the job said has arrived at the server."""


class Reporter(Reporting):
    """Reports one task that this program runs, to a taskpush server somewhere.

    `start` creates the task, `attach` takes one up that waits. The calls are those of a handler's
    `TaskContext`; they only put what is said into a bounded buffer, so they neither wait nor raise
    whatever becomes of the network, and may be awaited in coroutines. A thread of its own delivers
    what is said: everything that is logged once and in order, through outages too; of progress,
    stats and previews the newest. When the buffer is full, the oldest log lines are left out, and
    a line says how many.

    As a context manager (`with` or `async with`) it also tells how the job ended: completed, or
    failed with what was raised. ::

        with Reporter.start("http://127.0.0.1:8000", "render", {"scene": "harbour"}) as report:
            for frame in report.track(range(100), unit="frame"):
                draw(frame)
            report.complete({"frames": 100})
    """

    def __init__(
        self,
        server_url: str,
        errand: Errand,
        *,
        token: Token = None,
        on_begin: Callable[[], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_trouble: Callable[[str], object] | None = None,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """For `start` and `attach`, which say what the options mean."""
        parts = urlsplit(server_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"a server is named as http://host:port, not {server_url!r}")
        self.server_url = server_url.rstrip("/")
        mailbox = Mailbox(Backlog(max_events=max_events, max_bytes=max_bytes))
        courier = Courier(mailbox, on_begin=on_begin, on_cancel=on_cancel, on_trouble=on_trouble)
        super().__init__(errand.task_id, courier)
        self._courier = courier
        self._mailbox = mailbox
        courier.on_attempt = _offering(weakref.ref(self))
        patience = Patience(request_timeout_s=_REQUEST_S, retry_for_s=0)
        credential = Credential(token)

        async def deliver(events: Courier) -> None:
            rest = Rest(server_url.rstrip("/"), patience, Contact(), credential)
            await Delivery(mailbox, rest, errand, events).run()

        courier.start(deliver)
        # When nobody holds the reporter any more, nobody says that the job goes on.
        weakref.finalize(self, mailbox.close).atexit = False

    @classmethod
    def start(
        cls,
        server_url: str,
        kind: str,
        params: Mapping[str, Any] | None = None,
        *,
        task_id: str | None = None,
        title: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        token: Token = None,
        on_begin: Callable[[], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_trouble: Callable[[str], object] | None = None,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> Self:
        """Create a task of an external kind and report that it runs.

        `task_id` is a UUID of your choice; if there is such a task already, it is taken up. The
        server need not be there yet. `on_begin` is called, once and on another thread, when the
        server has the task, `on_cancel` when somebody cancels it; `on_trouble` with a sentence when
        reports do not arrive, and when they do again (otherwise the logger `taskpush.reporter`
        says it). `max_events` and `max_bytes` bound what waits.
        """
        chosen = _canonical(task_id) if task_id is not None else new_task_id()
        named = {"title": title, "tags": tags, "metadata": metadata, "timeout_s": timeout_s}
        options = {name: value for name, value in named.items() if value is not None}
        errand = Errand(chosen, producer_id(), kind, dict(params or {}), options)
        return cls(
            server_url,
            errand,
            token=token,
            on_begin=on_begin,
            on_cancel=on_cancel,
            on_trouble=on_trouble,
            max_events=max_events,
            max_bytes=max_bytes,
        )

    @classmethod
    def attach(
        cls,
        server_url: str,
        task_id: str,
        *,
        attempt: int | None = None,
        token: Token = None,
        on_begin: Callable[[], object] | None = None,
        on_cancel: Callable[[], object] | None = None,
        on_trouble: Callable[[str], object] | None = None,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> Self:
        """Take up a task that waits for a producer; an interrupted one gets another attempt.

        `attempt` spares a look at the task, which needs the role `read`. The rest as for `start`.
        """
        errand = Errand(_canonical(task_id), producer_id(), attempt=attempt)
        return cls(
            server_url,
            errand,
            token=token,
            on_begin=on_begin,
            on_cancel=on_cancel,
            on_trouble=on_trouble,
            max_events=max_events,
            max_bytes=max_bytes,
        )

    # ------------------------------------------------------------ what is known

    @property
    def attempt(self) -> int | None:
        """The attempt that is reported; None until the server has said it."""
        return self._courier.attempt

    @property
    def url(self) -> str:
        """Where the task can be looked at, as JSON; below it `/stream` shows it live."""
        return f"{self.server_url}/api/tasks/{self.task_id}"

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants the job to stop; known within two seconds."""
        return self._courier.cancelled.is_set()

    def check_cancelled(self) -> None:
        """Raise `TaskCancelled` if somebody wants the job to stop.

        It is no `Exception`, so that `except Exception` lets it pass.
        """
        if self.cancelled:
            raise TaskCancelled

    @property
    def left_out(self) -> int:
        """How many events were left out because the buffer was full."""
        return self._mailbox.backlog.left_out

    @property
    def lost(self) -> str | None:
        """Why nothing more is taken: the task is over, not ours, …; None while all is well."""
        return self._mailbox.lost

    # ------------------------------------------------------------ what is said

    def stage(self, stage: str, description: str | None = None) -> Awaitable[None]:
        """Say which stage the job has come to; progress stays as it is."""
        return self.progress(stage=stage, stage_description=description)

    @override
    def preview(self, content: bytes | str, media_type: str) -> Awaitable[None]:
        """Show a text of up to 16 KiB to those who ask for previews.

        Pictures do not travel this way: keep them by `artifact`.
        """
        if isinstance(content, str):
            return super().preview(content, media_type)
        self.leave_out("preview", ["only a text can be shown from outside the server"])
        return DONE

    def queue(self, titles: Sequence[str]) -> Awaitable[None]:
        """Show what waits in a queue of your own behind this job, the next one first.

        It becomes the task's stats `queue_length` and `queue_titles` (the first hundred).
        """
        shown = [cut(str(title), 500) for title in titles[:MAX_TITLES]]
        return self.stats(queue_length=len(titles), queue_titles=shown)

    def logging_handler(self, level: int = logging.INFO) -> logging.Handler:
        """A handler for loggers of your program, whose records become `log` events."""
        handler = ToTask(self)
        handler.setLevel(level)
        # What the delivery itself says would be said of saying it, and so on.
        handler.addFilter(lambda record: not self._courier.is_current)
        return handler

    def complete(self, result: object = None) -> None:
        """Say that the job is done; `result` is JSON, of at most 900 kB.

        Nothing follows. One that cannot travel makes the task failed, as a handler's does.
        """
        value = plain(result)
        problem = next(value_problems(value, "result"), None)
        size_bytes = 0 if problem else encoded_size({"result": value})
        if size_bytes > MAX_RESULT_BYTES:
            problem = f"the result: {size_bytes} bytes of JSON exceed {MAX_RESULT_BYTES}"
        if problem:
            self._fail(problem, "InvalidResult", "invalid_result")
            return
        data = {"status": "completed", "result": value}
        self._mailbox.end(Said("status_change", data, size_bytes))

    def fail(
        self, error: BaseException | str, *, error_type: str | None = None, code: str | None = None
    ) -> None:
        """Say that the job failed, and why. Nothing follows.

        `error_type` is the name of the exception unless it is given; `code` is a word for
        programs, `producer_error` by default.
        """
        if isinstance(error, BaseException):
            error_type = error_type or type(error).__name__
            error = reason(error)
        known = code if code is not None and _CODE.fullmatch(code) else "producer_error"
        self._fail(error, error_type or "Error", known)

    def stopped(self, message: str = "Task cancelled") -> None:
        """Say that the job has stopped because somebody wanted that. Nothing follows."""
        data = {"status": "cancelled", "message": _words(message)}
        self._mailbox.end(Said("status_change", data))

    # ------------------------------------------------------------ the end

    def flush(self, within_s: float = LAST_S) -> bool:
        """Wait until what was said has arrived, so long at most; whether it has."""
        self._mailbox.hurry()
        return self._mailbox.wait_empty(within_s)

    def close(self, within_s: float | None = None) -> bool:
        """Deliver what was said and report no more; whether everything has arrived, in time.

        Unless `within_s` is given, that takes up to 5 s, and 1 s where no server has ever answered.
        Closing twice is the same as once. A job that has not said how it ended is taken for lost
        by the server after the lease.
        """
        return self._courier.close(within_s)

    async def aclose(self, within_s: float | None = None) -> bool:
        """As `close`, without holding up the event loop."""
        return await asyncio.to_thread(self.close, within_s)

    def check_delivered(self) -> None:
        """After `close`: raise `Undelivered` unless all that was said has arrived."""
        if self.lost is not None:
            raise Undelivered(self.lost)
        if self.left_out:
            raise Undelivered(f"{self.left_out} events were left out: the buffer was full")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._settle(exc)
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._settle(exc)
        await self.aclose()

    def _settle(self, exc: BaseException | None) -> None:
        """Say how the block ended, unless the job has."""
        match exc:
            case None:
                self.complete()
            case TaskCancelled() | asyncio.CancelledError():
                self.stopped()
            case KeyboardInterrupt():
                self.stopped("Stopped by Ctrl-C")
            case SystemExit(code=None | 0):
                self.complete()
            case _:
                self.fail(exc)

    def _fail(self, error: str, error_type: str, code: str) -> None:
        data = {
            "error": _words(error) or "Error",
            "error_type": _words(error_type)[:200] or "Error",
            "code": code,
        }
        self._mailbox.end(Said("error", data, encoded_size(data)))

    def _offer_again(self) -> None:
        self._offer(EventType.PROGRESS)
        if self._stats:
            self._offer(EventType.STATS)


def producer_id() -> str:
    """What this process calls itself: new each time, so that two are told apart."""
    host = re.sub(r"[^A-Za-z0-9.\-]", "-", socket.gethostname()).strip("-.")[:60] or "host"
    return f"{host}.{os.getpid()}.{secrets.token_hex(6)}"


def _canonical(task_id: str) -> str:
    known = canonical_task_id(task_id)
    if known is None:
        raise ValueError(f"a task's id is a UUID, not {task_id!r}")
    return known


def _words(text: str) -> str:
    return cut(clean_text(text, "")[0], MAX_WORDS)


def _offering(held: weakref.ref[Reporter]) -> Callable[[], None]:
    """Offer the newest states again; does not keep the reporter alive."""

    def offer() -> None:
        reporter = held()
        if reporter is not None:
            reporter._offer_again()  # noqa: SLF001 - this module's own

    return offer
