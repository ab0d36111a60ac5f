"""What commands list: which columns of which things, and how each is said."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import typer

from taskpush.cli.json_lines import print_json_line
from taskpush.cli.schema import Param, params_in, type_of
from taskpush.cli.tables import end_part, show_facts, show_json_lines, show_rows, show_table
from taskpush.cli.text import duration, number, size
from taskpush.cli.watching.said import mapping, percent_said, progress_said, status_said
from taskpush.errors import failure_said


def show_tasks(tasks: Iterable[Mapping[str, Any]], *, json_lines: bool) -> None:
    """Tasks, one per line, in the order given."""
    show_rows(
        tasks,
        ("task", "kind", "status", "progress", "created", "title"),
        _task_cells,
        json_lines=json_lines,
    )


def show_task(task: Mapping[str, Any], *, json_lines: bool) -> None:
    """What is known of one task, a line for each thing."""
    if json_lines:
        show_json_lines([task])
    else:
        show_facts(_task_facts(task))


def show_kinds(kinds: Iterable[Mapping[str, Any]], *, json_lines: bool) -> None:
    """Kinds with the names of their params; those without a default end in `*`."""
    show_rows(kinds, ("kind", "params", "description"), _kind_cells, json_lines=json_lines)


def show_kind(kind: Mapping[str, Any], *, json_lines: bool) -> None:
    """One kind: how it runs, and what its params mean."""
    if json_lines:
        show_json_lines([kind])
        return
    runs = f"{kind.get('concurrency')} at once"
    if kind.get("external"):
        creating = ", which create its tasks, too" if kind.get("created_by_producer") else ""
        runs = f"by producers outside{creating}"
    limit = kind.get("queue_limit")
    show_facts(
        [
            ("kind", str(kind["name"]) + (" (default)" if kind.get("default") else "")),
            ("", str(kind.get("description") or "")),
            ("runs", runs),
            ("queue", "" if limit is None else f"{limit} at most"),
            ("result", type_of(mapping(kind.get("result_schema")))),
        ]
    )
    if params := params_in(mapping(kind.get("params_schema"))):
        end_part()
        names = ("param", "type", "default", "description")
        show_table(names, (_param_cells(param) for param in params))


def _param_cells(param: Param) -> list[str]:
    return [param.name, param.type, "required" if param.required else param.default, param.meaning]


def show_queues(queues: Sequence[Mapping[str, Any]], *, json_lines: bool) -> None:
    """Who waits, kind by kind; with the room that each has, and when one more would start."""
    if json_lines:
        show_json_lines(queues)
        return
    names = ("kind", "running", "waiting", "a new one starts in", "and takes")
    show_table(names, (_queue_cells(queue) for queue in queues))
    waiting = [(queue["kind"], entry) for queue in queues for entry in queue.get("entries", ())]
    if waiting:
        end_part()
        names = ("#", "kind", "task", "starts in", "title")
        show_table(names, (_entry_cells(kind, entry) for kind, entry in waiting))


def _queue_cells(queue: Mapping[str, Any]) -> list[str]:
    following, limit = mapping(queue.get("next_submission")), queue.get("queue_limit")
    run_s, slots = number(following.get("run_seconds")), queue.get("slots")
    return [
        str(queue["kind"]),
        # Programs outside the server run as many as they like.
        f"{queue.get('running')}/{slots}" if slots else str(queue.get("running")),
        str(queue.get("waiting")) + ("" if limit is None else f"/{limit}"),
        _starts_in(following),
        "" if run_s is None else duration(run_s),
    ]


def _entry_cells(kind: str, entry: Mapping[str, Any]) -> list[str]:
    whose = "" if entry.get("own") else "somebody else's"
    task_id, title = entry.get("task_id") or whose, entry.get("title") or ""
    return [str(entry.get("position")), kind, str(task_id), _starts_in(entry), str(title)]


def _starts_in(place: Mapping[str, Any]) -> str:
    eta_s, low_s, high_s = (
        number(place.get(name)) for name in ("eta_seconds", "eta_low", "eta_high")
    )
    if eta_s is None:
        return "nobody knows yet"
    if low_s is None or high_s is None or duration(low_s) == duration(high_s):
        return duration(eta_s)
    return f"{duration(eta_s)} ({duration(low_s)} to {duration(high_s)})"


def _start_said(place: Mapping[str, Any]) -> str:
    said = _starts_in(place)
    return f"{said} when it starts" if place.get("eta_seconds") is None else f"starts in {said}"


def show_keys(keys: Iterable[Mapping[str, Any]], *, json_lines: bool) -> None:
    """API keys, one per line, oldest first."""
    show_rows(
        keys,
        ("name", "id", "state", "tenant", "owner", "roles", "created", "expires"),
        _key_cells,
        json_lines=json_lines,
    )


def _key_cells(key: Mapping[str, Any]) -> list[str]:
    plain = (str(key[name]) for name in ("name", "id", "state", "tenant", "owner"))
    return [*plain, ", ".join(key["roles"]), key["created_at"], key["expires_at"] or ""]


def show_days(days: Iterable[Mapping[str, Any]], *, json_lines: bool) -> None:
    """What became of the tasks of each kind on each day."""
    show_rows(
        days, ("day", "kind", *_ENDS, "median", "95 %", "wait"), _day_cells, json_lines=json_lines
    )


_ENDS: Final = ("completed", "failed", "cancelled", "interrupted")


def _day_cells(day: Mapping[str, Any]) -> list[str]:
    times = (day.get(name) for name in ("median_seconds", "p95_seconds", "median_wait_seconds"))
    return [
        *(str(day.get(name, "")) for name in ("day", "kind", *_ENDS)),
        *("" if seconds is None else duration(seconds) for seconds in times),
    ]


def show_connections(connections: Iterable[Mapping[str, Any]], *, json_lines: bool) -> None:
    """Who watches what, newest first."""
    show_rows(
        connections,
        ("since", "owner", "shown", "from", "by", "watches", "backlog"),
        _connection_cells,
        json_lines=json_lines,
    )


def _connection_cells(connection: Mapping[str, Any]) -> list[str]:
    since = datetime.fromisoformat(str(connection["since"])).astimezone()
    watched = [str(each["task_id"] or each["feed"]) for each in connection["watches"][:1]]
    more = int(connection["subscriptions"]) - len(watched)
    backlog, stalled = connection["backlog_bytes"], connection["stalled_seconds"]
    return [
        since.strftime("%Y-%m-%d %H:%M:%S"),
        str(connection["owner"]),
        str(connection["credential"]),
        str(connection["address"] or ""),
        f"{connection['door']} {connection['transport']}",
        " ".join([*watched, f"+{more}"] if more else watched),
        (size(backlog) if backlog else "")
        + (f" for {duration(stalled)}" if (stalled or 0) >= 1 else ""),
    ]


def show_audit(entries: Iterable[Mapping[str, Any]], *, json_lines: bool) -> None:
    """Entries of the audit trail, newest first."""
    show_rows(
        entries,
        ("at", "action", "of", "outcome", "by", "shown", "from", "detail"),
        _audit_cells,
        json_lines=json_lines,
    )


def _audit_cells(entry: Mapping[str, Any]) -> list[str]:
    at = datetime.fromisoformat(str(entry["at"])).astimezone()
    source = " ".join(str(entry[name]) for name in ("door", "address") if entry.get(name))
    return [
        at.strftime("%Y-%m-%d %H:%M:%S"),
        str(entry["action"]),
        str(entry.get("target") or entry.get("task_id") or ""),
        str(entry["outcome"]),
        str(entry.get("owner") or ""),
        str(entry["credential"]),
        source,
        str(entry.get("detail") or ""),
    ]


def show_pruned(
    kinds: Sequence[Mapping[str, Any]],
    *,
    file_bytes: tuple[int, int],
    dry_run: bool,
    json_lines: bool,
) -> None:
    """What `prune` removed, or would: per kind, and how large the database was and is."""
    before, after = file_bytes
    if json_lines:
        file = {"database_bytes_before": before, "database_bytes": after}
        print_json_line(sys.stdout, {"dry_run": dry_run, "kinds": list(kinds), **file})
        return
    total = {name: sum(each[name] for each in kinds) for name in _PRUNED}
    rows = [*kinds, {"kind": "all", **total}] if len(kinds) > 1 else kinds
    show_table(("kind", "deleted", "trimmed", "freed"), (_pruned_cells(row) for row in rows))
    if not kinds:
        typer.echo("Nothing is beyond the limits.", err=True)
    elif dry_run:
        typer.echo("Nothing was touched.", err=True)
    else:
        typer.echo(f"The database takes {size(after)}; it took {size(before)}.", err=True)


_PRUNED: Final = ("deleted", "trimmed", "freed_bytes")


def _pruned_cells(row: Mapping[str, Any]) -> list[str]:
    return [str(row["kind"]), str(row["deleted"]), str(row["trimmed"]), size(row["freed_bytes"])]


def show_artifacts(
    artifacts: Iterable[Mapping[str, Any]], server_url: str, *, json_lines: bool
) -> None:
    """Files, oldest first; partial ones are of an attempt that did not complete."""
    if json_lines:
        show_json_lines(artifacts)
    else:
        names = ("name", "bytes", "attempt", "", "address")
        show_table(names, (_artifact_cells(artifact, server_url) for artifact in artifacts))


def _task_cells(task: Mapping[str, Any]) -> list[str]:
    progress = (task.get("latest") or {}).get("progress") or {}
    created = datetime.fromisoformat(str(task["created_at"])).astimezone()
    return [
        str(task["task_id"]),
        str(task.get("kind", "")),
        str(task.get("status", "")),
        percent_said(progress),
        created.strftime("%Y-%m-%d %H:%M:%S"),
        str(task.get("title") or ""),
    ]


def _task_facts(task: Mapping[str, Any]) -> list[tuple[str, str]]:
    progress = mapping(mapping(task.get("latest")).get("progress"))
    queue = mapping(mapping(task.get("latest")).get("queue"))
    error, position = mapping(task.get("error")), mapping(task.get("position"))
    pending, running = (task.get("status") == word for word in ("pending", "running"))
    if progress and not running:
        # What is over has no time left, and what waits will count anew.
        progress = {**progress, "eta_seconds": None}
    failed = failure_said(str(error.get("error_type") or ""), str(error.get("error") or ""))
    timeout_s = number(task.get("timeout_s"))
    return [
        ("task", str(task["task_id"])),
        ("title", str(task.get("title") or "")),
        ("kind", str(task.get("kind") or "")),
        ("status", status_said(task)),
        ("", f"{_attempt_said(task)}{', resumable' if task.get('resumable') else ''}"),
        ("error", failed),
        ("queue", f"position {queue['position']}, {_start_said(queue)}")
        if pending and queue
        else ("queue", ""),
        ("progress", progress_said(progress).removeprefix("progress ") if progress else ""),
        ("not before", _moment(task.get("run_at"))),
        ("created", _moment(task.get("created_at"))),
        ("started", _moment(task.get("started_at"))),
        ("finished", "" if running else _moment(task.get("finished_at"))),
        ("timeout", "" if timeout_s is None else duration(timeout_s)),
        ("priority", str(task.get("priority") or "")),
        ("tags", ", ".join(task.get("tags") or ())),
        ("owner", str(task.get("owner") or "")),
        ("metadata", _json(task.get("metadata"))),
        ("params", _json(task.get("params"))),
        ("position", f"{position['epoch']}:{position['seq']}" if position.get("seq") else ""),
    ]


def _attempt_said(task: Mapping[str, Any]) -> str:
    """Which attempt it is; of how many only while it is tried again by itself, not by hand."""
    attempt, most = int(task.get("attempt") or 1), int(task.get("max_attempts") or 1)
    return f"attempt {attempt} of {most}" if attempt <= most else f"attempt {attempt}"


def _moment(text: object) -> str:
    if not text:
        return ""
    return datetime.fromisoformat(str(text)).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""


def _artifact_cells(artifact: Mapping[str, Any], server_url: str) -> list[str]:
    return [
        str(artifact["name"]),
        str(artifact.get("size_bytes", "")),
        str(artifact.get("attempt", "")),
        "partial" if artifact.get("partial") else "",
        f"{server_url}{artifact.get('url', '')}",
    ]


def _kind_cells(kind: Mapping[str, Any]) -> list[str]:
    schema = kind.get("params_schema") or {}
    required = schema.get("required", ())
    names = [f"{name}{'*' if name in required else ''}" for name in schema.get("properties", {})]
    mark = " (default)" if kind.get("default") else ""
    return [f"{kind['name']}{mark}", " ".join(names), str(kind.get("description") or "")]
