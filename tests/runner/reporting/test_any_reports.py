"""Whatever handlers report, their tasks complete, and what is stored can be read by everybody."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from taskpush.models.events import MAX_EVENT_BYTES, Status
from taskpush.models.values import parse_json
from taskpush.runner.context import TaskContext
from tests.runner.workbench import Workbench


class Hostile:
    """An object that answers whatever it is asked with an error."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__

    def __iter__(self) -> Any:
        raise RuntimeError("iter")


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


_TEXTS = st.text(max_size=8) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=4)
_NAMES = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=8) | _TEXTS
_LARGE = st.sampled_from(["x", "ä", "\ud800"]).map(lambda text: text * 200_000) | st.builds(
    lambda: bytes(200_000)
)
_LEAVES = (
    _NAMES
    | _LARGE
    | st.decimals()
    | st.complex_numbers()
    | st.datetimes()
    | st.sampled_from([2**53, -(10**300), Path("/nowhere/at all"), int])
    | st.builds(lambda: -(10**5_000))  # more digits than Python shows
    | st.builds(Hostile)
    | st.builds(_circle)
)
ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_NAMES, inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)
METRICS = st.dictionaries(
    st.sampled_from(["score", "loss", "ä"]),
    st.sampled_from([0.5, float("nan"), float("inf"), 2**53]) | ANYTHING,
    max_size=3,
)
NAMED = st.dictionaries(
    _TEXTS.filter(lambda name: name not in {"self", "message", "level"}), ANYTHING, max_size=3
)

Call = Callable[[TaskContext], Any]


def _call(method: str, *given: Any, **named: Any) -> Call:
    return lambda ctx: getattr(ctx, method)(*given, **named)


CALLS: st.SearchStrategy[Call] = st.one_of(
    st.builds(lambda i, metrics: _call("iteration", i, metrics), ANYTHING, ANYTHING),
    st.builds(
        lambda i, metrics: _call("iteration", i, metrics),
        st.integers(0, 9) | ANYTHING,
        METRICS | ANYTHING,
    ),
    st.builds(
        lambda done, total, more: _call("progress", done, total, **more),
        st.integers(0, 9) | ANYTHING,
        st.just(10) | ANYTHING,
        st.dictionaries(
            st.sampled_from(["fraction", "message", "stage", "stage_description", "unit"]),
            ANYTHING,
        ),
    ),
    st.builds(
        lambda message, level, more: _call("log", message, level, **more),
        ANYTHING,
        st.sampled_from(["info", "error"]) | ANYTHING,
        NAMED,
    ),
    st.builds(lambda more: _call("stats", **more), NAMED),
    st.builds(
        lambda name, content, kind: _call("artifact", name, content, kind),
        st.sampled_from(["a.txt", "../a", "", "a" * 200]) | ANYTHING,
        ANYTHING,
        st.sampled_from([None, "text/plain", "text/plain\r\nX: y"]) | ANYTHING,
    ),
    st.builds(lambda state, label: _call("checkpoint", state, label), ANYTHING, ANYTHING),
    st.builds(lambda content, kind: _call("preview", content, kind), ANYTHING, ANYTHING),
)


@settings(max_examples=100)
@given(calls=st.lists(CALLS, min_size=4, max_size=12), in_thread=st.booleans())
async def test_a_task_completes_whatever_it_reports_and_all_of_its_log_can_travel(
    calls: list[Call], in_thread: bool
) -> None:
    async def awaiting(ctx: TaskContext) -> str:
        for call in calls:
            await call(ctx)
        await ctx.log("the last")
        return "unharmed"

    def calling(ctx: TaskContext) -> str:
        for call in calls:
            call(ctx)
        ctx.log("the last")
        return "unharmed"

    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(Path(folder))
        await bench.open()
        try:
            record = await bench.run(calling if in_thread else awaiting)
        finally:
            await bench.close()
    assert (record.status, record.result) == (Status.COMPLETED, "unharmed"), record.error
    logged = [event for event in bench.events(record.task_id) if event["seq"] is not None]
    assert [event["seq"] for event in logged] == list(range(1, len(logged) + 1))
    assert bench.logs(record.task_id)[-1] == "the last"
    for iteration in bench.data(record.task_id, "iteration_complete"):
        assert all(isinstance(value, int | float) for value in iteration["metrics"].values())
    for event in bench.events(record.task_id):
        if event["event_type"] == "preview":
            continue  # Its picture is bytes beside the event.
        body = orjson.dumps(event)
        assert parse_json(body) == event
        assert len(body) <= MAX_EVENT_BYTES
