"""What a handler prints, line by line.

`sys.stdout` is one for the whole process. While a handler whose prints are wanted runs, it is a
`Stdout` that asks the context whose write it is, so that each of several handlers at once gets its
own, and everybody else writes where they always did. Imports no asyncio: workers use it, too.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final

from taskpush.runner.context import TaskCancelled
from taskpush.runner.reporting.reports import MAX_MESSAGE_BYTES

Say = Callable[[str], object]

LAST_LINES_S: Final = 1.0
"""How long a worker waits for the end of its standard output, which its children may hold open."""

_STDOUT: Final = 1
_LOCK: Final = threading.Lock()
"""Guards `sys.stdout` while it is replaced and put back."""


class Lines:
    """Makes lines of the pieces that are written; those of each thread by themselves."""

    def __init__(self, say: Say) -> None:
        self._say = say
        # By thread, what it wrote since its last end of line.
        self._begun: dict[int, str] = {}
        self.closed = False

    def write(self, text: str) -> None:
        """Say the lines that end with this piece."""
        thread = threading.get_ident()
        *lines, rest = (self._begun.pop(thread, "") + text).split("\n")
        if len(rest) > MAX_MESSAGE_BYTES:
            lines.append(rest)
        elif rest:
            self._begun[thread] = _overwritten(rest) + "\r" * rest.endswith("\r")
        for line in lines:
            self._say_line(line)

    def close(self) -> None:
        """Say what no end of line has followed."""
        self.closed = True
        begun, self._begun = self._begun, {}
        for line in begun.values():
            with suppress(TaskCancelled):
                self._say_line(line)

    def _say_line(self, line: str) -> None:
        seen = _overwritten(line)
        if not seen.strip():
            return
        # What saying prints is not the handler's.
        token = _LINES.set(None)
        try:
            self._say(seen)
        finally:
            _LINES.reset(token)


_LINES: Final[ContextVar[Lines | None]] = ContextVar("taskpush_lines", default=None)
"""Where what is printed goes; None: to the process's own standard output."""


class Stdout:
    """A text stream that gives each handler's writes to its `Lines`, and others to `original`."""

    def __init__(self, original: Any) -> None:
        # None in a process that has no standard output.
        self.original = original
        # How many handlers need it at the moment.
        self.users = 0

    def write(self, text: str) -> int:
        lines = _LINES.get()
        if lines is not None and not lines.closed:
            lines.write(text)
        elif self.original is not None:
            self.original.write(text)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        if self.original is not None:
            self.original.flush()

    def isatty(self) -> bool:
        return _LINES.get() is None and self.original is not None and self.original.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


@contextmanager
def captured(say: Say, *, wanted: bool = True) -> Iterator[None]:
    """Have `say` called with each line that is printed in this context, unless not `wanted`."""
    if not wanted:
        yield
        return
    lines = Lines(say)
    stdout = _install()
    token = _LINES.set(lines)
    try:
        yield
    finally:
        _LINES.reset(token)
        lines.close()
        _uninstall(stdout)


@contextmanager
def captured_process(say: Say, *, wanted: bool = True) -> Iterator[None]:
    """As `captured`, for a process of the handler's own.

    Also with the lines that threads, C code and other programs write to the descriptor of the
    standard output. Those come a moment later than what the handler reports meanwhile.
    """
    if not wanted:
        yield
        return
    reading, writing = os.pipe()
    kept = os.dup(_STDOUT)
    os.dup2(writing, _STDOUT)
    os.close(writing)
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper
    reader = threading.Thread(
        target=_read_lines, args=(reading, say), name="taskpush stdout", daemon=True
    )
    reader.start()
    try:
        with captured(say):
            yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()
        ctypes.CDLL(None).fflush(None)
        os.dup2(kept, _STDOUT)
        os.close(kept)
        reader.join(LAST_LINES_S)


def _install() -> Stdout:
    with _LOCK:
        if not isinstance(sys.stdout, Stdout):
            sys.stdout = Stdout(sys.stdout)
        sys.stdout.users += 1
        return sys.stdout


def _uninstall(stdout: Stdout) -> None:
    with _LOCK:
        stdout.users -= 1
        # Somebody else may have replaced it meanwhile; then it stays where that one keeps it.
        if stdout.users == 0 and sys.stdout is stdout:
            sys.stdout = stdout.original


def _read_lines(descriptor: int, say: Say) -> None:
    """Say what comes out of a pipe, and empty it to its end: whoever writes must not get stuck."""
    with os.fdopen(descriptor, "rb") as pipe:
        while piece := pipe.readline(MAX_MESSAGE_BYTES):
            line = _overwritten(piece.decode(errors="replace").rstrip("\n"))
            if line.strip():
                with suppress(Exception, TaskCancelled):
                    say(line)


def _overwritten(line: str) -> str:
    """What a terminal shows of a line with carriage returns: about what follows the last one."""
    return line.rstrip("\r").rpartition("\r")[2]
