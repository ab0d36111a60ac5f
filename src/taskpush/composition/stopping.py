"""How a server ends: it stops its tasks, then hangs up."""

from __future__ import annotations

from dataclasses import dataclass

from taskpush.api.event_stream import Streams
from taskpush.push.dispatch import Dispatcher
from taskpush.runner.base import Runner
from taskpush.sockets.server import SocketServer
from taskpush.tasks.readiness import Readiness
from taskpush.tasks.waiting import LongPolls
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import ServerStopped


@dataclass
class Drain:
    """Stops taking work, and ends what runs; everything else goes on. May be called again."""

    runner: Runner
    readiness: Readiness
    grace_s: float
    # How many tasks it interrupted.
    interrupted: int = 0

    async def __call__(self, within_s: float | None = None) -> None:
        """Give handlers so long to stop; None means what the settings say."""
        self.readiness.stop()
        ended = await self.runner.stop(self.grace_s if within_s is None else within_s)
        # Who hurries it sees a part of the same tasks.
        self.interrupted = max(self.interrupted, ended)


@dataclass
class HangUp:
    """Answers those who wait, and closes every connection; may be called again."""

    dispatcher: Dispatcher
    polls: LongPolls
    streams: Streams
    socket: SocketServer

    def __call__(self) -> None:
        """Whoever watches comes back, and goes on where it was."""
        # How their tasks were left.
        self.dispatcher.flush()
        self.polls.end()
        self.streams.shutdown()
        self.socket.shutdown()


async def stop(drain: Drain, telemetry: Telemetry) -> None:
    """Drain the server, and say so."""
    await drain()
    telemetry.emit(ServerStopped(interrupted=drain.interrupted))
