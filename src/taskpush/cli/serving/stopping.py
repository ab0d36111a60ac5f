"""A server that a signal stops, and that a second one has let go of whoever has not stopped yet."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from asyncio import AbstractEventLoop
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

import uvicorn
from typing_extensions import override

from taskpush.app import TaskPush
from taskpush.cli.serving.collecting import collect_rarely
from taskpush.serving.server import OrderlyServer

LAST_TASKS_S: Final = 1.0
"""How long what is still at work on the loop and in its threads may take after everything."""
INTERRUPTED: Final = 130


class JobServer(OrderlyServer):
    """Serves a `TaskPush` until a signal, and ends by itself rather than by that signal."""

    def __init__(self, config: uvicorn.Config, push: TaskPush) -> None:
        super().__init__(config, push)
        # The first signal; None when there was none.
        self._signal: int | None = None

    def serve_on(self, listener: socket.socket) -> int:
        """Serve until a signal; returns the exit code.

        When a handler is left behind that would keep the process, the process ends here.
        """
        loop = (self.config.get_loop_factory() or asyncio.new_event_loop)()
        # How uvicorn ends when the application could not start, which it has said.
        with suppress(SystemExit):
            loop.run_until_complete(self.serve(sockets=[listener]))
        code = INTERRUPTED if self._signal == signal.SIGINT else 0 if self.started else 1
        if not loop.run_until_complete(_finished(loop)):
            _leave(code)
        loop.close()
        return code

    @contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._signal = self._signal or sig
        self.force_exit = self.should_exit
        self.should_exit = True

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        collect_rarely()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn leaves it out then; it is what closes the store.
            await self.lifespan.shutdown()


async def _finished(loop: AbstractEventLoop) -> bool:
    """End what is left on the loop and in its threads; whether it did end.

    A handler that does not heed its cancellation would keep the process for ever.
    """
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in left:
        task.cancel()
    last = {*left, loop.create_task(loop.shutdown_default_executor())}
    _, stuck = await asyncio.wait(last, timeout=LAST_TASKS_S)
    return not stuck


def _leave(code: int) -> None:
    """End the process without those who don't stop; everything is committed and closed."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
