"""Running a handler in this process: on the event loop, or in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from asyncio import Future
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol

from taskpush.runner.channel import LocalChannel
from taskpush.runner.context import TaskCancelled, TaskContext
from taskpush.runner.ending import Ending, Returned, Stopped, call, raised
from taskpush.runner.kind import KindSpec
from taskpush.runner.printing import captured


@dataclass(frozen=True, slots=True)
class Running:
    """Which handler a piece of code belongs to."""

    kind: str
    task_id: str


RUNNING: Final[ContextVar[Running]] = ContextVar("taskpush_running")
"""Set where a handler runs, and inherited by the asyncio tasks it starts."""


class Execution(Protocol):
    """One handler on its way, in whichever style."""

    ended: Future[Ending]
    """How it ended. Done only then; cancelled if it was cancelled before it began."""

    def cancel(self) -> None:
        """Ask it to stop, at once. May be called again."""
        ...

    def let_go(self) -> None:
        """Stop caring for it: kill what can be killed, answer nothing that the rest reports."""
        ...

    async def close(self) -> None:
        """Wait until what it used is free again."""
        ...


class LoopExecution:
    """An `async def` handler, in an asyncio task of its own."""

    def __init__(
        self, spec: KindSpec, context: TaskContext, params: Any, channel: LocalChannel
    ) -> None:
        self._spec = spec
        self._context = context
        self._params = params
        self._channel = channel
        self.ended: Future[Ending] = asyncio.get_running_loop().create_task(
            self._run(), name=f"{spec.name} {context.task_id}"
        )

    async def _run(self) -> Ending:
        RUNNING.set(Running(self._spec.name, self._context.task_id))
        try:
            with captured(self._context.log, wanted=self._spec.capture_print):
                value = await self._spec.invoke(self._context, self._params)
            return Returned(self._spec.dump_result(value))
        except (asyncio.CancelledError, TaskCancelled) as error:
            # A handler may also raise it by itself: that is an error like any other.
            return Stopped() if self._channel.cancel_requested else raised(error)
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a job must not end the loop
            return raised(error)

    def cancel(self) -> None:
        self._channel.cancel()
        self.ended.cancel()

    def let_go(self) -> None:
        self._channel.close()

    async def close(self) -> None:
        self._channel.close()


class ThreadExecution:
    """A plain handler, in a daemon thread of its own: a stuck one must not hold up the exit."""

    def __init__(
        self, spec: KindSpec, context: TaskContext, params: Any, channel: LocalChannel
    ) -> None:
        self._spec = spec
        self._context = context
        self._params = params
        self._channel = channel
        self.ended: Future[Ending] = asyncio.get_running_loop().create_future()
        run = contextvars.copy_context().run
        threading.Thread(
            target=run, args=(self._run,), name=f"{spec.name} {context.task_id}", daemon=True
        ).start()

    def _run(self) -> None:
        with captured(self._context.log, wanted=self._spec.capture_print):
            ending = call(self._spec, self._context, self._params)
        try:
            self._channel.post(self._end, ending)
        except TaskCancelled:
            return  # the loop is gone, and with it whoever would like to know

    def _end(self, ending: Ending) -> None:
        if not self.ended.done():
            self.ended.set_result(ending)

    def cancel(self) -> None:
        self._channel.cancel()

    def let_go(self) -> None:
        self._channel.close()

    async def close(self) -> None:
        self._channel.close()
