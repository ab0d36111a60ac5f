"""What a handler gets for a report of one event: awaited, it waits for the commit."""

from __future__ import annotations

from asyncio import AbstractEventLoop, CancelledError, Future
from collections.abc import Callable, Generator
from typing import Any

from typing_extensions import override

from taskpush.models.task import NewEvent
from taskpush.store.base import Append


class Receipt(Append):
    """The append of a report, and who waits for it: mostly nobody or one.

    Who stops waiting does not undo it, and may wait again. `on_refused` is called by the loop,
    also when nobody waits.
    """

    __slots__ = ("_ended", "_error", "_loop", "_on_refused", "_waiting")

    def __init__(
        self,
        task_id: str,
        attempt: int,
        event: NewEvent,
        on_refused: Callable[[BaseException], None],
        loop: AbstractEventLoop,
    ) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.event = event
        self._on_refused = on_refused
        # To ask for the running one would be a system call for each report.
        self._loop = loop
        self._ended = False
        # None while nothing has gone wrong.
        self._error: BaseException | None = None
        # None while nobody waits.
        self._waiting: list[Future[None]] | None = None

    @override
    def committed(self) -> None:
        self._ended = True
        if self._waiting is not None:
            self._wake()

    @override
    def refused(self, error: BaseException) -> None:
        self._ended = True
        self._error = error
        # Not at once: the store is at work for others too.
        self._loop.call_soon(self._on_refused, error)
        if self._waiting is not None:
            self._wake()

    def future(self) -> Future[None]:
        """One more future that ends as the append does; it may be cancelled."""
        future = self._loop.create_future()
        if self._waiting is None:
            self._waiting = [future]
        else:
            self._waiting.append(future)
        if self._ended:
            self._wake()
        return future

    def add_done_callback(self, callback: Callable[[Future[None]], object]) -> None:
        """Call back with a future that is done, once it is known what became of the report."""
        self.future().add_done_callback(callback)

    def __await__(self) -> Generator[Any, None, None]:
        if not self._ended:
            yield from self.future()
        elif self._error is not None:
            raise self._error

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        error = self._error
        for future in waiting or ():
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            elif isinstance(error, CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()  # It is noticed anyway, also when nobody looks at the future.
