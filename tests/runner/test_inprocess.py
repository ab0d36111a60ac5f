"""The embedded runner: every style runs, ends in exactly one outcome, and can be stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from taskpush.core import lifecycle
from taskpush.models.events import Status
from taskpush.runner.context import TaskCancelled, TaskContext
from taskpush.store.base import Waiting
from taskpush.telemetry.events import (
    AttemptBroken,
    HandlerLeftBehind,
    HandlerRaised,
    KindMissing,
    OutcomeRefused,
    StoreFailed,
    TaskEnded,
    TaskStarted,
)
from tests.runner import kinds
from tests.runner.kinds import Style, handler_for
from tests.runner.workbench import PATIENCE_S, Workbench

every_style = pytest.mark.parametrize("style", list(Style))


def register(bench: Workbench, name: str, style: Style, **options: Any) -> str:
    return bench.kind(handler_for(name, style), process=style is Style.PROCESS, **options)


async def begin(bench: Workbench, name: str, style: Style, params: Any = None) -> str:
    """Submit, and wait until the handler has begun."""
    task_id = await bench.submit(register(bench, name, style), params)
    await bench.begun(task_id)
    return task_id


# -- outcomes -------------------------------------------------------------------


@every_style
async def test_a_handler_runs_and_its_result_is_kept(bench: Workbench, style: Style) -> None:
    task_id = await bench.submit(register(bench, "everything", style), {"rounds": 2})
    record = await bench.over(task_id)
    assert record.status is Status.COMPLETED
    assert record.result == {"rounds": 2}
    assert bench.statuses(task_id) == ["pending", "running", "completed"]
    logged = [each["event_type"] for each in bench.events(task_id) if each["seq"]]
    assert logged[2:-1] == [*["iteration_complete", "log"] * 2, "log", "artifact"]
    assert bench.logs(task_id, "warning") == ["nearly done"]
    assert bench.data(task_id, "stats")[-1]["rounds"] == 2
    assert bench.data(task_id, "progress")[-1]["current_iteration"] == 2
    assert bench.data(task_id, "progress")[-1]["message"] == "rounds"


@every_style
async def test_the_seqs_of_a_task_have_no_holes(bench: Workbench, style: Style) -> None:
    task_id = await bench.submit(register(bench, "everything", style), {"rounds": 20})
    await bench.over(task_id)
    seqs = [each["seq"] for each in bench.events(task_id) if each["seq"]]
    assert seqs == list(range(1, len(seqs) + 1))


@every_style
async def test_an_exception_fails_the_task_and_only_operators_see_the_traceback(
    bench: Workbench, style: Style
) -> None:
    task_id = await bench.submit(register(bench, "fail", style))
    record = await bench.over(task_id)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.error == "the oven is cold"
    assert record.error.error_type == "OddError"
    assert record.error.code == "handler_error"
    assert "Traceback" not in str(bench.events(task_id))
    assert [each["event_type"] for each in bench.events(task_id)][-2:] == ["error", "status_change"]
    noticed = bench.noticed_of(HandlerRaised)
    assert len(noticed) == 1
    assert "kinds.py" in noticed[0].traceback


@every_style
async def test_an_exception_whose_text_says_nothing_is_named(
    bench: Workbench, style: Style
) -> None:
    record = await bench.over(await bench.submit(register(bench, "miss", style)))
    assert record.error is not None
    assert (record.error.error, record.error.error_type) == ("KeyError: 'to'", "KeyError")
    assert record.message == "KeyError: 'to'"


@every_style
async def test_sys_exit_in_a_handler_fails_its_task_and_nothing_else(
    bench: Workbench, style: Style
) -> None:
    record = await bench.over(await bench.submit(register(bench, "leave", style)))
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.error_type == "SystemExit"
    again = await bench.over(await bench.submit(register(bench, "everything", style)))
    assert again.status is Status.COMPLETED


@every_style
async def test_a_huge_message_with_a_surrogate_is_cut_and_cleaned(
    bench: Workbench, style: Style
) -> None:
    record = await bench.over(await bench.submit(register(bench, "shout", style)))
    assert record.error is not None
    assert record.error.error.startswith("\ufffdxxx")
    assert len(record.error.error.encode()) <= 4096


@every_style
async def test_a_result_that_is_not_json_fails_the_task(bench: Workbench, style: Style) -> None:
    record = await bench.over(await bench.submit(register(bench, "nan", style)))
    assert record.error is not None
    assert record.error.code == "invalid_result"
    assert "result.loss" in record.error.error


@every_style
async def test_a_result_too_large_for_an_event_is_kept_and_linked(
    bench: Workbench, style: Style
) -> None:
    task_id = await bench.submit(register(bench, "large", style))
    record = await bench.over(task_id)
    assert record.result == "x" * 100_000
    final = bench.data(task_id, "status_change")[-1]
    assert final["result_url"] == f"/api/tasks/{task_id}/result"
    assert "result" not in final


@every_style
async def test_params_that_no_longer_fit_fail_the_task(bench: Workbench, style: Style) -> None:
    task_id = await bench.submit(register(bench, "everything", style), {"rounds": "many"})
    record = await bench.over(task_id)
    assert record.error is not None
    assert record.error.code == "invalid_params"
    assert record.error.error.startswith("params.rounds: ")
    assert not bench.noticed_of(HandlerRaised)


@every_style
async def test_telemetry_says_when_a_task_starts_and_how_it_ends(
    bench: Workbench, style: Style
) -> None:
    task_id = await bench.submit(register(bench, "everything", style))
    await bench.over(task_id)
    await bench.idle()
    started, ended = bench.noticed
    assert isinstance(started, TaskStarted)
    assert isinstance(ended, TaskEnded)
    assert (ended.task_id, ended.status) == (task_id, "completed")


# -- cancelling -----------------------------------------------------------------


@every_style
async def test_a_task_cancelled_while_it_waits_never_runs(bench: Workbench, style: Style) -> None:
    kind = register(bench, "until_cancelled", style, concurrency=1)
    first = await bench.submit(kind)
    await bench.begun(first)
    second, third = await bench.submit(kind), await bench.submit(kind)
    await bench.cancel(second)
    await bench.cancel(first)
    await bench.begun(third)
    assert bench.statuses(second) == ["pending", "cancelled"]
    await bench.cancel(third)
    await bench.over(third)


@every_style
async def test_a_cancel_right_behind_the_start_is_not_lost(bench: Workbench, style: Style) -> None:
    kind = register(bench, "until_cancelled", style)
    for pauses in range(6):
        task_id = await bench.submit(kind)
        for _ in range(pauses):
            await asyncio.sleep(0)
        await bench.cancel(task_id)
        record = await bench.over(task_id)
        assert record.status is Status.CANCELLED
        assert [each["final"] for each in bench.data(task_id, "status_change")].count(True) == 1


@every_style
async def test_a_cancel_queued_behind_the_start_stops_it_before_the_handler(
    bench: Workbench, style: Style
) -> None:
    bench.store.flowing.clear()
    creating = asyncio.ensure_future(bench.submit(register(bench, "until_cancelled", style)))
    bench.store.flowing.set()
    task_id = await creating
    bench.store.flowing.clear()
    cancelling = asyncio.ensure_future(bench.cancel(task_id))
    await asyncio.sleep(0)
    bench.store.flowing.set()
    await cancelling
    record = await bench.over(task_id)
    assert record.status is Status.CANCELLED


@every_style
async def test_a_running_handler_is_stopped_by_a_cancel(bench: Workbench, style: Style) -> None:
    task_id = await begin(bench, "until_cancelled", style)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.CANCELLED
    assert record.reason == "cancelled_by"


@every_style
async def test_a_handler_that_completes_after_a_cancel_has_completed(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "finish_anyway", style)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.COMPLETED
    assert record.result == "done anyway"


@every_style
async def test_a_handler_that_fails_while_cleaning_up_has_failed(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "stumble", style)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.error == "cleaning up failed"


@every_style
async def test_cancels_around_the_end_leave_exactly_one_final_event(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "everything", style)
    rounds = 3 if style is Style.PROCESS else 25
    for pauses in range(rounds):
        task_id = await bench.submit(kind, {"rounds": 1})
        await bench.until(lambda: len(bench.events(task_id)) >= 4 + pauses // 5)  # noqa: B023
        record = await bench.record(task_id)
        if not record.status.is_over:
            await asyncio.gather(bench.cancel(task_id), return_exceptions=True)
        await bench.over(task_id)
        finals = [each for each in bench.data(task_id, "status_change") if each["final"]]
        assert len(finals) == 1
        assert bench.events(task_id)[-1]["data"] == finals[0]


async def test_a_cancelled_error_that_nobody_asked_for_is_a_failure(bench: Workbench) -> None:
    async def cancels_itself(ctx: TaskContext) -> None:
        raise asyncio.CancelledError

    record = await bench.run(cancels_itself)
    assert record.status is Status.FAILED
    assert record.error is not None
    assert record.error.error_type == "CancelledError"


async def test_cancelling_what_is_unknown_does_nothing(bench: Workbench) -> None:
    bench.runner.cancel("unknown")


async def test_cancelling_twice_interrupts_the_cleanup_of_an_async_handler(
    bench: Workbench,
) -> None:
    async def slow_to_leave(ctx: TaskContext) -> None:
        try:
            await ctx.log("begun")
            await asyncio.Event().wait()
        finally:
            await ctx.log("cleaning up")
            await asyncio.Event().wait()

    task_id = await bench.submit(bench.kind(slow_to_leave))
    await bench.begun(task_id)
    await bench.cancel(task_id)
    await bench.until(lambda: "cleaning up" in bench.logs(task_id))
    await bench.cancel(task_id)
    assert (await bench.over(task_id)).status is Status.CANCELLED


# -- the fence ------------------------------------------------------------------


@every_style
async def test_an_attempt_that_was_ended_elsewhere_is_stopped_and_says_nothing_more(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "chatter_on", style)
    ended = lifecycle.interrupt(1, bench.clock.now(), reason="worker_lost", message="lost")
    await bench.store.write(task_id, ended)
    said = len(bench.events(task_id))
    await bench.idle()
    assert len(bench.events(task_id)) == said
    assert bench.noticed_of(OutcomeRefused)
    assert (await bench.record(task_id)).status is Status.INTERRUPTED


# -- queues ---------------------------------------------------------------------


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_no_more_handlers_of_a_kind_run_than_its_concurrency(
    bench: Workbench, gate: threading.Event
) -> None:
    running: list[str] = []
    most = 0

    def busy(ctx: TaskContext) -> None:
        nonlocal most
        running.append(ctx.task_id)
        most = max(most, len(running))
        gate.wait()
        running.remove(ctx.task_id)

    kind = bench.kind(busy, concurrency=3)
    tasks = [await bench.submit(kind) for _ in range(8)]
    await bench.until(lambda: sum(bench.statuses(each)[-1] == "running" for each in tasks) == 3)
    assert len(bench.runner.running()) == 3
    gate.set()
    for task_id in tasks:
        assert (await bench.over(task_id)).status is Status.COMPLETED
    assert most == 3


async def test_a_full_kind_does_not_hold_up_another(
    bench: Workbench, gate: threading.Event
) -> None:
    def slow(ctx: TaskContext) -> None:
        gate.wait()

    async def quick(ctx: TaskContext) -> str:
        return "there"

    kind = bench.kind(slow, concurrency=1)
    for _ in range(3):
        await bench.submit(kind)
    assert (await bench.run(quick)).result == "there"


async def test_higher_priority_goes_first_then_the_order_of_submission(bench: Workbench) -> None:
    order: list[str] = []
    first = asyncio.Event()

    async def queued(ctx: TaskContext) -> None:
        order.append(ctx.task_id)
        await first.wait()

    kind = bench.kind(queued, concurrency=1)
    blocker = await bench.submit(kind)
    low = [await bench.submit(kind, priority=0) for _ in range(3)]
    high = [await bench.submit(kind, priority=5) for _ in range(2)]
    last = await bench.submit(kind, priority=-1)
    first.set()
    await bench.over(last)
    assert order == [blocker, *high, *low, last]


async def test_tasks_that_were_pending_before_the_start_run_in_their_order(
    bench: Workbench,
) -> None:
    order: list[str] = []

    async def queued(ctx: TaskContext) -> None:
        order.append(ctx.task_id)

    kind = bench.kind(queued, concurrency=1)
    await bench.runner.stop(1)
    pending = [await bench.submit(kind) for _ in range(5)]
    assert order == []
    await bench.runner.start(await bench.store.waiting())
    await bench.over(pending[-1])
    assert order == pending


async def test_a_task_submitted_while_the_runner_starts_is_not_lost(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> str:
        return "ran"

    kind = bench.kind(job)
    await bench.runner.stop(1)
    starting = asyncio.create_task(bench.runner.start([]))
    await asyncio.sleep(0)
    task_id = await bench.submit(kind)
    await starting
    assert (await bench.over(task_id)).result == "ran"


async def test_a_stop_during_the_start_is_not_lost(bench: Workbench) -> None:
    async def job(ctx: TaskContext) -> None: ...

    kind = bench.kind(job)
    await bench.runner.stop(1)
    task_id = await bench.create(kind)
    starting = asyncio.create_task(bench.runner.start(await bench.store.waiting()))
    await asyncio.sleep(0)
    await bench.runner.stop(1)
    await starting
    assert bench.runner.running() == []
    assert (await bench.record(task_id)).status is Status.PENDING


async def test_a_task_announced_twice_runs_once(bench: Workbench) -> None:
    runs: list[str] = []

    async def once(ctx: TaskContext) -> None:
        runs.append(ctx.task_id)

    kind = bench.kind(once)
    task_id = await bench.submit(kind)
    bench.runner.submit(Waiting(task_id, kind, 0))
    await bench.over(task_id)
    await bench.idle()
    assert runs == [task_id]


async def test_a_pending_task_of_an_unknown_kind_stays_pending_and_is_noticed(
    bench: Workbench,
) -> None:
    task_id = await bench.create("forgotten")
    await bench.runner.start([Waiting(task_id, "forgotten", 0)])
    assert bench.noticed == [KindMissing(task_id, "forgotten")]
    assert (await bench.record(task_id)).status is Status.PENDING


async def test_a_handler_sees_nothing_of_the_request_that_submitted_it(bench: Workbench) -> None:
    request = ContextVar("request", default="nobody's")

    async def on_loop(ctx: TaskContext) -> str:
        return request.get()

    def in_thread(ctx: TaskContext) -> str:
        return request.get()

    request.set("somebody's")
    assert (await bench.run(on_loop)).result == "nobody's"
    assert (await bench.run(in_thread)).result == "nobody's"


async def test_a_handler_that_cannot_be_begun_does_not_leave_its_task_running(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def job(ctx: TaskContext) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        record = await bench.run(job)
    assert record.status is Status.INTERRUPTED
    assert record.reason == "worker_lost"
    assert len(bench.noticed_of(AttemptBroken)) == 1


# -- the store away -------------------------------------------------------------


async def test_an_outcome_waits_until_the_store_can_write_again(bench: Workbench) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def precious(ctx: TaskContext) -> str:
        begun.set()
        await go.wait()
        return "the result of hours"

    task_id = await bench.submit(bench.kind(precious))
    await begun.wait()
    bench.store.broken = True
    go.set()
    await bench.until(lambda: bool(bench.noticed_of(StoreFailed)))
    bench.store.broken = False
    record = await bench.over(task_id)
    assert record.result == "the result of hours"


# -- stopping -------------------------------------------------------------------


@every_style
async def test_stopping_interrupts_what_runs(bench: Workbench, style: Style) -> None:
    task_id = await begin(bench, "until_cancelled", style)
    assert await bench.runner.stop(10) == 1
    record = await bench.record(task_id)
    assert record.status is Status.INTERRUPTED
    assert record.reason == "server_stopped"
    assert bench.runner.running() == []


@every_style
async def test_a_handler_that_completes_while_the_server_stops_has_completed(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "finish_anyway", style)
    assert await bench.runner.stop(10) == 0
    assert (await bench.record(task_id)).status is Status.COMPLETED


async def test_stopping_leaves_waiting_tasks_pending(bench: Workbench) -> None:
    kind = register(bench, "until_cancelled", Style.LOOP, concurrency=1)
    first = await bench.submit(kind)
    second = await bench.submit(kind)
    await bench.begun(first)
    await bench.runner.stop(10)
    assert (await bench.record(second)).status is Status.PENDING


async def test_a_thread_that_does_not_stop_is_let_go_at_the_deadline(
    bench: Workbench, gate: threading.Event
) -> None:
    raised = threading.Event()

    def stuck(ctx: TaskContext) -> None:
        ctx.log("begun")
        gate.wait()
        try:
            ctx.log("too late")
        except TaskCancelled:
            raised.set()

    task_id = await bench.submit(bench.kind(stuck))
    await bench.begun(task_id)
    assert await bench.runner.stop(0.05) == 1
    assert (await bench.record(task_id)).status is Status.INTERRUPTED
    assert bench.noticed_of(HandlerLeftBehind)
    gate.set()
    assert await asyncio.to_thread(raised.wait, PATIENCE_S)
    assert bench.logs(task_id) == ["begun"]


async def test_an_async_handler_that_ignores_its_cancel_is_let_go_at_the_deadline(
    bench: Workbench,
) -> None:
    leave = asyncio.Event()

    async def deaf(ctx: TaskContext) -> None:
        await ctx.log("begun")
        while not leave.is_set():
            try:
                await leave.wait()
            except asyncio.CancelledError:
                continue

    task_id = await bench.submit(bench.kind(deaf))
    await bench.begun(task_id)
    assert await bench.runner.stop(0.05) == 1
    assert (await bench.record(task_id)).reason == "server_stopped"
    leave.set()


async def test_a_cancelled_task_that_stops_with_the_server_is_cancelled(bench: Workbench) -> None:
    task_id = await begin(bench, "until_cancelled", Style.THREAD)
    await asyncio.gather(bench.cancel(task_id), bench.runner.stop(10))
    assert (await bench.record(task_id)).status is Status.CANCELLED


async def test_stopping_ends_when_the_store_cannot_write_any_more(bench: Workbench) -> None:
    await begin(bench, "until_cancelled", Style.LOOP)
    bench.store.broken = True
    assert await bench.runner.stop(0.2) == 0
    bench.store.broken = False


async def test_nothing_starts_after_a_stop(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP)
    await bench.runner.stop(1)
    task_id = await bench.submit(kind)
    await asyncio.sleep(0)
    assert bench.runner.running() == []
    assert (await bench.record(task_id)).status is Status.PENDING


def test_kinds_have_a_loop_twin_where_all_styles_are_tested() -> None:
    twins = [name for name in vars(kinds) if name.startswith("a_")]
    assert all(name.removeprefix("a_") in vars(kinds) for name in twins)


# -- delays and keys ------------------------------------------------------------


async def test_a_delayed_task_starts_when_it_is_due_and_not_before(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP)
    run_at = bench.clock.now() + timedelta(seconds=0.3)
    record = await bench.over(await bench.submit(kind, run_at=run_at))
    assert record.started_at is not None
    assert record.started_at >= run_at


async def test_delayed_tasks_are_taken_up_by_the_next_server(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP)
    run_at = bench.clock.now() + timedelta(seconds=0.3)
    task_id = await bench.submit(kind, run_at=run_at)
    await bench.runner.stop(0)
    await bench.store.close()
    await bench.open()
    record = await bench.over(task_id)
    assert record.started_at is not None
    assert record.started_at >= run_at


async def test_a_delayed_task_that_is_announced_as_due_waits_all_the_same(
    bench: Workbench,
) -> None:
    kind = register(bench, "everything", Style.LOOP)
    run_at = bench.clock.now() + timedelta(seconds=0.3)
    task_id = await bench.create(kind, run_at=run_at)
    bench.runner.submit(Waiting(task_id, kind, 0))
    record = await bench.over(task_id)
    assert record.started_at is not None
    assert record.started_at >= run_at


async def test_of_delayed_tasks_that_are_due_the_highest_priority_is_first(
    bench: Workbench,
) -> None:
    kind = register(bench, "everything", Style.LOOP, concurrency=1)
    run_at = bench.clock.now() + timedelta(seconds=0.2)
    low, high = [await bench.submit(kind, priority=each, run_at=run_at) for each in (0, 5)]
    await bench.over(low)
    started = [(await bench.record(each)).started_at for each in (high, low)]
    assert None not in started
    assert started == sorted(started, key=str)


@pytest.mark.parametrize("key", ["owner", lambda params: params["for"]])
async def test_tasks_with_a_key_in_common_run_one_at_a_time(bench: Workbench, key: Any) -> None:
    running: list[str] = []
    most: dict[str, int] = {}
    seen = 0

    async def bake(ctx: TaskContext, params: dict[str, Any]) -> None:
        nonlocal seen
        mine = params["for"]
        running.append(mine)
        most[mine] = max(most.get(mine, 0), running.count(mine))
        seen = max(seen, len(running))
        await asyncio.sleep(0.02)
        running.remove(mine)

    kind = bench.kind(bake, concurrency_key=key)
    owners = ["ann", "ann", "bob", "ann", "bob", "cy"]
    tasks = [await bench.submit(kind, {"for": each}, owner=each) for each in owners]
    for task_id in tasks:
        assert (await bench.over(task_id)).status is Status.COMPLETED
    assert most == {"ann": 1, "bob": 1, "cy": 1}
    assert seen > 1


async def test_owners_of_one_name_in_two_tenants_do_not_wait_for_each_other(
    bench: Workbench,
) -> None:
    kind = register(bench, "until_cancelled", Style.LOOP, concurrency_key="owner")
    tasks = [await bench.submit(kind, tenant=tenant, owner="ann") for tenant in ("acme", "bolt")]
    for task_id in tasks:
        await bench.begun(task_id)
    for task_id in tasks:
        await bench.cancel(task_id)
        await bench.over(task_id)


async def test_a_key_function_that_raises_lifts_no_limit_and_is_noticed(bench: Workbench) -> None:
    kind = register(bench, "everything", Style.LOOP, concurrency_key=lambda params: params["no"])
    for task_id in [await bench.submit(kind) for _ in range(3)]:
        assert (await bench.over(task_id)).status is Status.COMPLETED
    assert "KeyError" in bench.noticed_of(AttemptBroken)[0].traceback


async def test_a_cancelled_task_gives_its_key_to_the_next(bench: Workbench) -> None:
    kind = register(bench, "until_cancelled", Style.LOOP, concurrency_key="owner")
    first, second = await bench.submit(kind), await bench.submit(kind)
    await bench.begun(first)
    await bench.cancel(first)
    await bench.begun(second)
    await bench.cancel(second)
    await bench.over(second)
