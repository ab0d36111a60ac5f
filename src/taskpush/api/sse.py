"""Server-Sent Events: answers that go on, each written by a channel of its own.

Source of the format: the HTML standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskpush.api.wire import HttpWire, wire_of
from taskpush.errors import TaskPushError
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.channel import Channel
from taskpush.push.frames import FrameCache
from taskpush.push.outbox import Message, Outgoing, Reply
from taskpush.push.plane import PushPlane

BATCH_BYTES: Final = 64 * 1024
COMMENT_EVERY_S: Final = 15.0
"""Proxies close connections that are silent for longer than some tens of seconds."""
RETRY_MS: Final = (500, 1500)
"""How long clients wait before they come back: not all at once, when a server was restarted."""

_COMMENT: Final = b":\n\n"
_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    # Asks nginx not to keep events until a buffer is full.
    "X-Accel-Buffering": "no",
}


def sse_frame(item: Outgoing) -> bytes:
    """The event as text; those that move the reader's position have it as `id`."""
    match item:
        case LoggedEvent():
            place = b"%b:%d" % (item.epoch.encode(), item.seq)
            return b"event: task_update\nid: %b\ndata: %b\n\n" % (place, item.body)
        case VolatileEvent():
            return b"event: task_update\ndata: %b\n\n" % item.body
        case Message():
            place = b"" if item.position is None else b"id: %b\n" % item.position.encode()
            return b"event: %b\n%bdata: %b\n\n" % (item.name.encode(), place, item.body)
        case Reply():
            raise AssertionError("nobody can have asked over a stream")


class SseLink:
    """A `push.link.Link` to whoever reads one stream: one batch at a time is on its way."""

    __slots__ = ("_chunk", "_cut", "_frames", "_sent_bytes", "_stirred", "final", "wire")

    def __init__(self, frames: FrameCache, cut: Callable[[], None]) -> None:
        self._frames = frames
        self._cut = cut
        # What the server has not taken.
        self._chunk = b""
        self._sent_bytes = 0
        self._stirred = asyncio.Event()
        # Whether nothing follows what was written last, as things are.
        self.final = False
        # None until the response has begun, and under a server that offers none.
        self.wire: HttpWire | None = None

    @property
    def room(self) -> int:
        return 0 if self._chunk else BATCH_BYTES

    @property
    def waiting_bytes(self) -> int:
        return len(self._chunk) + self._buffered_bytes

    @property
    def taken_bytes(self) -> int:
        return self._sent_bytes - self._buffered_bytes

    def write(self, batch: Sequence[Outgoing]) -> None:
        match batch[-1]:
            case LoggedEvent(final=final) | Message(final=final):
                self.final = final
            case _:
                self.final = False
        self.put(self._frames.join(batch))

    def abort(self) -> None:
        self._cut()

    def put(self, text: bytes) -> None:
        """Send `text` after everything that was written."""
        self._chunk += text
        self._stirred.set()

    @property
    def chunk(self) -> bytes:
        """What is to be sent next."""
        return self._chunk

    def sent(self, size: int) -> None:
        """The server has taken so many bytes of it."""
        self._sent_bytes += size
        self._chunk = self._chunk[size:]

    def stir(self) -> None:
        """End a wait for `stirred`."""
        self._stirred.set()

    async def stirred(self) -> None:
        """Until there is something to do."""
        await self._stirred.wait()
        self._stirred.clear()

    @property
    def _buffered_bytes(self) -> int:
        return 0 if self.wire is None else self.wire.buffered_bytes


class EventStream(Response):
    """A response that sends what its channel is given, until one of both sides ends it.

    It ends by itself after a final event that nothing follows.
    """

    media_type: str | None = "text/event-stream"

    def __init__(
        self,
        plane: PushPlane,
        frames: FrameCache,
        *,
        comment_every_s: float,
        on_close: Callable[[EventStream], None],
    ) -> None:
        # Not Response's own: that one would declare the length of a body.
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._link = SseLink(frames, self._cut)
        self.channel = Channel(plane, self._link, on_settled=self._end_when_over)
        self._comment_every_s = comment_every_s
        self._on_close = on_close
        # None until the response has begun.
        self._task: asyncio.Task[None] | None = None
        # None while nobody waits for the next comment.
        self._comment: asyncio.TimerHandle | None = None
        self._ending = False
        # The peer has left, or was cut off: there is nobody to send to.
        self._gone = False

    def begin(self, position: str | None) -> None:
        """Say how long to wait before coming back, and from where unless an event says it."""
        self._link.put(b"retry: %d\n" % random.randint(*RETRY_MS))
        # An id alone is no event, but a browser keeps it.
        self._link.put(b"\n" if position is None else b"id: %b\n\n" % position.encode())

    def end(self) -> None:
        """Send nothing more than what is on its way: the peer may come back."""
        self._ending = True
        self.channel.close()
        self._link.stir()

    def close(self) -> None:
        """Release everything; for whoever does not send the response."""
        self.channel.close()
        self._on_close(self)
        if self._comment is not None:
            self._comment.cancel()
        if self._link.wire is not None:
            self._link.wire.on_stop = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._task = asyncio.current_task()
        self._watch_connection(wire_of(scope))
        leaving = asyncio.create_task(_until_gone(receive), name="taskpush-stream-peer")
        leaving.add_done_callback(self._left)
        self._comment_later()
        try:
            with suppress(OSError):  # What servers raise when there is nobody to send to.
                await send(
                    {
                        "type": "http.response.start",
                        "status": self.status_code,
                        "headers": self.raw_headers,
                    }
                )
                await self._send_all(send)
        except asyncio.CancelledError:
            if not self._gone or self._task is None or self._task.uncancel():
                raise
        finally:
            leaving.cancel()
            self.close()

    async def _send_all(self, send: Send) -> None:
        link = self._link
        while not self._gone:
            if chunk := link.chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                link.sent(len(chunk))
                self.channel.flush()
            elif self._ending:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            else:
                await link.stirred()

    def _watch_connection(self, wire: HttpWire | None) -> None:
        if wire is not None:
            self._link.wire = wire
            wire.on_stop = self.end
            if wire.stopping:
                self.end()

    def _end_when_over(self) -> None:
        if self._link.final and not self._link.chunk:
            self.end()

    def _left(self, _: asyncio.Task[None]) -> None:
        self._gone = True
        self._link.stir()

    def _cut(self) -> None:
        """Cut the connection; the response may be waiting for its peer."""
        self._gone = True
        self.channel.close()
        if self._link.wire is not None:
            self._link.wire.abort()
        elif self._task is not None:
            self._task.cancel()
        self._link.stir()

    def _comment_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._comment = loop.call_later(self._comment_every_s, self._say_comment)

    def _say_comment(self) -> None:
        if not self._link.chunk:
            self._link.put(_COMMENT)
        self._comment_later()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Streams:
    """The open streams of this process."""

    def __init__(self, plane: PushPlane, *, comment_every_s: float = COMMENT_EVERY_S) -> None:
        self._plane = plane
        self._comment_every_s = comment_every_s
        self._frames = FrameCache(sse_frame)
        self._open: dict[EventStream, None] = {}
        self._stopped = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._open)

    def open(self) -> EventStream:
        """A new stream, whose channel can be subscribed; raises `shutting_down`.

        It is to be sent, or to be closed.
        """
        if self._stopped:
            raise TaskPushError(code="shutting_down")
        stream = EventStream(
            self._plane,
            self._frames,
            comment_every_s=self._comment_every_s,
            on_close=self._forget,
        )
        self._open[stream] = None
        return stream

    def shutdown(self) -> None:
        """End all: clients come back by themselves."""
        self._stopped = True
        for stream in tuple(self._open):
            stream.end()

    def _forget(self, stream: EventStream) -> None:
        self._open.pop(stream, None)
