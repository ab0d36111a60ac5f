"""Watching by callbacks, as reference system 004 does it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from taskpush.client.asynchronous import AsyncClient
from taskpush.client.calls import After
from taskpush.client.errors import ClientError, RequestRefused
from taskpush.client.events import WatchItem
from taskpush.client.looping import LoopThread

Callback = Callable[[str, dict[str, Any]], object]
"""Is called with the task's id and the event's data."""

_logger = logging.getLogger(__name__)

_WAITING: Final = 256
"""Items on their way to slow callbacks; beyond that the watches wait, and lose nothing."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A watch is over."""

    task_id: str
    # Newest status that was seen; None when none was.
    status: str | None
    # None when the task ended.
    failure: ClientError | None


class Feed:
    """Merges any number of watches into one ordered stream. Lives on the client's loop."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._queue: asyncio.Queue[WatchItem | _Ended | None] = asyncio.Queue(_WAITING)
        self._pumps: dict[str, asyncio.Task[None]] = {}

    async def add(self, task_id: str, after: After, *, previews: bool = False) -> None:
        """Watch one more task; one that is watched already is watched once."""
        present = self._pumps.get(task_id)
        if present is None or present.done():
            self._pumps[task_id] = asyncio.create_task(
                self._pump(task_id, after, previews=previews), name=f"taskpush-callbacks-{task_id}"
            )

    async def next(self) -> WatchItem | _Ended | None:
        """The next item, or the end of a watch; None after `close`."""
        return await self._queue.get()

    async def close(self) -> None:
        """End all watches; what waits is dropped."""
        pumps = list(self._pumps.values())
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def _pump(self, task_id: str, after: After, *, previews: bool) -> None:
        status: str | None = None
        failure: ClientError | None = None
        try:
            async for item in self._client.watch(task_id, after, previews=previews):
                if item.event_type in ("status_change", "resync"):
                    status = item.data.get("status")
                await self._queue.put(item)
        except ClientError as error:
            failure = error
        await self._queue.put(_Ended(task_id, status, failure))


class CallbackClient:
    """Subscriptions whose events go to callbacks.

    A callback is assigned as an attribute, or added by `on`, and called with (task_id, data). All
    of them are called from one background thread, one after the other, in the order of the events;
    one that raises is logged and does not stop the rest. They may call the client, but not wait
    for completion.
    """

    on_status_change: Callback | None = None
    on_progress: Callback | None = None
    on_iteration_complete: Callback | None = None
    # Also when a subscription is refused or lost for good: `error`, `error_type` and `code`.
    on_error: Callback | None = None
    on_log: Callback | None = None
    on_artifact: Callback | None = None
    on_checkpoint: Callback | None = None
    on_queue: Callback | None = None
    on_stats: Callback | None = None
    # For subscriptions with `previews`.
    on_preview: Callback | None = None
    # The history was cut; the data is the task's snapshot.
    on_resync: Callback | None = None

    def __init__(self, client: AsyncClient, loop: LoopThread) -> None:
        self._client = client
        self._loop = loop
        self._moved = threading.Condition()
        self._feed: Feed | None = None
        self._thread: threading.Thread | None = None
        # By task; None while it is watched. In the order of subscription.
        self._subscribed: dict[str, _Ended | None] = {}
        # By event type, in the order of `on`. The tuples are replaced, not changed.
        self._handlers: dict[str, tuple[Callback, ...]] = {}

    def on(self, event_type: str, callback: Callback) -> Callable[[], None]:
        """Call `callback` with each event of this type, after those that were there before it.

        Any type will do, also one that this client has no attribute for. Returns what takes it
        away again: an event that is being delivered meanwhile may still reach it.
        """
        with self._moved:
            self._handlers[event_type] = (*self._handlers.get(event_type, ()), callback)
        removed = threading.Event()

        def remove() -> None:
            with self._moved:
                if removed.is_set():
                    return
                removed.set()
                left = list(self._handlers[event_type])
                left.remove(callback)
                self._handlers[event_type] = tuple(left)

        return remove

    def connect(self) -> None:
        """Open the connection; raises `ServerUnreachable` or `RequestRefused`."""
        self._loop.call(self._client.connect())

    def subscribe(self, task_id: str, after: After = None, *, previews: bool = False) -> None:
        """Have the task's events passed to the callbacks: from its first one, or after `after`.

        Returns at once. A task that does not exist yet is waited for, a minute at most. With
        `previews`, what the job shows of its work is among them.
        """
        with self._moved:
            if self._feed is None:
                self._feed = Feed(self._client)
                self._thread = threading.Thread(
                    target=self._deliver, args=(self._feed,), name="taskpush-callbacks", daemon=True
                )
                self._thread.start()
            self._subscribed.pop(task_id, None)
            self._subscribed[task_id] = None
            feed = self._feed
        self._loop.call(feed.add(task_id, after, previews=previews))

    def wait_for_completion(self, timeout: float | None = None) -> str | None:
        """Wait until all subscribed tasks are over and their callbacks have returned.

        `timeout` in seconds; None waits as long as it takes. Returns the status of the task that
        was subscribed last (`completed`, `failed`, `cancelled`, `interrupted`), or None when the
        time was up first, nothing was subscribed, or `disconnect` was called. Raises what ended a
        subscription before its task, such as `ServerUnreachable`.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a callback cannot wait for the callbacks that follow it")
        with self._moved:
            if not self._moved.wait_for(self._all_ended, timeout):
                return None
            ended = [end for end in self._subscribed.values() if end is not None]
        for end in ended:
            if end.failure is not None:
                raise end.failure
        return ended[-1].status if ended else None

    def disconnect(self) -> None:
        """End the subscriptions; callbacks that have not begun are left out.

        The client stays usable, also for new subscriptions.
        """
        with self._moved:
            feed, thread = self._feed, self._thread
            self._feed = self._thread = None
            self._subscribed.clear()
            self._moved.notify_all()
        if feed is not None and thread is not None:
            self._loop.call(feed.close())
            if threading.current_thread() is not thread:
                thread.join()

    def _all_ended(self) -> bool:
        return all(self._subscribed.values())

    # ------------------------------------------------------------ on the background thread

    def _deliver(self, feed: Feed) -> None:
        while True:
            try:
                item = self._loop.call(feed.next())
            except RuntimeError:
                # The client was closed.
                return
            if item is None:
                return
            if isinstance(item, _Ended):
                self._end(feed, item)
            else:
                self._tell(item.event_type, item.task_id, item.data)

    def _end(self, feed: Feed, end: _Ended) -> None:
        if end.failure is not None:
            self._tell("error", end.task_id, _as_error(end.failure))
        with self._moved:
            if self._feed is feed and end.task_id in self._subscribed:
                self._subscribed[end.task_id] = end
                self._moved.notify_all()

    def _tell(self, event_type: str, task_id: str, data: Mapping[str, Any]) -> None:
        # Event types of newer servers have no attribute here.
        assigned: Callback | None = getattr(self, f"on_{event_type}", None)
        added = self._handlers.get(event_type, ())
        for callback in added if assigned is None else (assigned, *added):
            # Whatever it raises, the others and the other events must arrive.
            try:
                callback(task_id, dict(data))
            except Exception:
                _logger.exception("client.callback_failed", extra={"event_type": event_type})


def _as_error(failure: ClientError) -> dict[str, Any]:
    code = failure.code if isinstance(failure, RequestRefused) else "connection_lost"
    return {"error": str(failure), "error_type": type(failure).__name__, "code": code}
