"""Streams: answers that go on, each written by a channel of its own.

Over a wire what was committed is written to the connection in the same turn of the loop, and an
idle stream is its channel and nothing else. Elsewhere a task waits for it and sends it by ASGI.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskpush.access.admission import Admission
from taskpush.access.doorkeeper import Doorkeeper, OpenDoor
from taskpush.access.turnstile import Place
from taskpush.api.sse import Frames, SseLink, new_frames, sse_frame
from taskpush.api.wire import HttpWire, wire_of
from taskpush.errors import TaskPushError
from taskpush.models.connections import Transport, WatchDoor
from taskpush.push.alarms import Alarms
from taskpush.push.channel import Channel, error_payload
from taskpush.push.outbox import Message
from taskpush.push.plane import PushPlane
from taskpush.push.roll import Roll, Seat

COMMENT_EVERY_S: Final = 15.0
"""Proxies close connections that are silent for longer than some tens of seconds."""
REFUSED_WITHIN_S: Final = 10.0
"""How long a peer that may stay no more has to read why."""
RETRY_MS: Final = (500, 1500)
"""How long clients wait before they come back: not all at once, when a server was restarted."""

_COMMENT: Final = b":\n\n"
_HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    # Asks nginx not to keep events until a buffer is full.
    "X-Accel-Buffering": "no",
}


class Stream:
    """One stream, from its subscription until one of both sides ends it.

    It ends by itself after a final event that nothing follows. It is an `api.wire.Answer`.
    """

    __slots__ = (
        "_door",
        "_doorkeeper",
        "_ending",
        "_on_close",
        "_place",
        "_task",
        "channel",
        "gone",
        "link",
        "seat",
    )

    def __init__(
        self, plane: PushPlane, frames: Frames, place: Place, *, on_close: Callable[[Stream], None]
    ) -> None:
        self._place = place
        self.link = SseLink(frames, self._cut)
        self.channel = Channel(plane, self.link, on_settled=self._end_when_over)
        self._on_close = on_close
        # What sends the response by ASGI; None until it has begun, and over a wire.
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        # None until somebody watches over whether it may stay open.
        self._door: OpenDoor | None = None
        self._doorkeeper: Doorkeeper | None = None
        # Its place on the roll; None until it has one.
        self.seat: Seat | None = None
        # The peer has left, or was cut off: there is nobody to send to.
        self.gone = False

    def begin(self, position: str | None) -> None:
        """Say how long to wait before coming back, and from where unless an event says it."""
        self.link.put(b"retry: %d\n" % random.randint(*RETRY_MS))
        # An id alone is no event, but a browser keeps it.
        self.link.put(b"\n" if position is None else b"id: %b\n\n" % position.encode())

    def comment(self) -> None:
        """Say that it lives, unless there is something to say."""
        if not self.channel.waiting_bytes:
            self.link.put(_COMMENT)
            # So that it is seen when the peer does not take it.
            self.channel.wake()

    def stay_while(self, doorkeeper: Doorkeeper, admission: Admission) -> None:
        """End when the admission holds no more, saying why."""
        self._doorkeeper = doorkeeper
        self._door = doorkeeper.opened(admission, self.refuse)

    # What the roll asks.

    @property
    def admission(self) -> Admission:
        assert self._door is not None
        return self._door.admission

    @property
    def transport(self) -> Transport:
        return "stream"

    @property
    def watching(self) -> Channel:
        return self.channel

    def refuse(self, error: TaskPushError) -> None:
        """Say `error` after what is on its way, and end. Whoever does not read it is cut off."""
        self.channel.close()
        self.link.put(sse_frame(Message("error", orjson.dumps(error_payload(error)))))
        self.end()
        taken = self.link.taken_bytes
        asyncio.get_running_loop().call_later(REFUSED_WITHIN_S, self._cut_if_stalled, taken)

    def end(self) -> None:
        """Send nothing more than what is on its way: the peer may come back."""
        self._ending = True
        self.channel.close()
        if self.link.direct:
            self._finish()
        else:
            self.link.stir()

    def close(self) -> None:
        """Release everything."""
        self.channel.close()
        self._place.leave()
        self._on_close(self)
        if self._doorkeeper is not None and self._door is not None:
            self._doorkeeper.closed(self._door)
        if self.link.wire is not None:
            self.link.wire.tell(None)

    def start(self, wire: HttpWire | None) -> None:
        """Its response has begun, in the present task."""
        self._task = asyncio.current_task()
        if wire is not None:
            self.link.wire = wire
            wire.tell(self)
            if wire.stopping:
                self.end()

    def take_over(self) -> bool:
        """Go on without the application; False when the response has to be sent by ASGI."""
        if self.gone or not self.link.take_over():
            return False
        self._task = None
        if self._ending:
            self._finish()
        else:
            self.channel.flush()
        return True

    async def send_all(self, send: Send) -> None:
        """Send its body by ASGI, to its end."""
        link = self.link
        while not self.gone:
            if waiting := link.waiting:
                await send({"type": "http.response.body", "body": waiting, "more_body": True})
                link.sent(len(waiting))
                self.channel.flush()
            elif self._ending:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            else:
                await link.stirred()

    # What its connection tells.

    def on_room(self) -> None:
        self.channel.flush()

    def on_stop(self) -> None:
        self.end()

    def on_lost(self) -> None:
        self.gone = True
        self.channel.close()
        if self.link.direct:
            self.close()
        else:
            self.link.stir()

    def _finish(self) -> None:
        wire = self.link.wire
        assert wire is not None
        self.close()
        wire.finish()

    def _end_when_over(self) -> None:
        if self.link.final and not self.link.waiting:
            self.end()

    def _cut_if_stalled(self, taken_bytes: int) -> None:
        """Its channel is closed, so the dispatcher does not look after it any more."""
        if self.link.waiting_bytes and self.link.taken_bytes == taken_bytes:
            self._cut()

    def _cut(self) -> None:
        """Cut the connection; the response may be waiting for its peer."""
        self.gone = True
        self.channel.close()
        if self.link.wire is not None:
            self.link.wire.abort()
        elif self._task is not None:
            self._task.cancel()
        self.link.stir()


class EventStream(Response):
    """The response that sends a stream, or lets it go on over its wire."""

    media_type: str | None = "text/event-stream"

    def __init__(self, stream: Stream) -> None:
        # Not Response's own: that one would declare the length of a body.
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._stream
        stream.start(wire_of(scope))
        if scope["method"] == "HEAD":
            stream.end()
        try:
            with suppress(OSError):  # What servers raise when there is nobody to send to.
                await send(
                    {
                        "type": "http.response.start",
                        "status": self.status_code,
                        "headers": self.raw_headers,
                    }
                )
                if stream.take_over():
                    return
                await self._send_all(receive, send)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not stream.gone or task is None or task.uncancel():
                raise
        finally:
            if not stream.link.direct:
                stream.close()

    async def _send_all(self, receive: Receive, send: Send) -> None:
        stream = self._stream
        leaving = asyncio.create_task(_until_gone(receive), name="taskpush-stream-peer")
        leaving.add_done_callback(lambda _: stream.on_lost())
        try:
            await stream.send_all(send)
        finally:
            leaving.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Streams:
    """The open streams of this process."""

    def __init__(
        self, plane: PushPlane, roll: Roll, *, comment_every_s: float = COMMENT_EVERY_S
    ) -> None:
        self._plane = plane
        self._roll = roll
        self._frames = new_frames()
        self._open: dict[Stream, None] = {}
        self._comments: Alarms[Stream] = Alarms(self._comment, after_s=comment_every_s)
        self._stopped = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self._open)

    def open(self, place: Place) -> Stream:
        """A new stream, whose channel can be subscribed; raises `shutting_down`.

        It is to be sent as an `EventStream`, or to be closed; its place is left then.
        """
        if self._stopped:
            place.leave()
            raise TaskPushError(code="shutting_down")
        stream = Stream(self._plane, self._frames, place, on_close=self._forget)
        self._open[stream] = None
        self._comments.set(stream)
        return stream

    def admit(
        self, stream: Stream, doorkeeper: Doorkeeper, admission: Admission, address: str | None
    ) -> None:
        """It is somebody's, who may stay as long as the admission holds."""
        stream.stay_while(doorkeeper, admission)
        stream.seat = self._roll.enter(stream, WatchDoor.SSE, address)

    def shutdown(self) -> None:
        """End all: clients come back by themselves."""
        self._stopped = True
        for stream in tuple(self._open):
            stream.end()

    def _comment(self, stream: Stream) -> None:
        self._comments.set(stream)
        stream.comment()

    def _forget(self, stream: Stream) -> None:
        self._open.pop(stream, None)
        self._comments.unset(stream)
        if stream.seat is not None:
            self._roll.leave(stream.seat)
