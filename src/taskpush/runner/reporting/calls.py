"""How a job reports, wherever it runs: a call becomes a report, and the channel takes it on.

Imports no asyncio: worker processes start with this module.
"""

from __future__ import annotations

import logging
import operator
import traceback
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import TypeVar

from taskpush.core.progress import BadReport
from taskpush.models.events import EventType
from taskpush.models.values import is_safe_number, joined
from taskpush.runner.reporting import previews, reports
from taskpush.runner.reporting.tracking import IGNORED, Progressed, Track
from taskpush.runner.sendable import glimpse, plain, without_surrogates

Item = TypeVar("Item", default=Any)


class Channel(Protocol):
    """The way from a job to whatever records it."""

    def send(self, report: reports.Report) -> Awaitable[None]:
        """Hand over a report, in call order with those before it."""
        ...

    def pulse(self) -> Awaitable[None]:
        """As `send`, with nothing to hand over."""
        ...


class Reporting:
    """The calls of a job: what cannot travel is left out and said, never raised.

    What a call gives back may be awaited; when that is done is up to the channel.
    """

    def __init__(
        self, task_id: str, channel: Channel, *, strict: bool = False, resumed: bool = False
    ) -> None:
        self.task_id = task_id
        self._channel = channel
        self._strict = strict
        self._progressed = Progressed(lambda: self._offer(EventType.PROGRESS), resumed=resumed)
        self._stats: Mapping[str, Any] = {}
        self._preview: Mapping[str, Any] = {}
        self._readers: Mapping[EventType, Callable[[float], Mapping[str, Any]]] = {
            EventType.PROGRESS: self._read_progress,
            EventType.STATS: self._read_stats,
            EventType.PREVIEW: self._read_preview,
        }
        # The types whose newest state the channel will still read.
        self._offered: set[EventType] = set()
        # None until somebody asks for it.
        self._logger: logging.Logger | None = None

    @property
    def logger(self) -> logging.Logger:
        """A logger whose records become `log` events of this task, and go nowhere else."""
        if self._logger is None:
            # Not from getLogger: a registered logger would live on after the task.
            self._logger = logging.Logger(f"taskpush.task.{self.task_id}")  # noqa: LOG001 - see above
            self._logger.addHandler(ToTask(self))
        return self._logger

    def progress(
        self,
        done: float | None = None,
        total: float | None = None,
        *,
        fraction: float | None = None,
        message: str | None = None,
        stage: str | None = None,
        stage_description: str | None = None,
        unit: str | None = None,
    ) -> Awaitable[None]:
        """Say how far the job is: `done` of `total`, or a `fraction` between 0 and 1.

        What is left out stays as it was. With `unit="iteration"` the numbers are also shown as
        the current and the last iteration.
        """
        report, problems = reports.progress_report(
            {"done": done, "total": total, "fraction": fraction},
            {
                "message": message,
                "stage": stage,
                "stage_description": stage_description,
                "unit": unit,
            },
        )
        before = self._progressed.shown
        try:
            state = before.advance(report)
        except BadReport as error:
            problems.append(str(error))
            state = before.advance(replace(report, done=None, total=None, fraction=None))
        self.leave_out("progress", problems)
        self._progressed.reported = state
        return self._offer(EventType.PROGRESS)

    def iteration(self, i: int, metrics: Mapping[str, float] | None = None) -> Awaitable[None]:
        """Say that iteration `i` is complete, with its figures; waits until that is committed."""
        report, problems = reports.iteration(i, metrics)
        if problems:
            self.leave_out("iteration" if report is None else f"iteration {i}", problems)
        return self._channel.pulse() if report is None else self._channel.send(report)

    def log(self, message: str, level: str = "info", **fields: object) -> Awaitable[None]:
        """Write one line (`debug`, `info`, `warning` or `error`) into the task's log."""
        report, problems = reports.log_line(message, level, fields)
        self.leave_out("log", problems)
        return self._channel.send(report)

    def stats(self, **values: object) -> Awaitable[None]:
        """Set named counters and gauges; those not named keep their values."""
        merged, problems = reports.merged_stats(self._stats, values)
        self.leave_out("stats", problems)
        self._stats = merged
        return self._offer(EventType.STATS)

    def artifact(
        self, name: str, content_or_path: Path | bytes | str, media_type: str | None = None
    ) -> Awaitable[None]:
        """Keep a file the job made: a `Path` is a file, `str` and `bytes` are content.

        It is copied, and can be fetched once the call returns. Without `media_type` the name
        decides. Its place in the log is where its content was complete.
        """
        try:
            report = reports.new_artifact(name, content_or_path, media_type)
        except BadReport as error:
            self.leave_out("artifact", [str(error)])
            return self._channel.pulse()
        return self._channel.send(report)

    def preview(self, content: bytes | str, media_type: str) -> Awaitable[None]:
        """Show a picture (bytes, up to 192 KiB) or a text (16 KiB) to those who ask for previews.

        Only the newest is shown, and nothing of it is kept: what is to stay is an `artifact`.
        """
        try:
            self._preview = previews.preview(content, media_type)
        except BadReport as error:
            self.leave_out("preview", [str(error)])
            return self._channel.pulse()
        return self._offer(EventType.PREVIEW)

    def track(
        self,
        iterable: Iterable[Item] | AsyncIterable[Item] | None = None,
        total: float | None = None,
        description: str | None = None,
        *,
        unit: str | None = None,
        initial: float = 0,
        desc: str | None = None,
        postfix: Mapping[str, object] | None = None,
        **looks: object,
    ) -> Track[Item]:
        """Go through `iterable`, and show how far that is; needs no await, also in `async def`.

        `total` is needed only where `iterable` has no length. Progress never falls, so a loop
        that starts below what was shown before is seen when it has caught up, and a loop inside
        another one leaves progress to the outer. `initial` is how many were done before this
        attempt. Without a unit, or with "it", what is counted are iterations.

        What `tqdm` callers use works as well: `desc` and `postfix`, no iterable but `update`, a
        `with` block, `set_description`, `set_postfix`; what concerns the looks of a bar is
        ignored. In `async def` handlers `async for` also takes what is iterated asynchronously.
        """
        if unknown := sorted(set(looks) - IGNORED):
            raise TypeError(f"track() takes no {unknown[0]!r}")
        track = Track(
            iterable,
            total=self._total(iterable, total),
            initial=self._number("initial", initial) or 0,
            unit=unit,
            description=description if desc is None else desc,
            progressed=self._progressed,
            reporter=self,
            pulse=self._channel.pulse,
        )
        if postfix:
            track.set_postfix(postfix)
        return track

    def _total(self, iterable: object, total: float | None) -> float | None:
        if total is None:
            length = len(iterable) if isinstance(iterable, Sized) else 0
            return length or operator.length_hint(iterable) or None
        return self._number("total", total)

    def _number(self, name: str, value: object) -> float | None:
        number = plain(value)
        if isinstance(number, int | float) and is_safe_number(number) and number >= 0:
            return number
        self.leave_out("track", [f"{name}: {glimpse(value)} is no number of at least 0"])
        return None

    def _offer(self, event_type: EventType) -> Awaitable[None]:
        """Have the channel read the newest state, unless it is going to anyway.

        So a flood of progress ends here. The state is set before the mark is looked at, and
        `_read` lifts the mark before it reads: no thread can slip a state in between.
        """
        if event_type in self._offered:
            return self._channel.pulse()
        self._offered.add(event_type)
        return self._channel.send(reports.Newest(event_type, self._readers[event_type]))

    def _read_progress(self, elapsed_s: float) -> Mapping[str, Any]:
        self._offered.discard(EventType.PROGRESS)
        return self._progressed.shown.payload(elapsed_s).to_data()

    def _read_stats(self, elapsed_s: float) -> Mapping[str, Any]:
        self._offered.discard(EventType.STATS)
        return {"elapsed_seconds": round(elapsed_s, 3), **self._stats}

    def _read_preview(self, _: float) -> Mapping[str, Any]:
        self._offered.discard(EventType.PREVIEW)
        return self._preview

    def leave_out(self, call: str, problems: list[str]) -> None:
        """Say what a call had to leave out, in one record; raises `BadReport` when strict."""
        if not problems:
            return
        said = without_surrogates(f"{call}: {joined(problems)}")
        if self._strict:
            raise BadReport(said)
        line, _ = reports.log_line(f"{said}; left out", "error", {})
        self._channel.send(line)


class ToTask(logging.Handler):
    """Turns log records into `log` events of one task."""

    def __init__(self, reporting: Reporting) -> None:
        super().__init__()
        self._reporting = reporting

    def emit(self, record: logging.LogRecord) -> None:
        self._reporting.log(_message(record), _level(record.levelno))


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception as error:  # noqa: BLE001 - a wrong format string must not end the job
        message = f"{record.msg} [arguments do not fit: {type(error).__name__}]"
    if record.exc_info and record.exc_info[1] is not None:
        # The traceback is for operators; readers of the log get what was raised.
        return f"{message}: {traceback.format_exception_only(record.exc_info[1])[-1].strip()}"
    return message


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
