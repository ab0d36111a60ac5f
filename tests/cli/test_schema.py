"""JSON Schema as people read it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, Field

from taskpush.cli.schema import is_file, params_in, type_of
from taskpush.runner.uploads import Accepts, Upload


class Mode(StrEnum):
    FAST = "fast"
    SLOW = "slow"


class Part(BaseModel):
    name: str
    inner: list[Part] = []


class Params(BaseModel):
    bom_file: str = Field(description="Where the list is.")
    seed: Annotated[int, Field(ge=0, le=9)] | None = None
    mode: Mode = Mode.FAST
    kind: Literal["a"] = "a"
    tags: list[str] = Field(default=[], max_length=3)
    at: AwareDatetime | None = None
    part: Part | None = None
    whatever: Any = None
    table: Annotated[Upload, Accepts(".csv", "text/csv", max_bytes=9)] | None = None
    files: list[Upload] = []


def test_params_are_told_with_types_bounds_and_defaults() -> None:
    told = params_in(Params.model_json_schema())
    assert [(param.name, param.type, param.required, param.default) for param in told] == [
        ("bom_file", "string", True, ""),
        ("seed", "integer ≥ 0 ≤ 9 or null", False, "null"),
        ("mode", '"fast" or "slow"', False, '"fast"'),
        ("kind", '"a"', False, '"a"'),
        ("tags", "array of string 3 at most", False, "[]"),
        ("at", "string (date-time) or null", False, "null"),
        ("part", "Part or null", False, "null"),
        ("whatever", "anything", False, "null"),
        ("table", "file (name=@path) .csv or text/csv or null", False, "null"),
        ("files", "array of file (name=@path)", False, "[]"),
    ]
    assert told[0].meaning == "Where the list is."


@pytest.mark.parametrize(
    "schema",
    [{}, {"properties": 7}, {"properties": {"a": True}}, {"properties": {"a": {"$ref": "#/x"}}}],
)
def test_a_schema_that_is_none_harms_nobody(schema: dict[str, Any]) -> None:
    assert all(param.name == "a" for param in params_in(schema))
    assert type_of(schema)


def test_a_file_is_known_wherever_a_schema_has_it() -> None:
    schema = Params.model_json_schema()
    found = [name for name, value in schema["properties"].items() if is_file(value, schema)]
    assert found == ["table"]
    assert is_file(schema["properties"]["files"]["items"], schema)
    assert is_file({"$ref": "#/$defs/A"}, {"$defs": {"A": {"format": "taskpush-upload"}}})
