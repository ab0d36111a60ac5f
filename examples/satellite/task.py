"""The kind `layout`: optimises a BOM's layout and reports every iteration."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from examples.satellite.bom import Bom
from examples.satellite.bom_file import EXAMPLE_DIR, MAX_FILE_BYTES, load_bom, parse_bom
from examples.satellite.geometry import Bay, Layout
from examples.satellite.optimiser import OptimiserState, Problem, Step, advance, start
from examples.satellite.picture import draw_layout
from examples.satellite.thermal import CELLS_ON_LONGEST_EDGE, ThermalModel, ThermalState
from taskpush import Accepts, TaskContext, Upload

EXPERIMENTS_DIR = EXAMPLE_DIR / "experiments"

_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class LayoutParams(BaseModel):
    """What to optimise. Validation reads the BOM, so what is refused never becomes a task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bom_file: str = Field(
        default="config/bom_example.json",
        description="Bill of materials, a JSON file inside the example's own folder",
    )
    bom: (
        Annotated[Upload, Accepts(".json", "application/json", max_bytes=MAX_FILE_BYTES)] | None
    ) = Field(default=None, description="A bill of materials of your own, in place of that file")
    max_iterations: int = Field(default=20, ge=1, le=2000)
    seed: int = Field(default=0, ge=0, le=2**53 - 1, description="Same seed, same layout")

    @field_validator("bom")
    @classmethod
    def _own_bom_is_usable(cls, bom: Upload | None) -> Upload | None:
        if bom is not None:
            parse_bom(bom.read_bytes())
        return bom

    @model_validator(mode="after")
    def _bom_is_usable(self) -> Self:
        if self.bom is None:
            load_bom(self.bom_file)
        return self

    def load(self) -> Bom:
        """The BOM; raises BomError when it changed for the worse since validation."""
        return load_bom(self.bom_file) if self.bom is None else parse_bom(self.bom.read_bytes())


class LayoutResult(BaseModel):
    """The best layout found. Temperatures in degrees Celsius, lengths in millimetres."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment_dir: str
    """Relative to the example's folder; holds layout.json and layout.png."""
    final_iteration: int
    num_components: int
    initial_max_temp: float
    final_max_temp: float
    mean_temp: float
    min_clearance: float
    com_offset: float
    fine_mesh_max_temp: float
    """Of the same layout on a mesh twice as fine: how far the optimiser's model can be trusted."""
    thermal_solutions: int
    seed: int


class Reached(BaseModel):
    """How far a run has come: its checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    optimiser: OptimiserState
    thermal_solutions: int = 0
    told_c: float
    """Hottest component, in degrees Celsius, when that was last worth a line in the log."""


def layout(ctx: TaskContext, params: LayoutParams) -> LayoutResult:
    """Plain and CPU-bound: meant for a worker process.

    Goes on from its checkpoint, and then ends with the very same layout as an uninterrupted run.

    Raises BomError when the BOM changed for the worse since validation, PlacementError when no
    feasible layout is found, and what the context raises when the task is cancelled.
    """
    bom = params.load()
    experiment = _experiment_dir(ctx.task_id)
    total = params.max_iterations
    ctx.progress(0, total, unit="iteration", stage="placing", message="Looking for a start")
    problem = Problem(bom)
    bay = problem.bay
    ctx.logger.info(
        "%s: %d components, %.0f W, %d panels",
        bom.name, len(bay.units), sum(unit.heat_w for unit in bay.units), len(bom.panels),
    )  # fmt: skip
    if ctx.resumed_from is None:
        reached = _begin(ctx, problem, params)
    else:
        reached = Reached.model_validate_json(json.dumps(ctx.resumed_from))
        ctx.log("resumed", iteration=reached.optimiser.iteration)
    step, solutions = _run(ctx, problem, reached)
    ctx.progress(total, total, unit="iteration", stage="reporting", message="Writing the layout")
    _refuse_broken(bay, step.state.best)
    result = _summary(ctx.task_id, params, bay, step, solutions)
    _publish(ctx, experiment, problem, step, result)
    ctx.log(
        "layout found",
        initial_max_temp=result.initial_max_temp,
        final_max_temp=result.final_max_temp,
        fine_mesh_max_temp=result.fine_mesh_max_temp,
    )
    return result


def _begin(ctx: TaskContext, problem: Problem, params: LayoutParams) -> Reached:
    state = start(problem, params.max_iterations, params.seed)
    ctx.log("start found", max_temp=round(state.initial_max_temp_c, 3))
    first = problem.thermal.solve(state.current)
    title = f"{problem.bay.bom.name}: start"
    ctx.artifact(
        "layout_start.png", draw_layout(problem.bay, state.current, first, title), "image/png"
    )
    return Reached(optimiser=state, told_c=state.initial_max_temp_c)


def _run(ctx: TaskContext, problem: Problem, reached: Reached) -> tuple[Step, int]:
    """The last step, and the number of thermal solutions it took to get there."""
    state, coolest = reached.optimiser, reached.told_c
    total, solutions = state.max_iterations, reached.thermal_solutions
    while True:
        step = advance(problem, state)
        state = step.state
        solutions += step.thermal_solutions
        ctx.iteration(step.iteration, metrics=step.metrics())
        ctx.progress(
            step.iteration, total, unit="iteration", stage="optimising",
            message=f"Hottest component at {step.max_temp_c:.1f} °C",
        )  # fmt: skip
        ctx.stats(thermal_solutions=solutions, accepted_fraction=round(step.accepted_fraction, 4))
        if step.max_temp_c <= coolest - 1.0:
            ctx.logger.info("iteration %d: down to %.1f degC", step.iteration, step.max_temp_c)
            coolest = step.max_temp_c
        if state.iteration >= total:
            return step, solutions
        # Not after the last iteration: who resumes has at least one to go.
        reached = Reached(optimiser=state, thermal_solutions=solutions, told_c=coolest)
        ctx.checkpoint(reached.model_dump(mode="json"), label=f"iteration {state.iteration}")


def _refuse_broken(bay: Bay, best: Layout) -> None:
    broken = bay.violations(best)
    if broken:
        raise AssertionError("the optimiser left its limits: " + "; ".join(broken))


def _summary(
    task_id: str, params: LayoutParams, bay: Bay, step: Step, solutions: int
) -> LayoutResult:
    fine = ThermalModel(bay, 2 * CELLS_ON_LONGEST_EDGE).solve(step.state.best)
    return LayoutResult(
        experiment_dir=f"experiments/run_{task_id}",
        final_iteration=step.iteration,
        num_components=len(bay.units),
        initial_max_temp=round(step.state.initial_max_temp_c, 3),
        final_max_temp=round(step.max_temp_c, 3),
        mean_temp=round(step.mean_temp_c, 3),
        min_clearance=round(step.min_clearance_mm, 3),
        com_offset=round(step.com_offset_mm, 3),
        fine_mesh_max_temp=round(fine.max_temp_c, 3),
        thermal_solutions=solutions,
        seed=params.seed,
    )


def _publish(
    ctx: TaskContext, experiment: Path, problem: Problem, step: Step, result: LayoutResult
) -> None:
    """As artifacts of the task, and into the experiment's folder."""
    best, bay = step.state.best, problem.bay
    thermal = problem.thermal.solve(best)
    document = json.dumps(_describe(bay, best, thermal, result), indent=2) + "\n"
    title = f"{bay.bom.name}: after {step.iteration} iterations"
    picture = draw_layout(bay, best, thermal, title)
    experiment.mkdir(parents=True, exist_ok=True)
    (experiment / "layout.json").write_text(document, encoding="utf-8")
    (experiment / "layout.png").write_bytes(picture)
    ctx.artifact("layout.json", document, "application/json")
    ctx.artifact("layout.png", picture, "image/png")


def _describe(
    bay: Bay, best: Layout, thermal: ThermalState, result: LayoutResult
) -> dict[str, Any]:
    units = zip(bay.units, best, thermal.unit_c, strict=True)
    return {
        "bom": bay.bom.name,
        "result": result.model_dump(),
        "heat_w": thermal.heat_w,
        "radiated_w": thermal.radiated_w,
        "components": [
            {"name": unit.name, **asdict(place), "temp_c": round(float(celsius), 3)}
            for unit, place, celsius in units
        ],
        "panels": [
            {"face": face, "mean_temp_c": round(float(cells.mean()), 3)}
            for face, cells in thermal.panel_c.items()
        ],
    }


def _experiment_dir(task_id: str) -> Path:
    """Clients may choose task ids, so one is data from outside until it proves to be plain."""
    if not _PLAIN_ID.fullmatch(task_id):
        raise ValueError(f"task id {task_id[:40]!r} cannot name a folder")
    return EXPERIMENTS_DIR / f"run_{task_id}"
