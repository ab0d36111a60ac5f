"""The client for programs that do not await: the asynchronous one, on a thread of its own."""

from __future__ import annotations

import functools
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from taskpush.client.asynchronous import AsyncClient
from taskpush.client.callbacks import CallbackClient
from taskpush.client.connection import OnChange
from taskpush.client.credential import Token
from taskpush.client.doors import DOORS, Door
from taskpush.client.health import ConnectionState, OnState
from taskpush.client.looping import LoopThread
from taskpush.client.patience import Patience
from taskpush.client.progress import displayed
from taskpush.client.running import run_shown

Given = ParamSpec("Given")
Result = TypeVar("Result")


def _blocking(
    method: Callable[Concatenate[AsyncClient, Given], Coroutine[Any, Any, Result]],
) -> Callable[Concatenate[Client, Given], Result]:
    """The method as one that returns when it is done."""

    @functools.wraps(method)
    def call(self: Client, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        return self._loop.call(method(self._client, *args, **kwargs))

    return call


def _iterating(
    method: Callable[Concatenate[AsyncClient, Given], AsyncIterator[Result]],
) -> Callable[Concatenate[Client, Given], Iterator[Result]]:
    """The method as one that gives a plain iterator; leaving it early ends what is behind it."""

    @functools.wraps(method)
    def iterate(self: Client, /, *args: Given.args, **kwargs: Given.kwargs) -> Iterator[Result]:
        items = method(self._client, *args, **kwargs)
        try:
            while True:
                try:
                    item = self._loop.call(_next(items))
                except _Exhausted:
                    return
                yield item
        finally:
            # A forgotten iterator is closed by the garbage collector, on any thread.
            self._loop.post(_close(items))

    return iterate


class Client(CallbackClient):
    """Creates tasks on a taskpush server and watches them, without asyncio.

    The methods are those of `AsyncClient`; they block, and may be called from any number of
    threads, also where an event loop runs (notebooks). `watch` gives an iterator::

        with Client("http://127.0.0.1:8000") as client:
            task = client.create_task("layout", {"bom_file": "config/bom_example.json"})
            for event in client.watch(task.task_id):
                print(event.event_type, event.data)
            print(client.get_task_result(task.task_id))

    Callbacks are the other way: `connect`, `subscribe`, `wait_for_completion`, `disconnect`.
    Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        server_url: str,
        *,
        token: Token = None,
        patience: Patience = Patience(),
        doors: Sequence[Door] = DOORS,
        on_connection_change: OnChange | None = None,
        on_connection_state: OnState | None = None,
    ) -> None:
        """What is told of the connection is called from the client's own thread: don't block it."""
        client = AsyncClient(
            server_url,
            token=token,
            patience=patience,
            doors=doors,
            on_connection_change=on_connection_change,
            on_connection_state=on_connection_state,
        )
        loop = LoopThread("taskpush-client")
        super().__init__(client, loop)
        self.server_url = client.server_url
        self._finalizer = weakref.finalize(self, _shut_down, client, loop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connection(self) -> ConnectionState:
        """How the connection for watches is, and which door it goes through."""
        return self._client.connection

    def close(self) -> None:
        """End subscriptions and watches, close all connections, end the threads."""
        self.disconnect()
        self._finalizer()

    def run(
        self,
        kind: str,
        params: Mapping[str, Any] | None = None,
        /,
        *,
        progress: bool = False,
        timeout_s: float | None = None,
        **more: Any,
    ) -> Any:
        """As `AsyncClient.run`."""
        # A notebook shows the bar below the cell of the thread that opens it.
        with displayed(kind, wanted=progress) as display:
            given = {**(params or {}), **more}
            return self._loop.call(run_shown(self._client, kind, given, display, timeout_s))

    create_task = _blocking(AsyncClient.create_task)
    get_task = _blocking(AsyncClient.get_task)
    get_task_result = _blocking(AsyncClient.get_task_result)
    cancel = _blocking(AsyncClient.cancel)
    retry = _blocking(AsyncClient.retry)
    delete = _blocking(AsyncClient.delete)
    artifacts = _blocking(AsyncClient.artifacts)
    upload = _blocking(AsyncClient.upload)
    discard_upload = _blocking(AsyncClient.discard_upload)
    kinds = _blocking(AsyncClient.kinds)
    queue = _blocking(AsyncClient.queue)
    stats = _blocking(AsyncClient.stats)
    list_tasks = _iterating(AsyncClient.list_tasks)
    audit = _iterating(AsyncClient.audit)
    connections = _iterating(AsyncClient.connections)
    events = _iterating(AsyncClient.events)
    watch = _iterating(AsyncClient.watch)
    feed = _iterating(AsyncClient.feed)


TaskWebSocketClient = Client
"""The name that clients of reference system 004 use."""


class _Exhausted(Exception):
    """The iterator is at its end; StopAsyncIteration cannot leave a coroutine."""


async def _next(items: AsyncIterator[Result]) -> Result:
    try:
        return await anext(items)
    except StopAsyncIteration:
        raise _Exhausted from None


async def _close(items: AsyncIterator[Any]) -> None:
    aclose = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()


def _shut_down(client: AsyncClient, loop: LoopThread) -> None:
    if loop.started and not loop.is_current:
        loop.call(client.close())
    loop.close()
