"""What a handler reports, as values, with what cannot travel left out and named.

Pure: the same code runs on the loop, in threads and in worker processes, so it imports no asyncio.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from taskpush.core.progress import BadReport, ProgressReport
from taskpush.models.events import MAX_LOG_LINE_BYTES, EventType
from taskpush.models.values import is_clean_text, is_safe_number, joined, value_problems
from taskpush.runner.media_types import is_media_type, type_of
from taskpush.runner.sendable import (
    MAX_DATA_BYTES,
    clean_text,
    cut,
    encoded_size,
    glimpse,
    plain,
    travelling,
)

MAX_MESSAGE_BYTES: Final = MAX_LOG_LINE_BYTES
MAX_ARTIFACT_NAME: Final = 128
MAX_CHECKPOINT_BYTES: Final = 16 * 1024 * 1024
"""Longest checkpoint, as JSON."""
LOGS_IN_FLIGHT: Final = 1_000
"""So many log events of an attempt may be uncommitted before a `log` call waits."""

_ARTIFACT_NAME: Final = re.compile(r"\w[\w .\-]{0,127}")
_LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "critical": "error",
}
_SHORT_TEXT: Final = 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """A `log` event; `size_bytes` is what it takes from the log budget."""

    data: Mapping[str, Any]
    size_bytes: int


class Iteration(NamedTuple):
    """An `iteration_complete` event."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Newest:
    """There is a newer volatile state: `read`, given the elapsed seconds, gives its data.

    It is read when it is sent, so whatever changes until then costs nothing.
    """

    event_type: EventType
    read: Callable[[float], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A file the job made: where its content is, or the content itself."""

    name: str
    source: Path | bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """A state to go on from: its JSON, or the file that holds it."""

    source: Path | bytes
    # None when the handler gave none.
    label: str | None
    # None while the handler has not said how far it is.
    progress_percent: float | None


Report = LogLine | Iteration | Newest | NewArtifact | NewCheckpoint


def log_line(
    message: object, level: object, fields: Mapping[str, object]
) -> tuple[LogLine, list[str]]:
    """The event of one `ctx.log`, and what had to be left out of it."""
    text, problems = clean_text(message, "message")
    known = _LEVELS.get(level.lower()) if isinstance(level, str) else None
    if known is None:
        problems.append(f"level: {glimpse(level)} is not debug, info, warning or error")
    kept, left_out = travelling(fields, "fields")
    data: dict[str, Any] = {"level": known or "info", "message": cut(text, MAX_MESSAGE_BYTES)}
    if kept:
        data["fields"] = kept
    size_bytes = encoded_size(data)
    if size_bytes > MAX_DATA_BYTES:
        left_out.append(f"fields: {size_bytes} bytes do not fit one event")
        del data["fields"]
        size_bytes = encoded_size(data)
    return LogLine(data, size_bytes), problems + left_out


def shortened(line: LogLine, limit_bytes: int) -> LogLine:
    """The same event with a message that takes no more than that."""
    message = cut(line.data["message"], limit_bytes)
    data = {**line.data, "message": message}
    return line if message == line.data["message"] else LogLine(data, encoded_size(data))


def iteration(i: object, metrics: object) -> tuple[Iteration | None, list[str]]:
    """The event of one `ctx.iteration` (None: it cannot travel), and what was left out of it."""
    number = i if type(i) is int else plain(i)
    if type(number) is not int or not is_safe_number(number):
        said = (
            [] if type(number) is int else [f"iteration: a {type(number).__name__} is no integer"]
        )
        return None, [*said, *value_problems(number, "iteration")]
    kept, left_out = _metrics(metrics)
    data = {"iteration": number, "metrics": kept}
    size_bytes = encoded_size(data)
    if size_bytes > MAX_DATA_BYTES:
        return None, [f"iteration {number}: {size_bytes} bytes do not fit one event", *left_out]
    return Iteration(data), left_out


def progress_report(
    numbers: Mapping[str, object], texts: Mapping[str, object]
) -> tuple[ProgressReport, list[str]]:
    """The value of one `ctx.progress`, and what was left out of it."""
    problems: list[str] = []
    given: dict[str, Any] = {}
    for name, value in numbers.items():
        number = plain(value)
        found = list(value_problems(number, name))
        if number is not None and not _is_number(number):
            found = [f"{name}: a {type(number).__name__} is no number"]
        problems += found
        given[name] = None if found else number
    for name, value in texts.items():
        if value is not None:
            text, found = clean_text(value, name)
            problems += found
            given[name] = text if len(text) <= _SHORT_TEXT else cut(text, MAX_MESSAGE_BYTES // 2)
    return ProgressReport(**given), problems


def merged_stats(
    old: Mapping[str, Any], values: Mapping[str, object]
) -> tuple[Mapping[str, Any], list[str]]:
    """The stats with `values` taken over, and what was left out."""
    kept, problems = travelling(values, "stats")
    merged = {**old, **kept}
    size_bytes = encoded_size(merged)
    if size_bytes > MAX_DATA_BYTES:
        return old, [*problems, f"stats: {size_bytes} bytes do not fit one event"]
    return merged, problems


def new_artifact(name: object, content: object, media_type: object) -> NewArtifact:
    """The value of one `ctx.artifact`; raises `BadReport` when it cannot be one."""
    if not isinstance(name, str) or not _ARTIFACT_NAME.fullmatch(name):
        raise BadReport(
            f"name: {glimpse(name)} is no artifact name (letters, digits, blanks, `_`, `.`, `-`;"
            f" at most {MAX_ARTIFACT_NAME})"
        )
    if media_type is None:
        media_type = type_of(name) or (
            "text/plain" if isinstance(content, str) else "application/octet-stream"
        )
    if not isinstance(media_type, str) or not is_media_type(media_type):
        raise BadReport(f"{name}: {glimpse(media_type)} is no media type")
    return NewArtifact(name, _source(name, content), media_type)


def new_checkpoint(
    state: object, label: object, progress_percent: float | None
) -> tuple[NewCheckpoint, list[str]]:
    """The value of one `ctx.checkpoint`, and what was left out of it.

    Raises `BadReport` when the state cannot travel: half a state is none to go on from.
    """
    value = plain(state)
    problems = list(islice(value_problems(value, "state"), 3))
    if problems:
        raise BadReport(joined(problems))
    content = orjson.dumps(value)
    if len(content) > MAX_CHECKPOINT_BYTES:
        raise BadReport(f"state: {len(content)} bytes of JSON exceed {MAX_CHECKPOINT_BYTES}")
    if label is None:
        return NewCheckpoint(content, None, progress_percent), []
    text, left_out = clean_text(label, "label")
    return NewCheckpoint(content, cut(text, _SHORT_TEXT), progress_percent), left_out


def _source(name: str, content: object) -> Path | bytes:
    match content:
        case Path():
            return content.absolute()
        case str() if is_clean_text(content):
            return content.encode()
        case str():
            raise BadReport(f"{name}: text with a lone surrogate has no UTF-8 form")
        case bytes() | bytearray() | memoryview():
            return bytes(content)
    raise BadReport(f"{name}: content is a Path, bytes or str, not a {type(content).__name__}")


def _metrics(metrics: object) -> tuple[dict[str, Any], list[str]]:
    if metrics is None:
        return {}, []
    if type(metrics) is dict and _are_figures(metrics):
        return metrics.copy(), []
    if not isinstance(metrics, Mapping):
        return {}, [f"metrics: a {type(metrics).__name__} is no mapping"]
    kept, problems = travelling(metrics, "metrics")
    for name in [name for name, value in kept.items() if not _is_number(value)]:
        problems.append(f"metrics.{name}: a {type(kept.pop(name)).__name__} is no number")
    return kept, problems


def _are_figures(metrics: Mapping[Any, Any]) -> bool:
    """Whether all of it travels as it is: so it mostly is, and nothing has to be looked into."""
    for name, value in metrics.items():
        if type(name) is not str or not name.isascii():
            return False
        if type(value) is float:
            if not isfinite(value):
                return False
        elif type(value) is not int or not is_safe_number(value):
            return False
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
