"""What clients are told of wrong fields; the dashboard's sentences are tested against the same."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from taskpush.errors import FieldProblem
from taskpush.models.problems import field_problem
from taskpush.runner.uploads import Accepts, Upload

GOLDEN = Path(__file__).parents[1] / "wire" / "problems" / "fields.json"


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Wrong(BaseModel):
    """A field for each thing that is often wrong."""

    model_config = ConfigDict(extra="forbid")

    missing: int
    whole: int
    unread: int
    number: float
    finite: Annotated[float, Field(allow_inf_nan=False)]
    text: str
    flag: bool
    items: list[int]
    inner: BaseModel
    day: date
    above: Annotated[int, Field(gt=1)]
    at_least: Annotated[float, Field(ge=0.5)]
    below: Annotated[int, Field(lt=9)]
    at_most: Annotated[int, Field(le=10)]
    even: Annotated[int, Field(multiple_of=2)]
    short: Annotated[str, Field(min_length=3)]
    long: Annotated[str, Field(max_length=2)]
    few: Annotated[list[int], Field(min_length=2)]
    many: Annotated[list[int], Field(max_length=1)]
    pattern: Annotated[str, Field(pattern="^[a-z]+$")]
    one_of: Literal["a", "b"]
    colour: Colour
    file: Annotated[Upload, Accepts(".csv")]


GIVEN = {
    "whole": 1.5,
    "unread": "x",
    "number": "x",
    "finite": float("inf"),
    "text": 1,
    "flag": "perhaps",
    "items": 1,
    "inner": 1,
    "day": "tomorrow",
    "above": 1,
    "at_least": 0,
    "below": 9,
    "at_most": 11,
    "even": 3,
    "short": "ab",
    "long": "abc",
    "few": [1],
    "many": [1, 2],
    "pattern": "A",
    "one_of": "c",
    "colour": "blue",
    "file": "gone",
    "unknown": 1,
}


def _found(validate: Any) -> list[FieldProblem]:
    with pytest.raises(ValidationError) as raised:
        validate()
    return [
        field_problem(found, ".".join(map(str, found["loc"])))
        for found in raised.value.errors(include_url=False, include_input=False)
    ]


def test_each_says_what_is_wrong_by_a_name_and_its_numbers() -> None:
    told = [problem.as_json() for problem in _found(lambda: Wrong.model_validate(GIVEN))]
    assert told == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1, 1),
        (2.5, 2.5),
        (True, True),
        ("abc", "abc"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 11, 22), "2026-11-22"),
        (2**60, None),
        (float("inf"), None),
        ("x" * 201, None),
        (ValueError("a secret"), None),
        ([1], None),
    ],
)
def test_of_its_context_only_short_values_travel(value: Any, told: Any) -> None:
    def refuse(_: int) -> int:
        raise PydanticCustomError("mine", "no", {"value": value})

    adapter = TypeAdapter(Annotated[int, AfterValidator(refuse)])
    [problem] = _found(lambda: adapter.validate_python(1))
    assert problem.type == "mine"
    assert problem.ctx == ({} if told is None else {"value": told})
