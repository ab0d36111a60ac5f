"""Server-Sent Events: what is sent as text, and the link to whoever reads it.

Source of the format: the HTML standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from taskpush.api.wire import HttpWire, chunk
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.frames import FrameCache
from taskpush.push.outbox import Message, Outgoing, Reply

BATCH_BYTES: Final = 64 * 1024


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


@dataclass(frozen=True, slots=True)
class Frames:
    """Events as they are sent by ASGI, and as chunks of a body for a wire."""

    plain: FrameCache
    chunked: FrameCache


def new_frames() -> Frames:
    """The frames of one process, which all its streams share."""
    return Frames(FrameCache(sse_frame), FrameCache(lambda item: chunk(sse_frame(item))))


class SseLink:
    """A `push.link.Link` to whoever reads one stream.

    What is written waits until the response is handed over to its wire, or is sent by ASGI; then
    one batch at a time is on its way.
    """

    __slots__ = (
        "_cut",
        "_frames",
        "_sent_bytes",
        "_stirred",
        "_waiting",
        "direct",
        "final",
        "wire",
    )

    def __init__(self, frames: Frames, cut: Callable[[], None]) -> None:
        self._frames = frames
        self._cut = cut
        # What the server has not taken.
        self._waiting = b""
        self._sent_bytes = 0
        # None once nobody has to wait.
        self._stirred: asyncio.Event | None = asyncio.Event()
        # Whether nothing follows what was written last, as things are.
        self.final = False
        # None until the response has begun, and under a server that offers none.
        self.wire: HttpWire | None = None
        # Whether everything is written to the wire.
        self.direct = False

    @property
    def room(self) -> int:
        if self.direct and self.wire is not None:
            return BATCH_BYTES if self.wire.writable else 0
        return 0 if self._waiting else BATCH_BYTES

    @property
    def waiting_bytes(self) -> int:
        return len(self._waiting) + self._buffered_bytes

    @property
    def taken_bytes(self) -> int:
        return self._sent_bytes - self._buffered_bytes

    def write(self, batch: Sequence[Outgoing]) -> None:
        match batch[-1]:
            case LoggedEvent(final=final) | Message(final=final):
                self.final = final
            case _:
                self.final = False
        if self.direct:
            self._write(self._frames.chunked.join(batch))
        else:
            self.put(self._frames.plain.join(batch))

    def abort(self) -> None:
        self._cut()

    def put(self, text: bytes) -> None:
        """Send `text` after everything that was written."""
        if self.direct:
            self._write(chunk(text))
        else:
            self._waiting += text
            self.stir()

    def take_over(self) -> bool:
        """Write to the wire from now on; False when the response has to be sent by ASGI."""
        if self.wire is None or not self.wire.hand_over():
            return False
        self.direct = True
        self._stirred = None
        if self._waiting:
            waiting, self._waiting = self._waiting, b""
            self._write(chunk(waiting))
        return True

    @property
    def waiting(self) -> bytes:
        """What is to be sent next by ASGI."""
        return self._waiting

    def sent(self, size: int) -> None:
        """The server has taken so many bytes of it."""
        self._sent_bytes += size
        self._waiting = self._waiting[size:]

    def stir(self) -> None:
        """End a wait for `stirred`."""
        if self._stirred is not None:
            self._stirred.set()

    async def stirred(self) -> None:
        """Until there is something to do."""
        if self._stirred is not None:
            await self._stirred.wait()
            self._stirred.clear()

    def _write(self, chunks: bytes) -> None:
        assert self.wire is not None
        self._sent_bytes += len(chunks)
        self.wire.write(chunks)

    @property
    def _buffered_bytes(self) -> int:
        return 0 if self.wire is None else self.wire.buffered_bytes
