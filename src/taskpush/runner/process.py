"""Running a handler in a process of its own: the server's side. The other side is `worker`.

Spawned, never forked. The child holds no store: it says everything over one socket, and is gone
when that or the server is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import time
from asyncio import Future, StreamReader, StreamWriter, TimerHandle
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from taskpush.models.events import EventType
from taskpush.models.task import TaskError, TaskRecord
from taskpush.runner import frames
from taskpush.runner.ending import Ending, Lost, Raised, Returned, Stopped
from taskpush.runner.kind import KindSpec
from taskpush.runner.recorder import Recorder
from taskpush.runner.reporting.reports import (
    Iteration,
    LogLine,
    NewArtifact,
    NewCheckpoint,
    Newest,
    Report,
)
from taskpush.runner.uploads import NO_UPLOADS, Uploads, to_message

TERMINATE_S: Final = 1.0
"""Between SIGTERM and SIGKILL."""
OURS: Final = ("TASKPUSH_JWT_", "TASKPUSH_TOKEN")
"""How what the server knows and no handler needs begins in the environment: secrets, and what is
no whole setting without them."""
LAST_WORDS_S: Final = 1.0
"""How long the socket of a dead worker is read on; a grandchild may hold it open for ever."""


class ProcessExecution:
    """A plain handler in a child process, which can be killed."""

    def __init__(
        self,
        spec: KindSpec,
        record: TaskRecord,
        recorder: Recorder,
        *,
        uploads: Uploads = NO_UPLOADS,
        spool: Path,
        env: Mapping[str, str],
        grace_s: float,
        strict_reporting: bool,
        resumed_from: Path | None = None,
    ) -> None:
        self._recorder = recorder
        self._spool = spool
        self._env = env
        self._grace_s = grace_s
        self._job = {
            **_job(spec, record, recorder, spool, strict_reporting=strict_reporting),
            # Read there before the handler can make a newer one, which removes it.
            "resumed_from": None if resumed_from is None else str(resumed_from.absolute()),
            "uploads": to_message(uploads),
        }
        self._loop = asyncio.get_running_loop()
        # None before the child is spawned; the writer also after it is gone.
        self._process: Process | None = None
        self._writer: StreamWriter | None = None
        self._cancelled = False
        self._killed = False
        self._timers: list[TimerHandle] = []
        self._acks: list[int] = []
        self.ended: Future[Ending] = self._loop.create_future()
        self._supervision = self._loop.create_task(
            self._supervise(), name=f"worker of {record.task_id}"
        )

    def cancel(self) -> None:
        """Tell the handler; terminate the process when it goes on for longer than the grace."""
        if self._cancelled:
            return
        self._cancelled = True
        self._say({"cancel": True})
        self._timers += [
            self._loop.call_later(self._grace_s, self._signal, signal.SIGTERM),
            self._loop.call_later(self._grace_s + TERMINATE_S, self._kill),
        ]

    def let_go(self) -> None:
        self._kill()

    async def close(self) -> None:
        """Wait until the process is gone, and remove what it spooled."""
        try:
            await asyncio.shield(self._supervision)
        finally:
            self._kill()
            await asyncio.to_thread(shutil.rmtree, self._spool, ignore_errors=True)

    # -- the life of the child ------------------------------------------------

    async def _supervise(self) -> None:
        try:
            await self._live()
        except OSError as error:
            self._end(Lost(f"The worker process could not be run: {error.strerror}"))
        finally:
            self._kill()
            for timer in self._timers:
                timer.cancel()
            if self._writer is not None:
                self._writer.close()
            self._end(Lost("The worker process was abandoned"))

    async def _live(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = await self._spawn(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._say(self._job)
        if self._cancelled:
            self._say({"cancel": True})
        if self._killed:
            self._signal(signal.SIGKILL)
        await self._accompany(self._process, reader)

    async def _spawn(self, theirs: socket.socket) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory must not shadow what is imported
            "-m",
            "taskpush.runner.worker",
            str(theirs.fileno()),
            str(os.getpid()),
            stdin=DEVNULL,
            pass_fds=[theirs.fileno()],
            env=_environment(self._env),
            # A group of its own: a Ctrl-C in the server's terminal is the server's to handle,
            # and what the handler started can be killed with it.
            start_new_session=True,
        )

    async def _accompany(self, process: Process, reader: StreamReader) -> None:
        """Listen to the child until it is gone; its end comes from its words, or from its exit."""
        listening = asyncio.ensure_future(self._listen(reader))
        exiting = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({listening, exiting}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                # It has said all: it may take a moment to leave.
                await asyncio.wait({exiting}, timeout=self._grace_s)
                self._kill()
            else:
                await asyncio.wait({listening}, timeout=LAST_WORDS_S)
            code = await exiting
            # What the handler started goes with it. While any of that lives, the group keeps its
            # number; if none does, the number is not given out again within a moment.
            _signal_group(process.pid, signal.SIGKILL)
            self._end(Lost(_how_it_died(code)))
        finally:
            listening.cancel()
            exiting.cancel()
            await asyncio.wait({listening, exiting})

    async def _listen(self, reader: StreamReader) -> None:
        """Take what the child says until it has said how the handler ended."""
        try:
            while not self.ended.done():
                head = await reader.readexactly(frames.HEAD_BYTES)
                body = await reader.readexactly(frames.body_bytes(head))
                self._hear(frames.unpack(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # gone; its exit code will say more
        except (ValueError, KeyError, TypeError) as error:
            # Somebody else wrote into the socket.
            self._end(Lost(f"The worker process spoke nonsense ({type(error).__name__})"))

    # -- what it says ---------------------------------------------------------

    def _hear(self, message: dict[str, Any]) -> None:
        match message:
            case {"volatile": event_type, "data": data, "attachment": content}:
                shown = {**data, "content": content}
                self._recorder.take(Newest(EventType(event_type), lambda _: shown))
            case {"volatile": event_type, "data": data}:
                self._recorder.take(Newest(EventType(event_type), lambda _: data))
            case {"log": data, "size_bytes": size_bytes}:
                self._take(LogLine(data, size_bytes), message["id"])
            case {"iteration": data}:
                self._take(Iteration(data), message["id"])
            case {"artifact": name, "path": path, "media_type": media_type}:
                self._take(NewArtifact(name, Path(path), media_type), message["id"])
            case {"checkpoint": label, "path": path, "progress_percent": percent}:
                self._take(NewCheckpoint(Path(path), label, percent), message["id"])
            case {"returned": result}:
                self._end(Returned(result))
            case {"raised": [error, error_type, code, traceback]}:
                self._end(Raised(TaskError(error, error_type, code), traceback))
            case {"stopped": True}:
                self._end(Stopped())
            case _:
                raise frames.BadFrame("an unknown message")

    def _take(self, report: Report, number: int) -> None:
        committed = self._recorder.take(report)
        if committed is None:
            self._acknowledge(number)
        else:
            committed.add_done_callback(lambda done: self._answer(done, number))

    def _answer(self, committed: Future[Any], number: int) -> None:
        if committed.cancelled():
            self._say({"done": [number], "error": ["Cancelled", "the attempt is over"]})
        elif (error := committed.exception()) is None:
            self._acknowledge(number)
        else:
            self._say({"done": [number], "error": [type(error).__name__, str(error)]})

    def _acknowledge(self, number: int) -> None:
        """Acknowledge with all others of this turn of the loop."""
        if not self._acks:
            self._loop.call_soon(self._send_acks)
        self._acks.append(number)

    def _send_acks(self) -> None:
        acks, self._acks = self._acks, []
        self._say({"done": acks})

    def _say(self, message: Mapping[str, Any]) -> None:
        # Bounded: the child waits for its answers, and only so many log lines are in flight.
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frames.pack(message))

    def _end(self, ending: Ending) -> None:
        if not self.ended.done():
            self.ended.set_result(ending)

    # -- and how it is made to go ---------------------------------------------

    def _kill(self) -> None:
        self._killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the child and what it started, as long as it is there."""
        if self._process is not None and self._process.returncode is None:
            _signal_group(self._process.pid, number)


def _job(
    spec: KindSpec, record: TaskRecord, recorder: Recorder, spool: Path, *, strict_reporting: bool
) -> dict[str, Any]:
    if spec.importable is None:
        raise TypeError(f"kind {spec.name!r} was not registered with process=True")
    return {
        "kind": spec.name,
        "module": spec.importable.module,
        "qualname": spec.importable.qualname,
        "path": spec.importable.path,
        "params": dict(record.params),
        "task_id": record.task_id,
        "attempt": record.attempt,
        # CLOCK_MONOTONIC is one clock for all processes of a machine.
        "began": time.monotonic() - recorder.elapsed_s,
        "sys_path": [str(each) for each in sys.path],
        "pythonpath": os.environ.get("PYTHONPATH"),
        "spool": str(spool),
        "strict_reporting": strict_reporting,
        "capture_print": spec.capture_print,
    }


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The child's: it must find taskpush before it has heard of the server's sys.path."""
    home = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([home, known]) if known else home
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, **extra, "PYTHONPATH": path}


def _signal_group(number: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(number, what)


def _how_it_died(code: int) -> str:
    if code >= 0:
        return f"The worker process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"The worker process was ended by signal {name}"
