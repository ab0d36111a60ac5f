"""Kinds: what their params and results have to be."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from typing_extensions import TypedDict

from taskpush.errors import TaskPushError
from taskpush.runner.context import TaskContext
from taskpush.runner.kind import InvalidResult, KindSpec
from taskpush.runner.registry import Registry


class Bom(BaseModel):
    """Params with a default, a bound and a rule of their own."""

    bom_file: str
    max_iterations: int = Field(default=20, ge=1, le=1000)

    @field_validator("bom_file")
    @classmethod
    def _no_slashes(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("a file name, not a path")
        return value


@dataclass
class Point:
    """Params as a dataclass."""

    x: float
    y: float = 0.0


class Cell(TypedDict):
    """Params as a typed dict."""

    row: int


class Strict(BaseModel):
    """Takes a date only from its JSON form."""

    model_config = ConfigDict(strict=True)
    day: dt.date


class Login(BaseModel):
    """Its dump hides what was given."""

    password: SecretStr


class Renamed(BaseModel):
    """Is written under another name than it is read."""

    size: int = Field(validation_alias="in", serialization_alias="out")


class Loose(BaseModel):
    """Says nothing about what is inside."""

    inner: Any


class Careless(BaseModel):
    """Its validator has a bug."""

    name: str

    @field_validator("name")
    @classmethod
    def _open(cls, value: str) -> str:
        with open(f"/etc/secrets/{value}", encoding="utf-8") as file:
            return file.read()


def spec_of(params: Any, result: Any = Any) -> KindSpec:
    """A kind whose handler is annotated with these types."""

    def handler(ctx: Any, params: Any) -> Any:
        return None

    handler.__annotations__ = {"ctx": TaskContext, "params": params, "return": result}
    return Registry().register("job", handler)


def problems_of(spec: KindSpec, params: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(TaskPushError) as caught:
        spec.validate_params(params)
    assert caught.value.code == "invalid_params"
    return {each.loc: each.message for each in caught.value.problems}


# -- params ---------------------------------------------------------------------


def test_params_are_normalised_with_their_defaults() -> None:
    assert spec_of(Bom).validate_params({"bom_file": "a.csv"}) == {
        "bom_file": "a.csv",
        "max_iterations": 20,
    }
    assert spec_of(Point).validate_params({"x": "1.5"}) == {"x": 1.5, "y": 0.0}
    assert spec_of(Cell).validate_params({"row": 1}) == {"row": 1}
    assert spec_of(dict[str, int]).validate_params({"a": 1}) == {"a": 1}


def test_params_without_an_annotation_are_any_object() -> None:
    def job(ctx, params):  # type: ignore[no-untyped-def]
        return params

    assert Registry().register("job", job).validate_params({"a": [1]}) == {"a": [1]}


def test_every_wrong_field_is_named_with_its_own_message() -> None:
    problems = problems_of(spec_of(Bom), {"bom_file": "../x", "max_iterations": 0})
    assert problems == {
        "params.bom_file": "a file name, not a path",
        "params.max_iterations": "Input should be greater than or equal to 1",
    }


def test_a_missing_field_is_named() -> None:
    assert problems_of(spec_of(Bom), {}) == {"params.bom_file": "Field required"}


def test_only_so_many_problems_are_named() -> None:
    params = {str(i): "no" for i in range(100)}
    assert len(problems_of(spec_of(dict[str, int]), params)) == 20


def test_a_kind_without_params_takes_none() -> None:
    async def job(ctx: TaskContext) -> None: ...

    spec = Registry().register("job", job)
    assert spec.validate_params({}) == {}
    assert problems_of(spec, {"a": 1}) == {"params.a": "this kind takes no params"}
    assert spec.params_schema["additionalProperties"] is False


def test_what_a_dump_would_lose_or_change_is_kept_as_it_was_given() -> None:
    assert spec_of(Login).validate_params({"password": "geheim"}) == {"password": "geheim"}
    assert spec_of(Renamed).validate_params({"in": 3}) == {"in": 3}


def test_a_strict_model_reads_json() -> None:
    params = {"day": "2026-11-22"}
    assert spec_of(Strict).validate_params(params) == params


def test_a_bug_in_a_validator_tells_clients_its_type_only() -> None:
    problems = problems_of(spec_of(Careless), {"name": "x"})
    assert problems == {"params": "cannot be validated (FileNotFoundError)"}


def test_numbers_that_cannot_travel_are_refused_though_the_type_would_take_them() -> None:
    assert problems_of(spec_of(dict[str, Any]), {"a": {"b": 2**60}}) == {
        "params.a.b": f"{2**60} cannot travel as a JSON number"
    }


def test_the_schemas_are_those_of_the_annotations() -> None:
    spec = spec_of(Bom, Point)
    assert spec.params_schema["required"] == ["bom_file"]
    assert set(spec.result_schema["properties"]) == {"x", "y"}


# -- results --------------------------------------------------------------------


def test_a_result_is_validated_and_dumped_by_its_annotation() -> None:
    assert spec_of(Bom, Point).dump_result(Point(1.0)) == {"x": 1.0, "y": 0.0}
    assert spec_of(Bom, Point).dump_result({"x": 1}) == {"x": 1.0, "y": 0.0}
    assert spec_of(Bom, dt.date).dump_result(dt.date(2026, 11, 22)) == "2026-11-22"
    assert spec_of(Bom, None).dump_result(None) is None


def test_a_result_without_an_annotation_is_any_json() -> None:
    spec = spec_of(Bom)
    assert spec.dump_result({"point": Point(1), "days": (1, 2)}) == {
        "point": {"x": 1, "y": 0.0},
        "days": [1, 2],
    }


def test_numpy_scalars_in_a_result_are_taken_as_numbers() -> None:
    result = spec_of(Bom).dump_result({"a": np.float64(1.5), "b": np.int64(2), "c": np.bool_(True)})
    assert result == {"a": 1.5, "b": 2, "c": True}


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Point, {"y": 1}),
        (None, 1),
        (Any, float("nan")),
        (Any, {"a": [float("inf")]}),
        (Any, [np.float32("nan")]),
        (Loose, {"inner": {"deep": [float("nan")]}}),
        (Any, 2**60),
        (Any, "\ud800"),
        (Any, object()),
        (Any, {1: {object()}}),
        (Annotated[int, Field(ge=0)], -1),
    ],
)
def test_a_result_that_does_not_fit_or_cannot_travel_is_refused(
    annotation: Any, value: Any
) -> None:
    with pytest.raises(InvalidResult, match="result"):
        spec_of(Bom, annotation).dump_result(value)


def test_a_result_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidResult):
        spec_of(Bom).dump_result(endless)
