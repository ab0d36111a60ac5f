"""Envelopes, answers and resyncs as a server sends them."""

from __future__ import annotations

from typing import Any

TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
TIMESTAMP = "2026-11-22T14:30:00.123456+00:00"


def logged(seq: int, event_type: str = "log", *, epoch: str = "e1", **data: Any) -> dict[str, Any]:
    return _envelope(event_type, data) | {"seq": seq, "epoch": epoch}


def status(seq: int, word: str, *, epoch: str = "e1") -> dict[str, Any]:
    final = word in {"completed", "failed", "cancelled"}
    return logged(seq, "status_change", epoch=epoch, status=word, final=final)


def volatile(
    rev: int, event_type: str = "progress", *, attempt: int = 1, **data: Any
) -> dict[str, Any]:
    return _envelope(event_type, data) | {"seq": None, "rev": rev, "attempt": attempt}


def position(seq: int, epoch: str = "e1") -> dict[str, Any]:
    return {"epoch": epoch if seq else "", "seq": seq}


def snapshot(head: int, word: str = "running", *, epoch: str = "e1") -> dict[str, Any]:
    final = word in {"completed", "failed", "cancelled"}
    at = position(head, epoch)
    return {"task_id": TASK, "status": word, "final": final, "position": at}


def accepted(
    start: int, *, head: int | None = None, word: str = "running", mode: str = "replay"
) -> dict[str, Any]:
    at = start if head is None else head
    return {
        "ok": True,
        "task_id": TASK,
        "mode": mode,
        "position": position(start),
        "snapshot": snapshot(at, word),
    }


def resync(head: int, word: str = "running", *, epoch: str = "e2") -> dict[str, Any]:
    return {
        "task_id": TASK,
        "reason": "the history was cut short",
        "snapshot": snapshot(head, word, epoch=epoch),
        "position": position(head, epoch),
        "oldest": 1,
    }


def _envelope(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_id": TASK,
        "event_type": event_type,
        "data": data,
        "timestamp": TIMESTAMP,
        "attempt": 1,
    }
