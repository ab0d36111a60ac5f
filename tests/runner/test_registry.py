"""Registering kinds: what is refused, and what params and results have to be."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from typing_extensions import TypedDict

from taskpush.errors import TaskPushError
from taskpush.runner.context import TaskContext
from taskpush.runner.kind import InvalidResult, KindSpec, Style
from taskpush.runner.registry import Registry
from tests.runner import kinds

if TYPE_CHECKING:
    from decimal import Decimal


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


# -- what can be registered -----------------------------------------------------


async def async_job(ctx: TaskContext) -> None:
    """Runs on the loop.

    And has more to say.
    """


def plain_job(ctx: TaskContext, params: Bom) -> int:
    return 1


def test_the_handler_decides_the_style_and_the_style_the_concurrency() -> None:
    registry = Registry()
    loop = registry.register("loop", async_job)
    thread = registry.register("thread", plain_job)
    process = registry.register("process", plain_job, process=True)
    assert [each.style for each in registry.kinds()] == [Style.ASYNC, Style.THREAD, Style.PROCESS]
    assert (loop.concurrency, thread.concurrency) == (100, 8)
    assert process.concurrency >= 1
    assert registry.register("one", plain_job, concurrency=1).concurrency == 1


def test_the_description_is_given_or_the_first_line_of_the_docstring() -> None:
    registry = Registry()
    assert registry.register("a", async_job).description == "Runs on the loop."
    assert registry.register("b", plain_job).description is None
    assert registry.register("c", async_job, description="other").description == "other"


def test_methods_partials_and_callable_objects_are_handlers() -> None:
    class Job:
        async def run(self, ctx: TaskContext) -> int:
            return 1

        async def __call__(self, ctx: TaskContext, params: Bom) -> int:
            return 1

    def scaled(factor: int, ctx: TaskContext) -> int:
        return factor

    registry = Registry()
    assert registry.register("method", Job().run).style is Style.ASYNC
    assert registry.register("object", Job()).style is Style.ASYNC
    assert registry.register("partial", functools.partial(scaled, 3)).style is Style.THREAD


def test_a_name_is_registered_once() -> None:
    registry = Registry()
    registry.register("job", async_job)
    with pytest.raises(ValueError, match="registered already"):
        registry.register("job", async_job)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "ä", "x" * 65, "job\n", None])
def test_a_malformed_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="no kind name"):
        Registry().register(name, async_job)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True])
def test_a_concurrency_is_an_integer_of_at_least_one(concurrency: Any) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        Registry().register("job", async_job, concurrency=concurrency)


def no_parameters() -> None: ...
def only_keyword(*, ctx: TaskContext) -> None: ...
def one_too_many(ctx: TaskContext, params: Bom, other: int) -> None: ...
def keyword_too_many(ctx: TaskContext, params: Bom, *, other: int) -> None: ...
def unresolvable(ctx: TaskContext, params: NoSuchThing) -> None: ...  # type: ignore[name-defined]  # noqa: F821 - the point
def only_for_checkers(ctx: TaskContext, params: Decimal) -> None: ...
def not_validated(ctx: TaskContext, params: Iterator) -> KindSpec: ...  # type: ignore[type-arg,empty-body]
def takes_a_number(ctx: TaskContext, params: int) -> None: ...
def takes_a_callable(ctx: TaskContext, params: Callable[[], int]) -> None: ...
def yields(ctx: TaskContext) -> Iterator[int]:
    yield 1


async def yields_async(ctx: TaskContext) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (None, "must be a function"),
        (Bom, "must be a function"),
        (no_parameters, "takes the context first"),
        (only_keyword, "takes the context first"),
        (one_too_many, "'other'"),
        (keyword_too_many, "'other'"),
        (unresolvable, "NoSuchThing"),
        (only_for_checkers, "Decimal"),
        (not_validated, "nothing that can be validated"),
        (takes_a_number, "JSON object"),
        (takes_a_callable, "JSON Schema"),
        (yields, "cannot yield"),
        (yields_async, "cannot yield"),
    ],
)
def test_what_cannot_be_a_handler_is_refused_with_the_reason(handler: Any, reason: str) -> None:
    registry = Registry()
    with pytest.raises(TypeError, match=reason):
        registry.register("job", handler)
    assert registry.get("job") is None


def test_a_context_annotation_for_checkers_only_does_not_matter() -> None:
    def job(ctx: NotThere, params: Bom) -> int:  # type: ignore[name-defined]  # noqa: F821 - the point
        return 1

    assert Registry().register("job", job).params is not None


def test_names_local_to_the_caller_can_be_given() -> None:
    class Local(BaseModel):
        x: int

    def job(ctx: TaskContext, params: Local) -> Local:
        return params

    with pytest.raises(TypeError, match="Local"):
        Registry().register("job", job)
    spec = Registry().register("job", job, localns=locals())
    assert spec.validate_params({"x": "1"}) == {"x": 1}


def test_a_process_handler_must_be_importable() -> None:
    def nested(ctx: TaskContext) -> None: ...

    with pytest.raises(ValueError, match="top of a module"):
        Registry().register("nested", nested, process=True)
    with pytest.raises(ValueError, match="top of a module"):
        Registry().register("lambda", lambda ctx: None, process=True)
    with pytest.raises(TypeError, match="plain def"):
        Registry().register("async", kinds.a_fail, process=True)
    spec = Registry().register("fine", kinds.fail, process=True)
    assert spec.importable is not None
    assert (spec.importable.module, spec.importable.qualname) == ("tests.runner.kinds", "fail")


def test_an_unknown_kind_has_its_code() -> None:
    with pytest.raises(TaskPushError) as caught:
        Registry().require("nothing")
    assert caught.value.code == "unknown_kind"


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
    spec = Registry().register("job", async_job)
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
