"""What a handler holds: one class for `async def`, plain and process handlers.

A method makes a report and hands it to the channel; the channel knows where the handler runs, and
so what the call waits for. Imports no asyncio: worker processes start with this module.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Final, Protocol

from taskpush.core.progress import BadReport
from taskpush.runner.reporting import reports
from taskpush.runner.reporting.calls import Reporting


class TaskCancelled(BaseException):
    """The task is to stop: raised in a plain handler by its next call after a cancel.

    Like `asyncio.CancelledError` it is no `Exception`, so that `except Exception` lets it pass.
    """


class Done:
    """What a call gives back that has nothing to wait for. Awaiting it returns at once."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE: Final = Done()


class LastWords:
    """What a plain handler may still say once it is to stop: its newest checkpoint.

    One is taken before it is told with `TaskCancelled`, for those that ask `cancel_requested`,
    and one after, for those that clean up.
    """

    def __init__(self) -> None:
        self._told = False
        self._left = True

    def check(self, report: reports.Report | None = None) -> None:
        """Raise `TaskCancelled` unless `report` may still be said."""
        if isinstance(report, reports.NewCheckpoint) and self._left:
            self._left = False
            return
        self._left = self._left or not self._told
        self._told = True
        raise TaskCancelled


class Channel(Protocol):
    """The way from a handler to the recorder of its attempt."""

    @property
    def cancel_requested(self) -> bool:
        """Whether the attempt is to stop."""
        ...

    def send(self, report: reports.Report) -> Awaitable[None]:
        """Hand over a report, in call order with those before it.

        On the event loop it takes effect at once, and what it gives back is done when the caller
        may go on. Elsewhere it blocks until then, and raises `TaskCancelled` instead when the
        attempt is to stop and the report is none of its `LastWords`.
        """
        ...

    def pulse(self) -> Awaitable[None]:
        """As `send`, with nothing to hand over."""
        ...


class TaskContext(Reporting):
    """What a handler knows of its task, and how it reports.

    In an `async def` handler every reporting method is awaited; in a plain one it is called. What
    a call waits for is the same: `iteration`, `artifact` and `checkpoint` return when they are
    committed, `log` waits only when too much is under way, the others never wait. A call that is
    not awaited takes effect all the same.

    Reporting never breaks a job: what cannot travel (NaN, an unserialisable object, progress that
    goes back) is left out, and one error-level `log` event says which and where. With
    `strict_reporting` such a call raises `BadReport` instead.
    """

    def __init__(
        self,
        *,
        task_id: str,
        attempt: int,
        channel: Channel,
        strict_reporting: bool = False,
        resumed_from: Any = None,
    ) -> None:
        super().__init__(
            task_id, channel, strict=strict_reporting, resumed=resumed_from is not None
        )
        self.attempt = attempt
        # The newest checkpoint's content, a JSON value; None on a fresh start.
        self.resumed_from = resumed_from
        self._watched = channel

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked the task to stop, or the server is stopping."""
        return self._watched.cancel_requested

    def checkpoint(self, state: object, label: str | None = None) -> Awaitable[None]:
        """Keep `state`, a JSON value of up to 16 MiB, as what to go on from.

        When the call returns it survives power loss, and replaces the one before: the next
        attempt finds it in `resumed_from`. A state of which any part cannot travel is not kept.
        Works once more after a cancel, also while the handler cleans up.
        """
        try:
            report, problems = reports.new_checkpoint(state, label, self._progressed.shown.percent)
        except BadReport as error:
            self.leave_out("checkpoint", [str(error)])
            return self._channel.pulse()
        self.leave_out("checkpoint", problems)
        return self._channel.send(report)
