"""A TaskPush served from a thread of a program that does something else."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Protocol, Self

from starlette.types import Receive, Scope, Send

from taskpush.serving.server import OrderlyServer, Stoppable, config_for, listen, url_of

STOP_WITHIN_S: Final = 15.0
"""Longer than handlers, answers and the store may take together."""


class Served(Stoppable, Protocol):
    """A `TaskPush`."""

    def lifespan(self, _host: Any = None) -> AbstractAsyncContextManager[None]: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Running:
    """A server in a thread of its own: a context manager, or `start` and `stop`.

    Whatever keeps it from starting is raised by `start`. It stops as `taskpush serve` does. A
    program that ends without stopping it ends it like a kill: what was accepted is in the store,
    and what ran is `interrupted` when the store is opened again.
    """

    def __init__(self, push: Served, host: str, port: int, *, deflate: bool) -> None:
        self._push = push
        self._host = host
        self._port = port
        self._deflate = deflate
        # All None unless it runs.
        self._url: str | None = None
        self._server: OrderlyServer | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        # What ended it before it was asked to; None while all is well.
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Where it is, such as `http://127.0.0.1:8000`; raises `RuntimeError` unless it runs."""
        if self._url is None:
            raise RuntimeError("it does not run")
        return self._url

    def start(self) -> Self:
        """Serve; returns when requests are answered. Raises `OSError` when the port is taken."""
        if self._thread is not None:
            raise RuntimeError(f"it runs already, on {self._url}")
        try:
            listener = listen(self._host, self._port)
        except OSError as error:
            error.add_note(f"taskpush cannot listen on {self._host}:{self._port}")
            raise
        self._started.clear()
        thread = threading.Thread(
            target=self._run, args=(listener,), name="taskpush-server", daemon=True
        )
        thread.start()
        self._started.wait()
        self._raise_failure(thread)
        self._url, self._thread = url_of(listener), thread
        return self

    def stop(self) -> None:
        """End what runs and stop; running tasks become `interrupted`. Does nothing when stopped."""
        thread, self._thread, self._url = self._thread, None, None
        if thread is None:
            return
        if self._server is not None:
            self._server.should_exit = True
        thread.join(STOP_WITHIN_S)
        self._raise_failure(thread)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<taskpush {'on ' + self._url if self._url else 'stopped'}>"

    def _raise_failure(self, thread: threading.Thread) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            thread.join()
            raise failure

    def _run(self, listener: socket.socket) -> None:
        try:
            with listener:
                asyncio.run(self._serve(listener))
        except BaseException as error:  # noqa: BLE001 - raised by who waits for it
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self, listener: socket.socket) -> None:
        config = config_for(self._push, deflate=self._deflate, lifespan="off")
        server = self._server = _Quiet(config, self._push, self._started)
        async with self._push.lifespan():
            await server.serve(sockets=[listener])


class _Quiet(OrderlyServer):
    """Leaves signals to the program, and says when it answers."""

    def __init__(self, config: Any, stopping: Stoppable, started: threading.Event) -> None:
        super().__init__(config, stopping)
        self._says_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._says_started.set()
