"""Simulated annealing over feasible layouts (Kirkpatrick, Gelatt, Vecchi, Science 220, 1983).

The state is explicit: `advance` takes one and returns the next, so a run can stop after any
iteration, travel as JSON and go on with the very same result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from examples.satellite.bom import Bom
from examples.satellite.geometry import Bay, FloatArray, Layout, Placement, occupied_box
from examples.satellite.placing import (
    is_clear,
    random_layout,
    random_placement,
    shifted_placement,
)
from examples.satellite.thermal import ThermalModel, ThermalState

_MOVES_PER_ITERATION = 50  # each costs a thermal solution
_MOVES_PER_UNIT_AND_ITERATION = 7
_PROPOSALS_PER_MOVE = 60  # geometry only; after that many infeasible ones the move is given up
_HOT_K, _COLD_K = 3.0, 0.005  # annealing temperature: first, last
_WIDE, _NARROW = 0.5, 0.03  # length of a shift as a share of the free play: first, last
_MEAN_WEIGHT = 0.05


class OptimiserState(BaseModel):
    """Between two iterations: all that the next one depends on, besides the BOM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    iteration: int
    max_iterations: int
    current: tuple[Placement, ...]
    best: tuple[Placement, ...]
    initial_max_temp_c: float
    rng: dict[str, Any]
    """State of the PCG64 generator; its 128-bit integers as text, which JSON parsers keep."""


@dataclass(frozen=True)
class Step:
    """What one iteration reached. Layout figures are those of the best layout so far."""

    iteration: int
    max_temp_c: float
    mean_temp_c: float
    min_clearance_mm: float
    com_offset_mm: float
    objective: float
    """Of the layout the annealing stands at, which may be worse than the best."""
    accepted_fraction: float
    annealing_temperature_k: float
    thermal_solutions: int
    state: OptimiserState

    def metrics(self) -> dict[str, float]:
        """For people who watch: degrees Celsius, millimetres, shares."""
        return {
            "max_temp": round(self.max_temp_c, 3),
            "mean_temp": round(self.mean_temp_c, 3),
            "min_clearance": round(self.min_clearance_mm, 3),
            "com_offset": round(self.com_offset_mm, 3),
            "objective": round(self.objective, 3),
            "accepted_fraction": round(self.accepted_fraction, 4),
            "annealing_temperature": round(self.annealing_temperature_k, 4),
        }


class Problem:
    """A BOM with the models of its geometry and heat, built once per run."""

    def __init__(self, bom: Bom) -> None:
        self.bay = Bay(bom)
        self.thermal = ThermalModel(self.bay)
        self.moves_per_iteration = _MOVES_PER_ITERATION + _MOVES_PER_UNIT_AND_ITERATION * len(
            self.bay.units
        )


def optimise(
    bom: Bom, max_iterations: int, seed: int, resume_from: OptimiserState | None = None
) -> Iterator[Step]:
    """One step per iteration, from the first (or the one after `resume_from`) to the last.

    The same arguments on the same machine and libraries give the same steps, bit for bit.
    Raises PlacementError when no feasible start is found, ThermalError when the model fails.
    """
    problem = Problem(bom)
    state = resume_from or start(problem, max_iterations, seed)
    while state.iteration < state.max_iterations:
        step = advance(problem, state)
        state = step.state
        yield step


def start(problem: Problem, max_iterations: int, seed: int) -> OptimiserState:
    """Before the first iteration: a random feasible layout."""
    rng = np.random.Generator(np.random.PCG64(seed))
    layout = random_layout(problem.bay, rng)
    return OptimiserState(
        iteration=0,
        max_iterations=max_iterations,
        current=layout,
        best=layout,
        initial_max_temp_c=problem.thermal.solve(layout).max_temp_c,
        rng=_dump_rng(rng),
    )


def advance(problem: Problem, state: OptimiserState) -> Step:
    """One iteration: a batch of moves, while the annealing temperature falls."""
    rng = _load_rng(state.rng)
    walk = _Walk(problem, state.current, state.best, rng)
    moves = problem.moves_per_iteration
    annealing_k = _HOT_K
    for move in range(moves):
        progress = (state.iteration + move / moves) / state.max_iterations
        annealing_k = _HOT_K * (_COLD_K / _HOT_K) ** progress
        walk.move(annealing_k, shift=_WIDE * (_NARROW / _WIDE) ** progress)
    bay, best = problem.bay, walk.best
    return Step(
        iteration=state.iteration + 1,
        max_temp_c=walk.best_thermal.max_temp_c,
        mean_temp_c=walk.best_thermal.mean_temp_c,
        min_clearance_mm=bay.min_clearance_mm(best),
        com_offset_mm=bay.com_offset_mm(bay.boxes(best)),
        objective=walk.objective,
        accepted_fraction=walk.accepted / moves,
        annealing_temperature_k=annealing_k,
        thermal_solutions=walk.solutions,
        state=state.model_copy(
            update={
                "iteration": state.iteration + 1,
                "current": walk.current,
                "best": best,
                "rng": _dump_rng(rng),
            }
        ),
    )


def objective_k(thermal: ThermalState) -> float:
    """What the annealing lowers: the hottest unit, and a little of the mean.

    The mean keeps a slope where moving any unit but the hottest changes nothing.
    """
    return thermal.max_temp_c + _MEAN_WEIGHT * thermal.mean_temp_c


class _Walk:
    """The walk of one iteration over feasible layouts, and the best it has passed."""

    def __init__(
        self, problem: Problem, current: Layout, best: Layout, rng: np.random.Generator
    ) -> None:
        self._bay, self._thermal, self._rng = problem.bay, problem.thermal, rng
        self.current = current
        self._boxes = self._bay.boxes(current)
        self.objective = objective_k(self._thermal.solve(current))
        self.best = best
        self.best_thermal = self._thermal.solve(best)
        self.accepted = 0
        self.solutions = 0

    def move(self, annealing_k: float, shift: float) -> None:
        """Propose one feasible change; take it if it is cooler, or by the Metropolis rule."""
        proposal = self._feasible_change(shift)
        if proposal is None:
            return
        layout, boxes = proposal
        thermal = self._thermal.solve(layout)
        self.solutions += 1
        objective = objective_k(thermal)
        rise = objective - self.objective
        if rise > 0 and self._rng.random() >= np.exp(-rise / annealing_k):
            return
        self.accepted += 1
        self.current, self._boxes, self.objective = layout, boxes, objective
        if thermal.max_temp_c < self.best_thermal.max_temp_c:
            self.best, self.best_thermal = layout, thermal

    def _feasible_change(self, shift: float) -> tuple[Layout, FloatArray] | None:
        for _ in range(_PROPOSALS_PER_MOVE):
            changes = self._propose(shift)
            boxes = self._boxes_after(changes)
            if boxes is not None:
                layout = list(self.current)
                for index, place in changes.items():
                    layout[index] = place
                return tuple(layout), boxes
        return None

    def _propose(self, shift: float) -> dict[int, Placement]:
        """New places by unit index.

        Two kinds change two units at once: alone, neither could cross the body without taking
        the centre of mass out of its limit.
        """
        count = len(self.current)
        first = int(self._rng.integers(count))
        second = int(self._rng.integers(count))
        kind = self._rng.random()
        if kind < 0.5:
            return {
                first: shifted_placement(self._bay, first, self.current[first], shift, self._rng)
            }
        if kind < 0.65 or first == second:
            return {first: random_placement(self._bay, first, self._rng)}
        if kind < 0.8:
            return {i: random_placement(self._bay, i, self._rng) for i in (first, second)}
        return {
            first: shifted_placement(self._bay, first, self.current[second], shift, self._rng),
            second: shifted_placement(self._bay, second, self.current[first], shift, self._rng),
        }

    def _boxes_after(self, changes: dict[int, Placement]) -> FloatArray | None:
        """Shape (units, 2, 3), or None if the changes break a limit."""
        bay, boxes = self._bay, self._boxes.copy()
        for index, place in changes.items():
            if (place.face, place.rotated) not in bay.berths[index]:
                return None
            boxes[index] = occupied_box(bay.units[index], place, bay.body_mm)
        if bay.com_offset_mm(boxes) > bay.bom.limits.max_com_offset_mm:
            return None
        for index in changes:
            if not is_clear(bay, boxes[index], np.delete(boxes, index, axis=0)):
                return None
        return boxes


def _dump_rng(rng: np.random.Generator) -> dict[str, Any]:
    raw = dict(rng.bit_generator.state)
    return {
        "words": {name: str(value) for name, value in raw["state"].items()},
        "has_uint32": int(raw["has_uint32"]),
        "uinteger": int(raw["uinteger"]),
    }


def _load_rng(dumped: dict[str, Any]) -> np.random.Generator:
    generator = np.random.PCG64()
    words = dumped["words"]
    generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": int(words["state"]), "inc": int(words["inc"])},
        "has_uint32": dumped["has_uint32"],
        "uinteger": dumped["uinteger"],
    }
    return np.random.Generator(generator)
