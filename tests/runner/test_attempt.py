"""An attempt that times out, fails, is tried again, and goes on from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskpush.core import lifecycle
from taskpush.models.events import Status
from taskpush.runner.policy import Backoff
from tests.runner import kinds, process_kinds
from tests.runner.kinds import Style
from tests.runner.workbench import Workbench, begin, every_style, register

AT_ONCE = Backoff(first_s=0, longest_s=0)


async def keep(bench: Workbench, task_id: str) -> None:
    await bench.store.write(task_id, lifecycle.cancel(None, bench.clock.now(), keep=True))
    bench.runner.cancel(task_id)


async def retry(bench: Workbench, task_id: str) -> None:
    commit = await bench.store.write(task_id, lifecycle.retry(None))
    bench.announce(commit.record)


def kept(bench: Workbench, task_id: str) -> list[str]:
    folder = bench.folder / "checkpoints" / task_id
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


# -- timeouts -------------------------------------------------------------------


@every_style
async def test_an_attempt_that_takes_too_long_is_stopped_and_failed(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "until_cancelled", style)
    record = await bench.over(await bench.submit(kind, timeout_s=0.4))
    assert record.status is Status.FAILED
    assert record.reason == "timeout"
    assert record.error is not None
    assert record.error.code == "timeout"
    assert record.error.error == "Timed out after 0.4 s"


@every_style
async def test_a_handler_that_completes_in_time_has_no_timeout(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "everything", style)
    record = await bench.over(await bench.submit(kind, timeout_s=60))
    assert record.status is Status.COMPLETED


@every_style
async def test_a_handler_that_completes_although_it_was_stopped_has_completed(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "finish_anyway", style)
    # A worker process takes a while to begin.
    timeout_s = 3 if style is Style.PROCESS else 0.3
    record = await bench.over(await bench.submit(kind, timeout_s=timeout_s))
    assert record.status is Status.COMPLETED


async def test_a_process_that_ignores_its_timeout_is_killed(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    await bench.open(grace_s=0.1)
    kind = bench.kind(process_kinds.stubborn, process=True)
    params = {"file": str(tmp_path / "beat")}
    record = await bench.over(await bench.submit(kind, params, timeout_s=0.5))
    assert record.reason == "timeout"
    await bench.close()


@every_style
async def test_a_timeout_is_tried_again_like_any_failure(bench: Workbench, style: Style) -> None:
    kind = register(bench, "until_cancelled", style, backoff=AT_ONCE)
    record = await bench.over(await bench.submit(kind, timeout_s=0.3, max_attempts=2))
    assert record.status is Status.FAILED
    assert record.attempt == 2
    assert [each["code"] for each in bench.data(record.task_id, "error")] == ["timeout"] * 2


async def test_a_cancel_that_came_before_the_timeout_is_the_outcome(bench: Workbench) -> None:
    kind = register(bench, "finish_anyway", Style.THREAD)
    task_id = await bench.submit(kind, timeout_s=30, max_attempts=3)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status in {Status.CANCELLED, Status.COMPLETED}
    assert record.attempt == 1


# -- tries ----------------------------------------------------------------------


@every_style
async def test_a_failure_is_tried_again_until_the_last_attempt(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "fail", style, backoff=AT_ONCE)
    record = await bench.over(await bench.submit(kind, max_attempts=3))
    assert record.status is Status.FAILED
    assert (record.attempt, record.failures) == (3, 3)
    errors = bench.data(record.task_id, "error")
    assert [each["will_retry"] for each in errors] == [True, True, False]
    assert [each["attempt"] for each in bench.events(record.task_id, "error")] == [1, 2, 3]


async def test_the_next_try_waits_for_its_backoff(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    await bench.open(random=lambda: 1.0)
    kind = register(bench, "fail", Style.LOOP, backoff=Backoff(first_s=0.3, longest_s=0.3))
    began = bench.clock.monotonic()
    record = await bench.over(await bench.submit(kind, max_attempts=2))
    assert bench.clock.monotonic() - began >= 0.3
    assert record.attempt == 2
    await bench.close()


@pytest.mark.parametrize("name", ["nan", "everything"])
async def test_what_another_try_would_only_repeat_is_tried_once(
    bench: Workbench, name: str
) -> None:
    """A result that cannot travel, and params that no longer fit."""
    kind = register(bench, name, Style.LOOP)
    params = {"rounds": "many"} if name == "everything" else None
    record = await bench.over(await bench.submit(kind, params, max_attempts=3))
    assert record.status is Status.FAILED
    assert record.attempt == 1


@every_style
async def test_a_handler_that_stumbles_over_its_cancel_is_not_tried_again(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "stumble", style)
    task_id = await bench.submit(kind, max_attempts=3)
    await bench.begun(task_id)
    await bench.cancel(task_id)
    record = await bench.over(task_id)
    assert record.status is Status.FAILED
    assert record.attempt == 1


async def test_a_lost_worker_is_replaced_by_itself_and_goes_on(bench: Workbench) -> None:
    kind = bench.kind(process_kinds.crash_once, process=True, resume="auto")
    task_id = await bench.submit(kind)
    await bench.until(lambda: "completed" in bench.statuses(task_id))
    record = await bench.record(task_id)
    assert record.attempt == 2
    assert record.result == {"attempt": 1}
    assert bench.statuses(task_id) == [
        *("pending", "running", "interrupted"),
        *("pending", "running", "completed"),
    ]


async def test_what_kills_its_worker_is_failed_after_three_times(bench: Workbench) -> None:
    kind = bench.kind(process_kinds.vanish, process=True, resume="auto")
    task_id = await bench.submit(kind)
    await bench.until(lambda: "failed" in bench.statuses(task_id))
    record = await bench.record(task_id)
    assert record.attempt == 3
    assert record.error is not None
    assert record.error.code == "interrupted_too_often"


# -- checkpoints ----------------------------------------------------------------


@every_style
async def test_the_next_attempt_goes_on_from_the_newest_checkpoint(
    bench: Workbench, style: Style
) -> None:
    kind = register(bench, "stepwise", style, backoff=AT_ONCE)
    params = {"steps": 4, "fail_after": 2}
    record = await bench.over(await bench.submit(kind, params, max_attempts=2))
    assert record.result == [3, 4]
    said = bench.data(record.task_id, "checkpoint")
    assert [each["label"] for each in said] == ["step 1", "step 2", "step 3", "step 4"]
    assert [each["progress_percent"] for each in said] == [25, 50, 75, 100]


@every_style
async def test_only_the_newest_checkpoint_is_kept(bench: Workbench, style: Style) -> None:
    record = await bench.over(await bench.submit(register(bench, "stepwise", style)))
    assert record.checkpoint is not None
    assert record.checkpoint.label == "step 4"
    assert kept(bench, record.task_id) == [record.checkpoint.sha256]


@every_style
async def test_a_checkpoint_that_cannot_travel_is_named_and_the_one_before_stays(
    bench: Workbench, style: Style
) -> None:
    record = await bench.over(await bench.submit(register(bench, "bad_states", style)))
    assert record.status is Status.COMPLETED
    assert record.checkpoint is not None
    assert kept(bench, record.task_id) == [record.checkpoint.sha256]
    assert len(bench.data(record.task_id, "checkpoint")) == 1
    said = bench.logs(record.task_id, "error")
    assert len(said) == 3
    assert "state.bad" in said[0]
    assert "exceed 16777216" in said[2]


@every_style
async def test_a_state_of_16_mib_travels(bench: Workbench, style: Style) -> None:
    size = 16 * 1024 * 1024 - 2  # the quotes
    kind = register(bench, "big_state", style, backoff=AT_ONCE)
    record = await bench.over(await bench.submit(kind, {"size": size}, max_attempts=2))
    assert record.result == size


async def test_strict_reporting_raises_for_a_state_that_cannot_travel(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    await bench.open(strict_reporting=True)
    record = await bench.run(kinds.a_bad_states)
    assert record.error is not None
    assert record.error.error_type == "BadReport"
    await bench.close()


@every_style
@pytest.mark.parametrize("name", ["last_words", "polite"])
async def test_a_kept_task_makes_its_last_checkpoint_while_it_stops(
    bench: Workbench, style: Style, name: str
) -> None:
    task_id = await begin(bench, name, style)
    await keep(bench, task_id)
    record = await bench.over(task_id)
    assert record.status is Status.INTERRUPTED
    assert record.resumable
    assert len(bench.data(task_id, "checkpoint")) == 1


@every_style
async def test_a_kept_task_goes_on_from_there(bench: Workbench, style: Style) -> None:
    task_id = await begin(bench, "last_words", style)
    await keep(bench, task_id)
    await bench.over(task_id)
    await retry(bench, task_id)
    record = await bench.over(task_id)
    assert (record.result, record.attempt) == ("last words", 2)


@every_style
async def test_a_stopping_server_waits_for_the_last_checkpoint(
    bench: Workbench, style: Style
) -> None:
    task_id = await begin(bench, "last_words", style)
    await bench.runner.stop(5)
    record = await bench.record(task_id)
    assert record.reason == "server_stopped"
    assert record.resumable


async def test_a_lost_checkpoint_fails_the_attempt_instead_of_beginning_anew(
    bench: Workbench,
) -> None:
    task_id = await begin(bench, "last_words", Style.THREAD)
    await keep(bench, task_id)
    await bench.over(task_id)
    for name in kept(bench, task_id):
        (bench.folder / "checkpoints" / task_id / name).write_text("{}", encoding="utf-8")
    await retry(bench, task_id)
    record = await bench.over(task_id)
    assert record.error is not None
    assert record.error.code == "checkpoint_lost"
