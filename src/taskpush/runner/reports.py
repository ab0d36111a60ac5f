"""What a handler reports, as values, with what cannot travel left out and named.

Pure: the same code runs on the loop, in threads and in worker processes, so it imports no asyncio.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Any, Final, NamedTuple

import orjson

from taskpush.core.progress import BadReport, ProgressReport
from taskpush.models.events import MAX_EVENT_BYTES, MAX_LOG_LINE_BYTES, EventType
from taskpush.models.values import MAX_DEPTH, is_clean_text, is_safe_number, joined, value_problems

MAX_DATA_BYTES: Final = MAX_EVENT_BYTES - 512
"""Room for `data`: the rest of an envelope is under 512 bytes."""
MAX_MESSAGE_BYTES: Final = MAX_LOG_LINE_BYTES
MAX_ARTIFACT_NAME: Final = 128
MAX_CHECKPOINT_BYTES: Final = 16 * 1024 * 1024
"""Longest checkpoint, as JSON."""
LOGS_IN_FLIGHT: Final = 1_000
"""So many log events of an attempt may be uncommitted before a `log` call waits."""

_ARTIFACT_NAME: Final = re.compile(r"\w[\w .\-]{0,127}")
# It becomes a Content-Type header, so nothing but a plain type and simple parameters.
_MEDIA_TYPE: Final = re.compile(r"[\w.+\-]+/[\w.+\-]+(; ?[\w\-]+=[\w.\-]+)*", re.ASCII)
_PACKED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}
_LEVELS: Final = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "critical": "error",
}
_PLAIN_TYPES: Final = frozenset({str, int, float, bool, NoneType})
_FIGURE_TYPES: Final = frozenset({int, float})
_SHORT_TEXT: Final = 1024
_CUT_MARK: Final = " … [cut]"


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
    number = plain(i)
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


def type_of(name: str) -> str | None:
    """The media type that a file's name tells: of `t.csv.gz` that of what was packed by gzip."""
    media_type, packed = mimetypes.guess_type(name, strict=False)
    return media_type if packed is None else _PACKED.get(packed, "application/octet-stream")


def is_media_type(text: str) -> bool:
    """Whether it can stand in a Content-Type header as it is."""
    return _MEDIA_TYPE.fullmatch(text) is not None


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
        if type(value) not in _FIGURE_TYPES or not is_safe_number(value):
            return False
    return True


def travelling(values: Mapping[Any, object], where: str) -> tuple[dict[str, Any], list[str]]:
    """The entries that can travel, as plain JSON values, and what is wrong with the others."""
    kept: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in values.items():
        if not isinstance(name, str) or not is_clean_text(name):
            problems.append(f"{where}: a name that is not text")
            continue
        inner = plain(value)
        found = list(islice(value_problems(inner, f"{where}.{name}"), 3))
        if found:
            problems += found
        else:
            kept[str(name)] = inner
    return kept, problems


def plain(value: Any, depth: int = 0) -> Any:
    """`value` with numpy's scalars, enums and other subclasses as what they stand for.

    What cannot be taken is given back as it is, for `value_problems` to name.
    """
    if type(value) in _PLAIN_TYPES or depth > MAX_DEPTH:
        return value
    match value:
        case Mapping():
            return {
                str(key) if isinstance(key, str) else key: plain(inner, depth + 1)
                for key, inner in value.items()
            }
        case list() | tuple():
            return [plain(inner, depth + 1) for inner in value]
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str.__str__(value)
    return _item(value, depth)


def _item(value: Any, depth: int) -> Any:
    """What a numpy or torch scalar holds; recognised by `.item()`, so neither is imported."""
    try:
        item = getattr(value, "item", None)
        if not callable(item) or getattr(value, "ndim", 0) != 0:
            return value
        inner = item()
    except Exception:  # noqa: BLE001 - somebody's object may answer with anything
        return value
    # A longdouble's item is a longdouble again.
    return value if type(inner) is type(value) else plain(inner, depth + 1)


def clean_text(value: object, where: str) -> tuple[str, list[str]]:
    """`value` as text that has a UTF-8 form, and what was wrong with it."""
    text = value if type(value) is str else shown(value)
    if is_clean_text(text):
        return text, []
    return without_surrogates(text), [f"{where}: text with a lone surrogate"]


def shown(value: object) -> str:
    """`str(value)`, also where that raises."""
    try:
        return str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 - whatever somebody's __str__ raises, the report goes on
        return f"<{type(value).__name__} that has no text>"


def reason(error: BaseException) -> str:
    """An exception's text; with its name where the text alone tells nobody what went wrong.

    `KeyError("to")` says `'to'`, `SystemExit(3)` says 3, and many say nothing.
    """
    text, name = shown(error), type(error).__name__
    if not text.strip():
        return name
    bare = type(error).__str__ is KeyError.__str__ or not any(map(str.isalpha, text))
    return f"{name}: {text}" if bare else text


def glimpse(value: object) -> str:
    """A few characters of `repr(value)`, also where that raises."""
    try:
        return f"{value!r:.40}"
    except Exception:  # noqa: BLE001 - as in `shown`; a huge integer is among them
        return f"a {type(value).__name__}"


def without_surrogates(text: str) -> str:
    """`text` with every lone surrogate replaced by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def cut(text: str, limit_bytes: int) -> str:
    """`text`, or its start and a mark: what it takes in JSON stays below `limit_bytes`."""
    if len(text) * 6 <= limit_bytes or len(orjson.dumps(text)) <= limit_bytes:
        return text
    kept = text[: limit_bytes - len(_CUT_MARK.encode())]
    room = limit_bytes - len(_CUT_MARK.encode())
    while len(orjson.dumps(kept)) > room:
        # An escaped character takes six bytes, so this ends after a few rounds.
        kept = kept[: min(len(kept) - 1, len(kept) * room // len(orjson.dumps(kept)))]
    return kept + _CUT_MARK


def encoded_size(data: Mapping[str, Any]) -> int:
    """What `data` takes on the wire, in bytes."""
    return len(orjson.dumps(data))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
