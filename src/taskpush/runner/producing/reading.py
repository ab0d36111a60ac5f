"""A producer's events, read: the same values that a handler's calls make, or an error that says
which event is wrong.

Nothing changes here: a batch is taken as a whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide
from taskpush.core.progress import ITERATION, BadReport, ProgressReport, ProgressState
from taskpush.errors import FieldProblem, InvalidRequest, TaskPushError
from taskpush.models.events import EventType
from taskpush.models.producing import (
    Cancelled,
    Completed,
    FailureReport,
    IterationReport,
    LogReport,
    PreviewReport,
    ProgressData,
    ProgressReported,
    Reported,
    Started,
    StatsReport,
    StatusReport,
)
from taskpush.models.task import NewEvent, TaskError, TaskRecord
from taskpush.models.values import joined
from taskpush.runner import outcomes
from taskpush.runner.kind import InvalidResult, KindSpec
from taskpush.runner.reporting import previews, reports
from taskpush.runner.reporting.reports import LogLine
from taskpush.runner.sendable import MAX_DATA_BYTES, encoded_size


@dataclass(frozen=True, slots=True)
class States:
    """The newest volatile states of an attempt."""

    progress: ProgressState = field(default_factory=ProgressState)
    stats: Mapping[str, Any] = field(default_factory=dict)
    preview: Mapping[str, Any] = field(default_factory=dict)
    # Those that the batch has changed.
    changed: frozenset[EventType] = frozenset()


@dataclass(slots=True)
class Reading:
    """What a batch says."""

    states: States
    # For each event: what it decides, a line of the log, or None for a volatile one.
    steps: list[Decide | LogLine | None] = field(default_factory=list)
    starts: bool = False
    ends: bool = False


class Reader:
    """Reads what a producer says of one attempt; `random` is for the pause before another one."""

    def __init__(
        self,
        spec: KindSpec,
        record: TaskRecord,
        start: Decide,
        random: Callable[[], float],
    ) -> None:
        self._spec = spec
        self._record = record
        self._task_id = record.task_id
        self._attempt = record.attempt
        self._start = start
        self._random = random

    def read(
        self, events: Sequence[Reported], states: States, now: datetime, *, skipped: int
    ) -> Reading:
        """What the events say, after the first `skipped` of their batch, which were taken before.

        Raises `invalid_request` or `payload_too_large`, naming the event by its index.
        """
        reading = Reading(replace(states, changed=frozenset()))
        for index, event in enumerate(events, skipped):
            if reading.ends:
                raise _refused(index, "event_type", ["nothing follows the end of the attempt"])
            _check_size(index, event)
            try:
                reading.steps.append(self._step(event, reading, now))
            except (BadReport, InvalidResult) as error:
                raise _refused(index, "data", [str(error)]) from None
        return reading

    def _step(self, event: Reported, reading: Reading, now: datetime) -> Decide | LogLine | None:
        match event:
            case LogReport(data=line):
                return _line(line.message, line.level, line.fields)
            case IterationReport(data=each):
                report, problems = reports.iteration(each.iteration, each.metrics)
                if report is None or problems:
                    raise BadReport(joined(problems))
                said = NewEvent(EventType.ITERATION_COMPLETE, report.data)
                return lifecycle.report(self._attempt, [said])
            case StatusReport() | FailureReport():
                return self._move(event, reading, now)
            case _:
                reading.states = _newer(event, reading.states)
                return None

    def _move(self, event: StatusReport | FailureReport, reading: Reading, now: datetime) -> Decide:
        data = event.data
        if isinstance(data, Started):
            reading.starts = True
            return self._start
        reading.ends = True
        if isinstance(data, Completed):
            result = self._spec.dump_result(data.result)
            return outcomes.completed(self._spec, self._task_id, self._attempt, now, result)
        if isinstance(data, Cancelled):
            return lifecycle.stop(self._attempt, now, message=data.message)
        text = self._spec.redacted(data.error, self._record)
        error = TaskError(text, data.error_type, data.code)
        return outcomes.failed(self._spec, self._attempt, now, error, self._random)


def restored(latest: Mapping[str, Mapping[str, Any]]) -> States:
    """The states as they were told last, by the data of the newest volatile events."""
    said = latest.get(EventType.PROGRESS, {})
    done, percent = said.get("completed"), said.get("progress_percent")
    report = ProgressReport(
        done=done,
        total=said.get("total"),
        fraction=None if done is not None or percent is None else percent / 100,
        message=said.get("message"),
        stage=said.get("stage"),
        stage_description=said.get("stage_description"),
        unit=said.get("unit"),
    )
    stats = dict(latest.get(EventType.STATS, {}))
    stats.pop("elapsed_seconds", None)
    return States(ProgressState(percent, report, begun_done=0, begun_percent=0), stats)


def _newer(event: Reported, states: States) -> States:
    changed = states.changed | {EventType(event.event_type)}
    match event:
        case ProgressReported(data=data):
            progress = states.progress.advance(_progress(data, states.progress.report))
            return replace(states, progress=progress, changed=changed)
        case StatsReport(data=values):
            merged, problems = reports.merged_stats(states.stats, values)
            if problems:
                raise BadReport(joined(problems))
            return replace(states, stats=merged, changed=changed)
        case PreviewReport(data=shown):
            preview = previews.preview(shown.content, shown.media_type)
            return replace(states, preview=preview, changed=changed)
    raise AssertionError(event.event_type)


def _progress(data: ProgressData, before: ProgressReport) -> ProgressReport:
    done, total, unit = data.completed, data.total, data.unit
    if data.current_iteration is not None or data.max_iterations is not None:
        done = data.current_iteration if done is None else done
        total = data.max_iterations if total is None else total
        unit = unit or ITERATION
    percent = data.progress_percent
    # A count of which nobody knows the whole says less than a percentage.
    told = percent is not None and (done is None or not (total or before.total))
    return ProgressReport(
        done=None if told else done,
        total=total,
        fraction=percent / 100 if told and percent is not None else None,
        message=data.message,
        stage=data.stage,
        stage_description=data.stage_description,
        unit=unit,
    )


def _line(message: str, level: str, fields: Mapping[str, Any]) -> LogLine:
    line, problems = reports.log_line(message, level, fields)
    if problems:
        raise BadReport(joined(problems))
    if line.data["message"] != message:
        raise BadReport(f"message: more than {reports.MAX_MESSAGE_BYTES} bytes")
    return line


def _check_size(index: int, event: Reported) -> None:
    if isinstance(event, StatusReport):
        return  # A large result travels as an address.
    data = event.data if isinstance(event.data, dict) else event.data.model_dump()
    size_bytes = encoded_size(data)
    if size_bytes > MAX_DATA_BYTES:
        message = f"{size_bytes} bytes do not fit one event"
        problem = FieldProblem(f"events.{index}.data", message)
        raise TaskPushError(
            f"events.{index}: {message}", code="payload_too_large", problems=[problem]
        )


def _refused(index: int, where: str, problems: Sequence[str]) -> InvalidRequest:
    said = joined(problems)
    problem = FieldProblem(f"events.{index}.{where}", said)
    return InvalidRequest(f"events.{index}: {said}", problems=[problem])
