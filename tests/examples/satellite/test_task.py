from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.satellite import task
from examples.satellite.task import LayoutParams, LayoutResult, layout
from taskpush import TaskCancelled
from tests.examples.satellite.recording import Recording


@pytest.fixture(autouse=True, scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where these runs write instead of into the example's own folder."""
    folder = tmp_path_factory.mktemp("experiments")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "EXPERIMENTS_DIR", folder)
        yield folder


@pytest.fixture(scope="module")
def finished(experiments: Path) -> tuple[Recording, LayoutResult]:
    recording = Recording()
    return recording, layout(recording.as_context(), LayoutParams(max_iterations=3))


def test_every_iteration_is_reported_with_progress_and_metrics(
    finished: tuple[Recording, LayoutResult],
) -> None:
    recording, result = finished
    iterations = recording.named("iteration")
    assert [entry["i"] for entry in iterations] == [1, 2, 3]
    assert all({"max_temp", "min_clearance"} <= set(entry["metrics"]) for entry in iterations)
    assert iterations[-1]["metrics"]["max_temp"] == result.final_max_temp
    progress = recording.named("progress")
    done = [entry["done"] for entry in progress]
    assert done == sorted(done)
    assert {1, 2, 3} <= set(done)
    assert {entry["unit"] for entry in progress} == {"iteration"}
    assert {entry["total"] for entry in progress} == {3}


def test_the_result_says_what_was_reached(finished: tuple[Recording, LayoutResult]) -> None:
    _, result = finished
    assert result.experiment_dir == "experiments/run_task-1"
    assert (result.final_iteration, result.num_components) == (3, 5)
    assert result.final_max_temp < result.initial_max_temp
    assert abs(result.fine_mesh_max_temp - result.final_max_temp) < 3


def test_layout_and_picture_are_artifacts_and_lie_in_the_experiments_folder(
    finished: tuple[Recording, LayoutResult], experiments: Path
) -> None:
    recording, result = finished
    assert recording.artifacts["layout.json"][1] == "application/json"
    assert recording.artifacts["layout.png"][1] == "image/png"
    assert recording.artifacts["layout_start.png"][0] != recording.artifacts["layout.png"][0]
    for name in ("layout.json", "layout.png"):
        written = experiments / "run_task-1" / name
        assert written.read_bytes() == recording.artifacts[name][0]
    document = json.loads(recording.artifacts["layout.json"][0])
    assert len(document["components"]) == 5
    assert document["result"] == result.model_dump()
    assert document["radiated_w"] == pytest.approx(document["heat_w"], rel=1e-9)


def test_a_run_resumed_from_any_checkpoint_ends_as_if_it_had_not_stopped(
    finished: tuple[Recording, LayoutResult],
) -> None:
    recording, result = finished
    assert len(recording.checkpoints) == 2
    for number, state in enumerate(recording.checkpoints, start=1):
        resumed = Recording(resumed_from=state)
        assert layout(resumed.as_context(), LayoutParams(max_iterations=3)) == result
        assert [entry["i"] for entry in resumed.named("iteration")] == list(range(number + 1, 4))
        assert resumed.artifacts["layout.json"] == recording.artifacts["layout.json"]


def test_a_cancelled_run_stops_at_once_and_writes_nothing(experiments: Path) -> None:
    recording = Recording(task_id="cancelled", cancel_after_iteration=1)
    with pytest.raises(TaskCancelled):
        layout(recording.as_context(), LayoutParams(max_iterations=2000))
    assert len(recording.named("iteration")) == 1
    assert not (experiments / "run_cancelled").exists()


@pytest.mark.parametrize("task_id", ["../up", "a/b", "", ".", "..", "a\x00b", "-" * 3, "a" * 200])
def test_a_task_id_that_is_no_plain_name_makes_no_folder(task_id: str, experiments: Path) -> None:
    before = sorted(experiments.rglob("*"))
    with pytest.raises(ValueError, match="cannot name a folder"):
        layout(Recording(task_id=task_id).as_context(), LayoutParams(max_iterations=1))
    assert sorted(experiments.rglob("*")) == before


def test_params_and_result_travel_as_json(finished: tuple[Recording, LayoutResult]) -> None:
    _, result = finished
    assert LayoutResult.model_validate_json(result.model_dump_json()) == result
    params = LayoutParams(seed=3)
    assert LayoutParams.model_validate_json(params.model_dump_json()) == params
