"""The golden files in `tests/wire` are the wire: the models read them and write them back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from taskpush.models.events import EventType, Payload
from taskpush.models.messages import TaskUpdate

WIRE = Path(__file__).parents[1] / "wire"
GOLDEN = sorted(WIRE.glob("*.json"))


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_is_read_and_written_back_unchanged(path: Path) -> None:
    golden = _load(path)
    event = TaskUpdate.model_validate(golden).root
    payload = event.data
    assert isinstance(payload, Payload)
    assert payload.to_data() == golden["data"]
    assert event.timestamp.isoformat(timespec="microseconds") == golden["timestamp"]


def test_every_event_type_has_a_golden_file() -> None:
    assert {_load(path)["event_type"] for path in GOLDEN} == {t.value for t in EventType}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp", "2026-11-22T14:30:00"),
        ("seq", 0),
        ("seq", None),
        ("attempt", 0),
        ("event_type", "gossip"),
        ("data", {"iteration": 1, "metrics": {"max_temp": float("nan")}}),
        ("data", {"iteration": 1, "metrics": {"max_temp": 2**60}}),
        ("data", {"iteration": 1, "metrics": {"max_temp": "hot"}}),
        ("data", {"iteration": 2**60, "metrics": {}}),
    ],
)
def test_an_event_that_breaks_the_contract_is_refused(field: str, value: object) -> None:
    golden = _load(WIRE / "iteration_complete.json")
    with pytest.raises(ValidationError):
        TaskUpdate.model_validate(golden | {field: value})
