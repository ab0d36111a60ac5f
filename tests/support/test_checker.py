"""The checker catches each fault it is there for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.checker import faults

LOG: list[dict[str, Any]] = [
    {"task_id": "t", "event_type": "log", "seq": seq, "attempt": 1, "data": {}}
    for seq in range(1, 5)
] + [
    {"task_id": "t", "event_type": "status_change", "seq": 5, "attempt": 1, "data": {"final": True}}
]
PROGRESS: dict[str, Any] = {
    "task_id": "t",
    "event_type": "progress",
    "seq": None,
    "attempt": 1,
    "rev": 3,
    "data": {},
}


def test_exactly_the_log_has_no_fault() -> None:
    assert faults("t", LOG, LOG) == []
    assert faults("t", LOG, [LOG[0], PROGRESS, *LOG[1:]]) == []


@pytest.mark.parametrize(
    ("received", "fault"),
    [
        (LOG[:2] + LOG[3:], "lost: seq 3"),
        (LOG[:4], "lost: seq 5"),
        ([], "lost: seq 1"),
        ([*LOG[:3], LOG[2], *LOG[3:]], "doubled: seq 3 came 2 times"),
        ([LOG[0], LOG[2], LOG[1], *LOG[3:]], "swapped: seq 2 came after 3"),
        ([LOG[0] | {"task_id": "u"}, *LOG[1:]], "foreign: an event of u"),
        ([LOG[0] | {"data": {"x": 1}}, *LOG[1:]], "changed: seq 1 is not what the log has"),
        ([*LOG, LOG[4]], "not last: 1 events came after the final one"),
        ([*LOG, PROGRESS], "not last: 1 events came after the final one"),
        ([PROGRESS, PROGRESS | {"rev": 2}, *LOG], "backwards: progress rev 2"),
        ([*LOG[:4], LOG[4] | {"seq": 6}], "changed: seq 6 is not what the log has"),
    ],
)
def test_each_fault_is_caught(received: list[dict[str, Any]], fault: str) -> None:
    assert fault in faults("t", LOG, received)
