"""A worker process: `python -m taskpush.runner.worker <socket> <pid of the server>`.

Runs one handler and ends. It imports little before the handler, and never outlives its server.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import itertools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NoReturn

import orjson

from taskpush.core.conflation import Throttle
from taskpush.core.progress import BadReport
from taskpush.errors import StoreUnavailable, TaskPushError
from taskpush.models.events import EventType
from taskpush.runner import frames
from taskpush.runner.context import DONE, LastWords, TaskCancelled, TaskContext
from taskpush.runner.ending import Ending, Lost, Raised, Returned, Stopped, call, raised, refused
from taskpush.runner.handlers import inspect_handler
from taskpush.runner.kind import Handler, InvalidResult
from taskpush.runner.printing import captured_process
from taskpush.runner.reporting.reports import (
    LOGS_IN_FLIGHT,
    Iteration,
    LogLine,
    NewArtifact,
    NewCheckpoint,
    Newest,
    Report,
)
from taskpush.runner.uploads import from_message

INTERVAL_S: Final = 0.05
"""Between two volatile states of one type."""
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main() -> None:
    """Run the job that the server sends."""
    handle, server = int(sys.argv[1]), int(sys.argv[2])
    _die_with(server)
    connection = socket.socket(fileno=handle)
    connection.set_inheritable(False)
    job = _receive(connection)
    if job is None:
        _leave(connection)
    channel = WorkerChannel(connection, began=job["began"], spool=Path(job["spool"]))
    threading.Thread(target=channel.listen, name="taskpush server", daemon=True).start()
    channel.end(_run(job, channel))


def _die_with(server: int) -> None:
    """Have the kernel kill this process when the server's loop thread is gone.

    That works even where the interpreter's lock is held; elsewhere than on Linux the end of the
    socket has to do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:  # it was gone before we asked
        os._exit(1)


def _run(job: Mapping[str, Any], channel: WorkerChannel) -> Ending:
    try:
        handler = _found(job)
        spec = inspect_handler(job["kind"], handler, process=True)
        params = spec.parse_params(job["params"], from_message(job["uploads"]))
        resumed_from = _read_state(job["resumed_from"])
    except TaskPushError as error:
        return refused(error)
    except BaseException as error:  # noqa: BLE001 - whatever a module does at import, it is said
        return raised(error)
    context = TaskContext(
        task_id=job["task_id"],
        attempt=job["attempt"],
        channel=channel,
        strict_reporting=job["strict_reporting"],
        resumed_from=resumed_from,
    )
    with captured_process(context.log, wanted=job["capture_print"]):
        return call(spec, context, params)


def _read_state(path: str | None) -> Any:
    """The checkpoint's content, which the server has checked; None without one."""
    return None if path is None else orjson.loads(Path(path).read_bytes())


def _found(job: Mapping[str, Any]) -> Handler:
    """Import the handler as the server would."""
    sys.path[:] = job["sys_path"]
    if job["pythonpath"] is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = job["pythonpath"]
    module = importlib.import_module(job["module"]) if job["module"] else _script(job["path"])
    handler: Handler = attrgetter(job["qualname"])(module)
    return handler


def _script(path: str) -> Any:
    """The server's main script as a module; not as `__main__`, which would start a server."""
    name = "__taskpush_main__"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{Path(path).name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _receive(connection: socket.socket) -> dict[str, Any] | None:
    """The next message; None when the server is gone."""
    head = _exactly(connection, frames.HEAD_BYTES)
    body = _exactly(connection, frames.body_bytes(head)) if head else b""
    return frames.unpack(body) if body else None


def _exactly(connection: socket.socket, count: int) -> bytes:
    """`count` bytes; none when the server is gone."""
    pieces = bytearray()
    while len(pieces) < count:
        try:
            piece = connection.recv(min(count - len(pieces), 1024 * 1024))
        except OSError:
            return b""
        if not piece:
            return b""
        pieces += piece
    return bytes(pieces)


@dataclass(slots=True)
class _Answer:
    """What the server says to one report."""

    given: threading.Event = field(default_factory=threading.Event)
    # Type name and message; None when the report was committed.
    error: tuple[str, str] | None = None


class WorkerChannel:
    """Between a handler in a worker process and its recorder in the server."""

    def __init__(self, connection: socket.socket, *, began: float, spool: Path) -> None:
        self._connection = connection
        self._began = began
        self._spool = spool
        self._numbers = itertools.count(1)
        self._writing = threading.Lock()
        self._answers: dict[int, _Answer] = {}
        # Guards the count of log lines that are not committed yet.
        self._room = threading.Condition()
        self._logs_in_flight = 0
        self._newest = _NewestStates(self._say_newest)
        self._cancel_requested = False
        self._last_words = LastWords()

    @property
    def cancel_requested(self) -> bool:
        return self._cancel_requested

    def send(self, report: Report) -> Awaitable[None]:
        self._raise_if_cancelled(report)
        match report:
            case Newest():
                self._newest.offer(report)
            case LogLine(data, size_bytes):
                self._enter()
                self._say({"log": data, "size_bytes": size_bytes, "id": next(self._numbers)})
            case Iteration(data):
                self._ask({"iteration": data})
            case NewArtifact(name, source, media_type):
                self._hand_over({"artifact": name, "media_type": media_type}, source)
            case NewCheckpoint(source, label, percent):
                said = {"checkpoint": label, "progress_percent": percent}
                self._hand_over(said, source)
        return DONE

    def pulse(self) -> Awaitable[None]:
        self._raise_if_cancelled()
        return DONE

    def listen(self) -> None:
        """Take what the server says; end this process, and what it started, with the server."""
        while (message := _receive(self._connection)) is not None:
            if message.get("cancel"):
                self._cancel_requested = True
                with self._room:
                    self._room.notify_all()
            for number in message.get("done", ()):
                self._settle(number, message.get("error"))
        _leave(self._connection)

    def end(self, ending: Ending) -> None:
        """Say how the handler ended; nothing is said after that."""
        self._newest.flush()
        try:
            self._say(_message(ending))
        except frames.BadFrame as error:
            self._say(_message(raised(InvalidResult(f"result: {error}"))))

    def _hand_over(self, said: Mapping[str, Any], source: Path | bytes) -> None:
        """A file is read by the server where it is; content goes there through the spool."""
        if isinstance(source, Path):
            self._ask({**said, "path": str(source)})
            return
        spooled = self._spool / str(next(self._numbers))
        try:
            self._spool.mkdir(parents=True, exist_ok=True)
            spooled.write_bytes(source)
        except OSError as error:
            raise StoreUnavailable(f"the content cannot be spooled: {error.strerror}") from error
        self._ask({**said, "path": str(spooled)})
        spooled.unlink(missing_ok=True)

    def _ask(self, message: dict[str, Any]) -> None:
        """Say it, and wait until it is committed."""
        number, answer = next(self._numbers), _Answer()
        self._answers[number] = answer
        self._say({**message, "id": number})
        answer.given.wait()
        match answer.error:
            case ("BadReport", text):
                raise BadReport(text)
            case ("StoreUnavailable", text):
                raise StoreUnavailable(text)
            case (_, _):  # fenced: this attempt is over
                raise TaskCancelled

    def _settle(self, number: int, error: tuple[str, str] | None) -> None:
        answer = self._answers.pop(number, None)
        if answer is None:
            with self._room:
                self._logs_in_flight -= 1
                self._room.notify()
        else:
            answer.error = None if error is None else (error[0], error[1])
            answer.given.set()

    def _enter(self) -> None:
        """Wait until few enough log lines are in flight."""
        with self._room:
            while self._logs_in_flight >= LOGS_IN_FLIGHT and not self._cancel_requested:
                self._room.wait()
            self._raise_if_cancelled()
            self._logs_in_flight += 1

    def _say_newest(self, newest: Newest) -> None:
        data = newest.read(time.monotonic() - self._began)
        said = {"volatile": newest.event_type.value}
        if isinstance(content := data.get("content"), bytes):
            self._say({**said, "data": {**data, "content": None}}, content)
        else:
            self._say({**said, "data": data})

    def _say(self, message: Mapping[str, Any], attachment: bytes | None = None) -> None:
        frame = frames.pack(message, attachment)
        with self._writing:
            try:
                self._connection.sendall(frame)
            except OSError:
                _leave(self._connection)

    def _raise_if_cancelled(self, report: Report | None = None) -> None:
        if self._cancel_requested:
            self._last_words.check(report)


class _NewestStates:
    """Merges volatile states before they reach the socket; a thread sends those that waited.

    Twice as often as the recorder, so that the two together delay nothing by two intervals.
    """

    def __init__(self, say: Callable[[Newest], None]) -> None:
        self._say = say
        self._throttles: dict[EventType, Throttle[Newest]] = {}
        self._changed = threading.Condition()
        # None until something had to wait.
        self._thread: threading.Thread | None = None

    def offer(self, newest: Newest) -> None:
        """Say it now if it is due, else soon."""
        with self._changed:
            throttle = self._throttles.get(newest.event_type) or Throttle(interval_s=INTERVAL_S)
            throttle, due = throttle.offer(newest, time.monotonic())
            self._throttles[newest.event_type] = throttle
            if due is not None:
                self._say(due)
            else:
                self._have_flushed()

    def flush(self) -> None:
        """Say what waits, due or not."""
        with self._changed:
            for event_type, throttle in self._throttles.items():
                self._throttles[event_type], due = throttle.flush(time.monotonic())
                if due is not None:
                    self._say(due)

    def _have_flushed(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="taskpush volatile", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._anything_waits)
            time.sleep(INTERVAL_S)
            self.flush()

    def _anything_waits(self) -> bool:
        return any(each.waiting is not None for each in self._throttles.values())


def _message(ending: Ending) -> dict[str, Any]:
    match ending:
        case Returned(result):
            return {"returned": result}
        case Raised(error, traceback):
            return {"raised": [error.error, error.error_type, error.code, traceback]}
        case Stopped():
            return {"stopped": True}
        case Lost():
            raise TypeError("a worker cannot say that it is lost")


def _leave(connection: socket.socket) -> NoReturn:
    """Without its server there is nothing left to do, at once and for the whole group."""
    connection.close()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
