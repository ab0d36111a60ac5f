"""Every style of handler runs, and ends in exactly one outcome."""

from __future__ import annotations

from taskpush.models.events import Status
from taskpush.telemetry.events import (
    HandlerRaised,
    TaskEnded,
    TaskStarted,
)
from tests.runner import kinds
from tests.runner.kinds import Style
from tests.runner.workbench import Workbench, every_style, register


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


def test_kinds_have_a_loop_twin_where_all_styles_are_tested() -> None:
    twins = [name for name in vars(kinds) if name.startswith("a_")]
    assert all(name.removeprefix("a_") in vars(kinds) for name in twins)
