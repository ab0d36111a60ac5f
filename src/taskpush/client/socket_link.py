"""One Socket.IO connection to a server, from its opening to its loss: python-socketio, typed.

The library ships no types and is touched nowhere else in the client. Its own reconnection stays
off: a `Link` is never reused.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from functools import partial
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

import aiohttp

from taskpush.client.door import LinkFailed, OnAnswer, Told
from taskpush.client.doors import Door
from taskpush.client.errors import RequestRefused
from taskpush.client.later import HeedfulSession, seconds
from taskpush.client.polling import PollingSession
from taskpush.client.session import is_passing

NAMESPACE: Final = "/tasks"
EVENTS: Final = (
    *("connected", "error"),
    *("task_update", "resync", "task_deleted"),
    *("active_tasks", "task_created", "feed_update"),
)
_CLOSE_WITHIN_S: Final = 3.0
_UNREADABLE: Final = (OSError, aiohttp.ClientError, ValueError, LookupError, TypeError)
"""What the library lets through when the peer is gone, or is no Socket.IO server."""


class SocketLink:
    """An open connection. Made by `open_socket`.

    It has to note events at once: the library runs each handler as an asyncio task of its own, and
    only up to the first await do these keep their order.
    """

    door: ClassVar[Door] = "socketio"

    def __init__(
        self, told: Told, socketio: Any, http: aiohttp.ClientSession, transport: str
    ) -> None:
        # Set when the connection is gone, whoever ended it.
        self.lost = asyncio.Event()
        # Whether the server sent the client away for good: protocol section 2, "Closing".
        self.dismissed = False
        self.blocked = False
        self.barren = True
        self._http = http
        self._heedful = HeedfulSession(http)
        self._transport = transport
        self._outgoing: asyncio.Queue[tuple[str, object, OnAnswer | None]] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None
        self._socketio = socketio
        self._sio = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            logger=_silent("socketio"),
            engineio_logger=_silent("engineio"),
            http_session=PollingSession(self._heedful) if transport == "polling" else self._heedful,
        )
        for name in EVENTS:
            self._sio.on(name, partial(self._pass_on, name), namespace=NAMESPACE)
        self._sio.on("disconnect", self._on_disconnect, namespace=NAMESPACE)
        self._sio.on("connect_error", self._on_connect_error, namespace=NAMESPACE)
        self._told = told
        # What the server said when it turned the namespace down.
        self._refusal: object = None

    def send(self, name: str, payload: object, on_answer: OnAnswer | None = None) -> None:
        """Send an event, in the order of the calls; does nothing once the connection is gone."""
        self._outgoing.put_nowait((name, payload, on_answer))

    def abort(self) -> None:
        """Give the connection up, as if the network had."""
        self.lost.set()

    async def connect(self, server_url: str, auth: dict[str, str] | None, timeout_s: float) -> None:
        """Raises `LinkFailed`, and `RequestRefused` when the server turns the client away."""
        root, path = socket_address(server_url)
        try:
            async with asyncio.timeout(timeout_s):
                await self._sio.connect(
                    root,
                    transports=[self._transport],
                    namespaces=[NAMESPACE],
                    socketio_path=path,
                    auth=auth,
                    wait_timeout=timeout_s,
                )
        except (self._socketio.exceptions.ConnectionError, *_UNREADABLE) as error:
            if self._sio.failed_namespaces:
                raise self._refused() from error
            raise LinkFailed(
                str(error) or type(error).__name__,
                retry_after_s=self._heedful.retry_after_s,
                blocked=self._heedful.answered or isinstance(error, TimeoutError),
            ) from error
        if self._sio.eio.state != "connected":
            # Lost before the library began to tell of losses.
            raise LinkFailed("the connection was lost at once")
        self._sender = asyncio.create_task(self._send_in_order(), name="taskpush-link-sender")

    async def close(self) -> None:
        """End the connection and everything that belongs to it."""
        self.lost.set()
        eio = self._sio.eio
        closing = asyncio.create_task(self._sio.disconnect(), name="taskpush-link-closing")
        # A long poll that is under way is not answered when the connection ends: it is enough
        # that the farewell was sent.
        farewell = eio.write_loop_task if self._transport == "polling" else None
        await asyncio.wait({farewell or closing}, timeout=_CLOSE_WITHIN_S)
        tasks = (closing, self._sender, eio.read_loop_task, eio.write_loop_task)
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._http.close()

    async def _send_in_order(self) -> None:
        while True:
            name, payload, on_answer = await self._outgoing.get()
            try:
                answered = on_answer and partial(self._pass_answer, on_answer)
                await self._sio.emit(name, payload, namespace=NAMESPACE, callback=answered)
            except self._socketio.exceptions.SocketIOError:
                # The connection ended meanwhile; `lost` says so, and whoever asked asks again.
                return

    def _pass_on(self, name: str, *payload: object) -> None:
        # What the library still holds of a lost link must not reach the next one's sessions.
        if not self.lost.is_set():
            self.barren = False
            self._told.on_event(name, payload[0] if payload else None)

    def _pass_answer(self, on_answer: OnAnswer, *answer: object) -> None:
        if not self.lost.is_set():
            on_answer(answer[0] if answer else None)

    def _on_disconnect(self, reason: str) -> None:
        # While the transport still stands, only the server's namespace disconnect comes here.
        sent_away = reason == self._sio.reason.SERVER_DISCONNECT
        self.dismissed = sent_away and self._sio.eio.state == "connected"
        self.lost.set()

    def _on_connect_error(self, *data: object) -> None:
        self._refusal = data[0] if data else None

    def _refused(self) -> RequestRefused | LinkFailed:
        said = self._refusal if isinstance(self._refusal, dict) else {"message": self._refusal}
        inner = said.get("data")
        data = inner if isinstance(inner, dict) else said
        code, message = str(data.get("code") or "connection_refused"), said.get("message")
        if is_passing(code):
            wait_s = seconds(data.get("retry_after_s"))
            return LinkFailed(f"{message} ({code})", retry_after_s=wait_s or 0.0)
        return RequestRefused(code, detail=str(message or "") or None)


async def open_socket(
    server_url: str,
    told: Told,
    *,
    auth: dict[str, str] | None,
    timeout_s: float,
    transport: Literal["websocket", "polling"] = "websocket",
) -> SocketLink:
    """Connect; raises `LinkFailed`, and `RequestRefused` when the server turns the client away."""
    # A fifth of a second of importing, which only those who watch pay, and not on their loop.
    socketio = await asyncio.to_thread(importlib.import_module, "socketio")
    link = SocketLink(told, socketio, aiohttp.ClientSession(), transport)
    try:
        await link.connect(server_url, auth, timeout_s)
    except BaseException:
        await link.close()
        raise
    return link


def socket_address(server_url: str) -> tuple[str, str]:
    """The address without its path, and the path of the Socket.IO endpoint below that."""
    parts = urlsplit(server_url)
    return f"{parts.scheme}://{parts.netloc}", f"{parts.path.strip('/')}/socket.io".lstrip("/")


def _silent(name: str) -> logging.Logger:
    """A logger apart from all others: the library reports a lost link as an error on stderr."""
    # Not from the registry, where its level would be everybody's.
    return logging.Logger(  # noqa: LOG001 - as said above
        f"taskpush.client.{name}", level=logging.CRITICAL + 1
    )
