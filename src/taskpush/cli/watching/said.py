"""Events as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from taskpush.cli.text import clean, duration, metrics, number, one_line, size
from taskpush.errors import failure_said

if TYPE_CHECKING:
    from taskpush.client import WatchItem

_TOLD: Final = frozenset({"cancelled_by", "cancelling", "retry", "server_stopped", "timeout"})
"""Reasons whose messages tell them in words."""
_STYLES: Final = {
    "completed": "bold green",
    "failed": "bold red",
    "critical": "bold red",
    "error": "red",
    "warning": "yellow",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "debug": "dim",
}


def said(item: WatchItem) -> str | None:
    """The item as a line for people; None for what only moves the bar."""
    data = item.data
    match item.event_type:
        case "resync":
            why = one_line(str(item.raw.get("reason") or ""))
            return f"history was cut ({why}); now {one_line(str(data.get('status')))}"
        case "status_change":
            return status_said(data)
        case "iteration_complete":
            figures = metrics(mapping(data.get("metrics")))
            return clean(f"iteration {data.get('iteration')}: {figures}")
        case "log":
            return clean(f"{mark_of(data)}: {data.get('message', '')}")
        case "error":
            again = " (will be tried again)" if data.get("will_retry") else ""
            why = failure_said(str(data.get("error_type") or ""), str(data.get("error") or ""))
            return clean(f"error: {why}{again}")
        case "artifact":
            bytes_ = size(number(data.get("size_bytes")) or 0)
            return clean(f"artifact {data.get('name')} ({bytes_}) {data.get('url', '')}".rstrip())
        case "checkpoint":
            return joined("checkpoint", data.get("label"))
    return None


def mark_of(log: Mapping[str, Any]) -> str:
    """What a line is marked with: its level, or the stream that a command has written it to.

    Only standard error is told: it is no level, since many programs write their progress there.
    """
    level = str(log.get("level") or "info")
    stream = mapping(log.get("fields")).get("stream")
    return "stderr" if level == "info" and stream == "stderr" else level


def progress_said(data: Mapping[str, Any]) -> str:
    """A `progress` as a line."""
    remaining_s = number(data.get("eta_seconds"))
    parts = [
        "progress",
        percent_said(data),
        count_said(data),
        one_line(str(data.get("stage") or "")),
        one_line(str(data.get("message") or "")),
        "" if remaining_s is None else f"{duration(remaining_s)} left",
    ]
    return " ".join(part for part in parts if part)


def percent_said(data: Mapping[str, Any]) -> str:
    """`45 %`, and 100 only at the end; empty while the total is unknown."""
    percent = number(data.get("progress_percent"))
    return "" if percent is None else f"{int(percent)} %"


def count_said(data: Mapping[str, Any]) -> str:
    """`iteration 9/20`, `3/12 pages`, `3.0 MiB/15.5 MiB`, or nothing."""
    current, last = number(data.get("current_iteration")), number(data.get("max_iterations"))
    if current is not None:
        return f"iteration {_whole(current)}" + ("" if last is None else f"/{_whole(last)}")
    done, total = number(data.get("completed")), number(data.get("total"))
    if done is None:
        return ""
    unit = one_line(str(data.get("unit") or ""))
    if unit == "byte":
        return size(done) if total is None else f"{size(done)}/{size(total)}"
    return f"{_whole(done)}{'' if total is None else f'/{_whole(total)}'} {unit}".rstrip()


def _whole(count: float) -> str:
    """Without an exponent, which `g` alone gives to a million and more."""
    return f"{count:.12g}"


def rate_said(data: Mapping[str, Any]) -> str:
    """`3.2/s`, or by the minute or hour when it is slow."""
    rate_per_s = number(data.get("rate_per_s"))
    if not rate_per_s:
        return ""
    for factor, unit in ((1, "s"), (60, "min")):
        if rate_per_s * factor >= 1:
            return f"{rate_per_s * factor:.3g}/{unit}"
    return f"{rate_per_s * 3600:.3g}/h"


def status_said(data: Mapping[str, Any]) -> str:
    """A status with what is said of it; its reason where the message does not tell that."""
    reason = data.get("reason")
    told = reason in _TOLD and data.get("message")
    return joined(str(data.get("status")), data.get("message"), None if told else reason)


def joined(head: str, *more: object) -> str:
    """`completed: Task completed`."""
    tail = ", ".join(one_line(str(part)) for part in more if part)
    return f"{one_line(head)}: {tail}" if tail else one_line(head)


def style_of(item: WatchItem) -> str:
    """How a terminal shows the item's line."""
    word = item.data.get("status") if item.event_type == "status_change" else item.event_type
    return style_of_word(str(item.data.get("level") or word))


def style_of_word(word: str) -> str:
    """How a terminal shows a status or a level."""
    return _STYLES.get(word, "")


def mapping(value: object) -> Mapping[str, Any]:
    """The value, when it is an object."""
    return value if isinstance(value, dict) else {}
