"""Prints what the optimiser reaches on the shipped BOMs: python -m examples.satellite.report"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from examples.satellite.bom import Bom
from examples.satellite.bom_file import load_bom
from examples.satellite.optimiser import Problem, advance, start
from examples.satellite.placing import random_layout
from examples.satellite.thermal import CELLS_ON_LONGEST_EDGE, ThermalModel

SHIPPED = ("config/bom_example.json", "config/bom_large.json")
RANDOM_LAYOUTS = 1000


@dataclass(frozen=True)
class Figures:
    """Highest unit temperatures in degrees Celsius."""

    initial: float
    final: float
    final_on_fine_mesh: float
    run_s: float


def measure(bom: Bom, max_iterations: int, seed: int) -> Figures:
    """One run, with the duration of its iterations."""
    problem = Problem(bom)
    started = time.perf_counter()
    state = start(problem, max_iterations, seed)
    final = state.initial_max_temp_c
    while state.iteration < max_iterations:
        step = advance(problem, state)
        state, final = step.state, step.max_temp_c
    run_s = time.perf_counter() - started
    fine = ThermalModel(problem.bay, 2 * CELLS_ON_LONGEST_EDGE).solve(state.best)
    return Figures(state.initial_max_temp_c, final, fine.max_temp_c, run_s)


def best_of_random(bom: Bom, layouts: int, seed: int) -> float:
    """Lowest max_temp [degC] among random feasible layouts, by the optimiser's own model."""
    problem = Problem(bom)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = (random_layout(problem.bay, rng) for _ in range(layouts))
    return min(problem.thermal.solve(layout).max_temp_c for layout in drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print("| BOM | start | best of 1,000 random | optimised | on a finer mesh | run |")
    print("|---|---|---|---|---|---|")
    for bom_file in SHIPPED:
        bom = load_bom(bom_file)
        figures = measure(bom, chosen.iterations, chosen.seed)
        # A generator of its own: the start must not be one of the layouts compared with.
        random_best = best_of_random(bom, RANDOM_LAYOUTS, chosen.seed + 1_000_003)
        print(
            f"| `{bom_file}` | {figures.initial:.1f} °C | {random_best:.1f} °C | "
            f"{figures.final:.1f} °C | {figures.final_on_fine_mesh:.1f} °C | "
            f"{figures.run_s:.1f} s |"
        )


if __name__ == "__main__":
    main()
