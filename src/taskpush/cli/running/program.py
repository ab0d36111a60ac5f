"""A program in the foreground: its output passed on and looked into, signals passed on.

It gets a process group of its own, and the terminal with it, as a shell would have it: so Ctrl-C
and Ctrl-Z reach it and everything it has started, and a stop does too.
"""

from __future__ import annotations

import fcntl
import os
import pty
import selectors
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any, Final, Literal

Stream = Literal["stdout", "stderr"]

CHUNK_BYTES: Final = 64 * 1024
LOOK_S: Final = 0.1
"""So often it is looked whether the program has ended or is to end."""
AFTERWARDS_S: Final = 0.5
"""So long what it has started may still write when it has ended itself."""
_PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIZE: Final = b"\x18\x00\x50\x00\x00\x00\x00\x00"
"""24 lines of 80 characters, where there is no terminal that says."""


class Program:
    """Runs a command to its end. Its output streams are terminals where `ptys` says so."""

    def __init__(self, command: Sequence[str], ptys: Mapping[Stream, bool]) -> None:
        """Start it; raises `OSError` when there is no such program.

        From now on signals are its own, until the end of `run`.
        """
        # The signals that were sent to it, the last of them last.
        self.passed_on: list[int] = []
        # How it ended, as `os.waitstatus_to_exitcode` has it; None until then.
        self.status: int | None = None
        # Whether our terminal is the program's for the moment.
        self._lent = False
        # Its process group; 0 until it has one.
        self._group = 0
        self._ours: dict[int, Stream] = {}
        theirs: dict[Stream, int] = {}
        self._signals = ExitStack()
        self._signals.enter_context(self._taking_signals())
        try:
            for stream, wanted in ptys.items():
                ours, theirs[stream] = _terminal() if wanted else os.pipe()
                self._ours[ours] = stream
            self._process = subprocess.Popen(command, process_group=0, **theirs)  # type: ignore[call-overload] # descriptors by name
        except BaseException:
            self._signals.close()
            for each in self._ours:
                os.close(each)
            raise
        finally:
            for each in theirs.values():
                os.close(each)
        self._group = int(self._process.pid)
        for number in self.passed_on:
            os.killpg(self._group, number)

    def run(
        self,
        on_output: Callable[[Stream, bytes], object],
        wanted_to_stop: Callable[[], bool],
        *,
        grace_s: float,
        first: Callable[[], object] = lambda: None,
    ) -> int:
        """To its end; gives its exit code as shells have it: 128 and more for a signal.

        Its output is passed on when `first` has returned; signals reach it meanwhile, too.
        It is asked to stop by SIGTERM when somebody wants that, and killed when it has not stopped
        after `grace_s` seconds.
        """
        with self._signals, self._terminal_lent(), selectors.DefaultSelector() as selector:
            first()
            for each in self._ours:
                selector.register(each, selectors.EVENT_READ)
            self._follow(selector, on_output, _Stopping(self, wanted_to_stop, grace_s))
            for each in list(self._ours):
                self._close(each, selector)
        assert self.status is not None
        self._process.returncode = self.status
        return self.status if self.status >= 0 else 128 - self.status

    def send(self, number: int) -> None:
        """Send a signal to it and to what it has started."""
        self.passed_on.append(number)
        if self._group:
            with suppress(ProcessLookupError):
                os.killpg(self._group, number)

    # ------------------------------------------------------------ its life

    def _follow(
        self,
        selector: selectors.BaseSelector,
        on_output: Callable[[Stream, bytes], object],
        stopping: _Stopping,
    ) -> None:
        until_s = float("inf")
        while self._ours and time.monotonic() < until_s:
            for key, _ in selector.select(LOOK_S):
                self._pass_on(key.fd, selector, on_output)
            if until_s == float("inf") and self._ended(stopping):
                until_s = time.monotonic() + AFTERWARDS_S
        # It has closed its output, and there is nothing left to select on. Not a `waitpid` that
        # waits: meanwhile somebody may want it to stop, which is looked for as well.
        while not self._ended(stopping):
            time.sleep(LOOK_S)

    def _ended(self, stopping: _Stopping) -> bool:
        """Whether it has; if not, it may have been stopped, or is to end."""
        if self.status is not None:
            return True
        pid, status = os.waitpid(self._group, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            self._stand_still()
        elif pid:
            self.status = os.waitstatus_to_exitcode(status)
        else:
            stopping.look()
        return self.status is not None

    def _stand_still(self) -> None:
        """Ctrl-Z: it was stopped, so stop with it, and go on with it."""
        if not self._lent:
            return
        os.tcsetpgrp(0, os.getpgrp())
        os.kill(os.getpid(), signal.SIGSTOP)
        os.tcsetpgrp(0, self._group)
        os.killpg(self._group, signal.SIGCONT)

    # ------------------------------------------------------------ its output

    def _pass_on(
        self,
        descriptor: int,
        selector: selectors.BaseSelector,
        on_output: Callable[[Stream, bytes], object],
    ) -> None:
        stream = self._ours[descriptor]
        try:
            content = os.read(descriptor, CHUNK_BYTES)
        except OSError:
            # A terminal whose other side is closed says so by an error (Linux: EIO).
            content = b""
        if not content:
            self._close(descriptor, selector)
            return
        try:
            _write(1 if stream == "stdout" else 2, content)
        except OSError:
            # Nobody reads ours: let it notice, as it would without us in between.
            self._close(descriptor, selector)
        on_output(stream, content)

    def _close(self, descriptor: int, selector: selectors.BaseSelector) -> None:
        selector.unregister(descriptor)
        del self._ours[descriptor]
        os.close(descriptor)

    # ------------------------------------------------------------ signals and the terminal

    @contextmanager
    def _taking_signals(self) -> Iterator[None]:
        def pass_on(number: int, _: FrameType | None) -> None:
            self.send(number)

        def resize(*_: object) -> None:
            for each in self._ours:
                if os.isatty(each):
                    fcntl.ioctl(each, termios.TIOCSWINSZ, _size())

        handlers: dict[int, Any] = dict.fromkeys(_PASSED_ON, pass_on)
        handlers[signal.SIGWINCH] = resize
        # What was ignored from the start (nohup, a shell's background) the program ignores, too.
        before = {
            number: signal.signal(number, each)
            for number, each in handlers.items()
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def _terminal_lent(self) -> Iterator[None]:
        if not _is_foreground():
            yield
            return
        self._lent = True
        settings = termios.tcgetattr(0)
        # Else a write to the terminal, which is not ours meanwhile, may stop us.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with suppress(OSError):
            os.tcsetpgrp(0, self._group)
            # It may have asked for the terminal before it had it.
            os.killpg(self._group, signal.SIGCONT)
        try:
            yield
        finally:
            os.tcsetpgrp(0, os.getpgrp())
            termios.tcsetattr(0, termios.TCSADRAIN, settings)
            signal.signal(signal.SIGTTOU, before)


class _Stopping:
    """Stops a program that is wanted to stop: politely, then not."""

    def __init__(self, program: Program, wanted: Callable[[], bool], grace_s: float) -> None:
        self._program = program
        self._wanted = wanted
        self._grace_s = grace_s
        # When it is killed; None unless it was asked to stop.
        self._kill_at_s: float | None = None

    def look(self) -> None:
        """Whether it is time to."""
        if self._kill_at_s is None:
            if self._wanted():
                self._kill_at_s = time.monotonic() + self._grace_s
                self._program.send(signal.SIGTERM)
        elif time.monotonic() >= self._kill_at_s:
            self._kill_at_s = float("inf")
            self._program.send(signal.SIGKILL)


def _is_foreground() -> bool:
    """Whether we stand before the terminal that controls us, and nobody else does."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _terminal() -> tuple[int, int]:
    """Both sides of a terminal of the size of ours, that leaves line ends as they are."""
    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, _size())
    return ours, theirs


def _size() -> bytes:
    for descriptor in (1, 2, 0):
        with suppress(OSError):
            found: bytes = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
            if any(found):
                return found
    return _SIZE


def _write(descriptor: int, content: bytes) -> None:
    if descriptor == 1:
        sys.stdout.flush()
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
