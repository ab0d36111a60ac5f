"""The client for asyncio programs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from taskpush.client.calls import After, Calls, parse_after
from taskpush.client.connection import Connection, OnChange
from taskpush.client.credential import Credential, Token
from taskpush.client.doors import DOORS, Door, Ladder
from taskpush.client.errors import RequestRefused
from taskpush.client.events import WatchItem
from taskpush.client.feed import FeedItem, FeedSession
from taskpush.client.health import ConnectionState, Health, OnState
from taskpush.client.opening import Opener
from taskpush.client.patience import Contact, Patience
from taskpush.client.progress import displayed
from taskpush.client.rest import Rest
from taskpush.client.running import run_shown
from taskpush.client.session import WatchSession
from taskpush.client.watching import Session
from taskpush.models.position import Position


class AsyncClient(Calls):
    """Creates tasks on a taskpush server and watches them.

    `server_url` is where taskpush is mounted, such as `http://127.0.0.1:8000` or
    `https://example.org/jobs`, and `token` the API key or token to show there, or a function that
    gives the present one. All watches of a client share a connection, which is opened by
    the first of them. Use it as an asynchronous context manager, or call `close`; it belongs to
    one event loop.

    Any call may raise `ServerUnreachable`, `BadAnswer` and `RequestRefused`.
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
        parts = urlsplit(server_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"a server is named as http://host:port, not {server_url!r}")
        self.server_url = server_url.rstrip("/")
        self._patience = patience
        self._contact = Contact()
        self._on_change = on_connection_change or _ignore
        self._credential = Credential(token)
        self._opener = Opener(self.server_url, self._credential, Ladder(doors))
        self._health = Health(on_connection_state or _ignore_state)
        super().__init__(Rest(self.server_url, patience, self._contact, self._credential))
        # A second one only for a task that is watched twice, or beyond a connection's limit.
        self._connections: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def connection(self) -> ConnectionState:
        """How the connection for watches is, and which door it goes through."""
        return self._health.state

    async def connect(self) -> None:
        """Open the connection for watches now, to learn early whether there is a server."""
        await self._connection_for(None).open()

    async def close(self) -> None:
        """End the watches and close all connections."""
        connections, self._connections = self._connections, []
        for connection in connections:
            await connection.close()
        await self._rest.close()

    # ------------------------------------------------------------ watching

    async def watch(
        self,
        task_id: str,
        after: After = None,
        *,
        past_interruption: bool = False,
        previews: bool = False,
    ) -> AsyncGenerator[WatchItem, None]:
        """The task's events, live, until it is over; lost connections are restored unnoticed.

        Logged events come without a gap, a duplicate or a change of order; volatile ones
        (`progress`, …) as the newest state of their type. A `Resync` among them says that the
        history was cut. The last item is the event with `final`, or the one that says
        `interrupted`, unless `past_interruption`: nothing executes an interrupted task, but it
        may be resumed. A task that is over already gives its log and ends. With `previews` the
        volatile ones include `preview`, whose `data["content"]` is the bytes of a picture, or text.

        A task that does not exist yet is waited for, a minute at most; then, and when it is
        deleted, this raises `RequestRefused` with `not_found`.
        """
        session: Session[WatchItem] = WatchSession(
            task_id.lower(),
            after=await self._start(task_id, after),
            past_interruption=past_interruption,
            previews=previews,
        )
        watch = self._connection_for(session.key).add(session)
        try:
            async for item in watch:
                yield item
        finally:
            watch.close()

    async def run(
        self,
        kind: str,
        params: Mapping[str, Any] | None = None,
        /,
        *,
        progress: bool = False,
        timeout_s: float | None = None,
        **more: Any,
    ) -> Any:
        """Create a task, watch it to its end, and give what it returned.

        `await client.run("layout", max_iterations=20)`; params with other names than a keyword can
        have, or `progress` and `timeout_s`, go into `params`. With `progress` a bar is shown, on
        stderr or below the notebook's cell.

        Raises `TaskFailed`, `TaskCancelled` or `TaskInterrupted` when the task ended otherwise,
        and `WaitTimeout` when it was not over in `timeout_s`; it goes on then, as it does when
        this call is cancelled.
        """
        with displayed(kind, wanted=progress) as display:
            given = {**(params or {}), **more}
            return await run_shown(self, kind, given, display, timeout_s)

    async def feed(
        self, feed: str = "all", after: str | None = None
    ) -> AsyncGenerator[FeedItem, None]:
        """What changes in a set of tasks, live, without end: each task in its newest state.

        `feed` is `all`, `kind:NAME`, `tag:NAME` or `owner:me`. First come the tasks that wait or
        run; or, with the `cursor` of an earlier change as `after`, what changed since, with those
        that ended or were deleted. Lost connections are restored unnoticed. A `FeedReset` says
        that the server could not tell what changed: what is known has to be forgotten.

        Raises `RequestRefused` with `invalid_request` for a feed that has no such name.
        """
        session: Session[FeedItem] = FeedSession(feed, after=after)
        watch = self._connection_for(session.key).add(session)
        try:
            async for item in watch:
                yield item
        finally:
            watch.close()

    # ------------------------------------------------------------ how

    async def _start(self, task_id: str, after: After) -> Position | Literal["now"] | None:
        if after == "now":
            return "now"
        position = parse_after(after)
        if position is None or position.seq == 0 or position.epoch:
            return position
        # A subscription's position needs the epoch, which a bare seq leaves out.
        async for event in self.events(task_id, position.seq - 1):
            return event.position
        raise RequestRefused("position_gone", detail=f"the log does not reach {position} yet")

    def _connection_for(self, key: str | None) -> Connection:
        for connection in self._connections:
            if key is None or connection.has_room_for(key):
                return connection
        connection = Connection(
            self._opener,
            self._patience,
            self._contact,
            self._credential,
            self._health,
            self._on_change,
        )
        self._connections.append(connection)
        return connection


def _ignore(connected: bool) -> None:
    del connected


def _ignore_state(state: ConnectionState) -> None:
    del state
