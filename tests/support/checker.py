"""Says what is wrong with what a subscriber received, compared with the task's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

Envelope = dict[str, Any]


def faults(task_id: str, log: Sequence[Envelope], received: Iterable[Envelope]) -> list[str]:
    """Every way in which `received` is not exactly `log`, in order, the final event once and last.

    `received` are the envelopes that one subscriber got for the task, volatile ones included.
    """
    everything = list(received)
    logged = [event for event in everything if event["seq"] is not None]
    return [
        *_foreign(task_id, everything),
        *_lost_and_doubled(log, logged),
        *_swapped(logged),
        *_changed(log, logged),
        *_after_final(everything),
        *_volatile_backwards(everything),
    ]


def kept(received: Iterable[Envelope]) -> list[Envelope]:
    """What a client of the contract keeps over a restart of the server.

    The newest volatile states may not have reached the disk before a kill, so the next server can
    begin with older ones; a client drops those whose (attempt, rev) is lower than its last.
    """
    newest: dict[str, tuple[int, int]] = {}
    result = []
    for event in received:
        if event["seq"] is None:
            order = (event["attempt"], event["rev"])
            if order < newest.get(event["event_type"], (0, 0)):
                continue
            newest[event["event_type"]] = order
        result.append(event)
    return result


def _foreign(task_id: str, received: Sequence[Envelope]) -> Iterable[str]:
    for event in received:
        if event["task_id"] != task_id:
            yield f"foreign: an event of {event['task_id']}"


def _lost_and_doubled(log: Sequence[Envelope], logged: Sequence[Envelope]) -> Iterable[str]:
    counts = Counter(event["seq"] for event in logged)
    for event in log:
        if counts[event["seq"]] == 0:
            yield f"lost: seq {event['seq']}"
    for seq, count in counts.items():
        if count > 1:
            yield f"doubled: seq {seq} came {count} times"


def _swapped(logged: Sequence[Envelope]) -> Iterable[str]:
    for before, after in pairwise(logged):
        if after["seq"] < before["seq"]:
            yield f"swapped: seq {after['seq']} came after {before['seq']}"


def _changed(log: Sequence[Envelope], logged: Sequence[Envelope]) -> Iterable[str]:
    stored = {event["seq"]: event for event in log}
    for event in logged:
        if stored.get(event["seq"]) != event:
            yield f"changed: seq {event['seq']} is not what the log has"


def _after_final(received: Sequence[Envelope]) -> Iterable[str]:
    for index, event in enumerate(received):
        if event["data"].get("final") is True and index != len(received) - 1:
            yield f"not last: {len(received) - 1 - index} events came after the final one"


def _volatile_backwards(received: Sequence[Envelope]) -> Iterable[str]:
    newest: dict[str, tuple[int, int]] = {}
    for event in received:
        if event["seq"] is None:
            order = (event["attempt"], event["rev"])
            if order < newest.get(event["event_type"], (0, 0)):
                yield f"backwards: {event['event_type']} rev {event['rev']}"
            newest[event["event_type"]] = order
