"""`taskpush run -- COMMAND`: any program as a task that can be watched.

Reporting never gets into the command's way: it runs, and ends as it ends, whether there is a server
or not.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from taskpush.cli.running.program import Program, Stream
from taskpush.cli.text import clean
from taskpush.ids import new_task_id
from taskpush.models.program import COMMAND, CommandParams
from taskpush.reporter import Reporter
from taskpush.reporter.output import (
    Found,
    Line,
    Overwritten,
    Screen,
    message_of,
    progress_in,
)

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
"""As shells have it. Source: POSIX.1-2017, Shell Command Language, section 2.8.2."""
ANSWERED_WITHIN_S: Final = 0.5
"""So long the command's output may have to wait for the server's first answer, or for none."""
_WORDS_OF_TITLE: Final = 3
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][\w./+:@-]*")


class Telling:
    """Tells the task's watchers what the command writes."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._screens: dict[Stream, Screen] = {"stdout": Screen(), "stderr": Screen()}
        self._furthest = 0.0

    def take(self, stream: Stream, content: bytes) -> None:
        """Some bytes of its output."""
        for seen in self._screens[stream].feed(content):
            self._tell(stream, seen)

    def end(self) -> None:
        """Nothing more comes."""
        for stream, screen in self._screens.items():
            for seen in screen.end():
                self._tell(stream, seen)

    def _tell(self, stream: Stream, seen: Line | Overwritten) -> None:
        bar = isinstance(seen, Overwritten) or seen.bar
        found = progress_in(seen.text, bar=bar)
        if found is not None or bar:
            self._show(found or Found(), message_of(seen.text))
        if isinstance(seen, Line):
            fields = {} if stream == "stdout" else {"stream": stream}
            self._report.log(seen.text, **fields)

    def _show(self, found: Found, message: str) -> None:
        """Progress never falls: of several bars, the words are the present one's."""
        percent = found.percent
        if found.done is not None and found.total:
            percent = round(100 * found.done / found.total, 3)
        if percent is None or percent < self._furthest:
            done = found.done if percent is None and not self._furthest else None
            self._report.progress(done, message=message, unit=found.unit if done else None)
            return
        self._furthest = percent
        if found.percent is not None:
            self._report.progress(fraction=percent / 100, message=message)
        else:
            self._report.progress(found.done, found.total, message=message, unit=found.unit)


def run_command(
    command: Sequence[str],
    *,
    server: str,
    token: str | None,
    title: str | None,
    tags: Sequence[str],
    grace_s: float,
    pty: bool | None,
) -> int:
    """Run it and report it; gives the exit code that is its own."""
    ptys: dict[Stream, bool] = {
        "stdout": os.isatty(1) if pty is None else pty,
        "stderr": os.isatty(2) if pty is None else pty,
    }
    try:
        program = Program(command, ptys)
    except OSError as error:
        _say(f"{command[0]}: {error.strerror}")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    task_id, answered = new_task_id(), threading.Event()

    def say(message: str) -> None:
        _say(message)
        answered.set()

    report = Reporter.start(
        server,
        COMMAND,
        CommandParams(
            command=list(command), host=socket.gethostname(), directory=str(Path.cwd())
        ).model_dump(),
        title=title or title_of(command),
        tags=list(tags) or None,
        token=token,
        task_id=task_id,
        on_begin=lambda: say(f"{server.rstrip('/')}/tasks/{task_id}"),
        on_trouble=say,
    )
    telling = Telling(report)
    code = program.run(
        telling.take,
        lambda: report.cancelled,
        grace_s=grace_s,
        # What is said of the server comes before what the command writes, unless it takes long.
        first=lambda: answered.wait(ANSWERED_WITHIN_S),
    )
    telling.end()
    _end(report, program, code)
    report.close()
    return code


def title_of(command: Sequence[str]) -> str:
    """The program and its first plain words: what follows may be secret, and is long."""
    words = [os.path.basename(command[0]) or command[0]]
    for word in command[1:_WORDS_OF_TITLE]:
        if not _PLAIN.fullmatch(word):
            break
        words.append(word)
    return clean(" ".join(words))[:200]


def _end(report: Reporter, program: Program, code: int) -> None:
    report.stats(exit_code=code)
    assert program.status is not None
    by_signal = -program.status if program.status < 0 else None
    if code == 0:
        report.complete({"exit_code": 0})
    elif program.passed_on or by_signal == signal.SIGINT:
        number = program.passed_on[0] if program.passed_on else signal.SIGINT
        report.stopped(f"Stopped by {signal.Signals(number).name}, exit code {code}")
    else:
        why = f"exit code {code}" if by_signal is None else f"killed by {_name_of(by_signal)}"
        report.fail(f"The command ended with {why}", error_type="ExitCode", code="command_failed")


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _say(message: str) -> None:
    typer.echo(f"taskpush run: {clean(message)}", err=True)
    sys.stderr.flush()
