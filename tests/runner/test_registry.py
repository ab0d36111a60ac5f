"""Registering kinds: what is a handler, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from taskpush.errors import TaskPushError
from taskpush.runner.context import TaskContext
from taskpush.runner.kind import InvalidResult, KindSpec, Style
from taskpush.runner.registry import Registry
from tests.runner import kinds

if TYPE_CHECKING:
    from decimal import Decimal


class Bom(BaseModel):
    """Params, whatever is in them."""

    bom_file: str


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


def test_a_kind_without_a_handler_validates_what_goes_to_and_comes_from_its_producers() -> None:
    spec = Registry().declare("render", params=Bom, result=int, description="Outside", timeout_s=9)
    assert (spec.is_external, spec.style, spec.concurrency) == (True, Style.EXTERNAL, 0)
    assert (spec.description, spec.timeout_s) == ("Outside", 9)
    assert spec.validate_params({"bom_file": "a"}) == {"bom_file": "a"}
    with pytest.raises(TaskPushError):
        spec.validate_params({})
    with pytest.raises(InvalidResult):
        spec.dump_result("many")


def test_a_kind_without_a_handler_may_take_no_params_and_give_anything() -> None:
    spec = Registry().declare("render")
    assert spec.validate_params({}) == {}
    assert spec.dump_result({"any": [1]}) == {"any": [1]}


def test_what_cannot_be_declared_is_refused() -> None:
    registry = Registry()
    registry.register("taken", async_job)
    with pytest.raises(ValueError, match="registered already"):
        registry.declare("taken")
    with pytest.raises(ValueError, match="no kind name"):
        registry.declare("no name")
    with pytest.raises(TypeError, match="nothing that can be validated"):
        registry.declare("odd", params=object())
    with pytest.raises(TypeError, match="JSON object"):
        registry.declare("list", params=list[int])
    with pytest.raises(ValueError, match="timeout_s"):
        registry.declare("never", timeout_s=-1)
