"""Prints what the optimiser reaches on the shipped BOMs: python -m examples.satellite.report"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from examples.satellite.bom import Bom
from examples.satellite.bom_file import load_bom
from examples.satellite.geometry import Layout
from examples.satellite.optimiser import Problem, advance, start
from examples.satellite.placing import random_layout
from examples.satellite.thermal import CELLS_ON_LONGEST_EDGE, ThermalModel

SHIPPED = ("config/bom_example.json", "config/bom_large.json")
RANDOM_LAYOUTS = 1000


@dataclass(frozen=True)
class Temperatures:
    """The highest of one layout's units, in degrees Celsius."""

    working: float
    """On the mesh the optimiser works with."""
    fine: float
    """On one with cells of half the width, which no search has adapted to."""


def measure(bom: Bom, max_iterations: int, seed: int) -> tuple[float, Temperatures, float]:
    """One run: the start [degC], what it reaches, and the duration of its iterations [s]."""
    problem = Problem(bom)
    started = time.perf_counter()
    state = start(problem, max_iterations, seed)
    while state.iteration < max_iterations:
        state = advance(problem, state).state
    run_s = time.perf_counter() - started
    return state.initial_max_temp_c, _temperatures(problem, state.best), run_s


def best_of_random(bom: Bom, layouts: int, seed: int) -> Temperatures:
    """Of the coolest among random feasible layouts, chosen by the optimiser's own model."""
    problem = Problem(bom)
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = (random_layout(problem.bay, rng) for _ in range(layouts))
    coolest = min(drawn, key=lambda layout: problem.thermal.solve(layout).max_temp_c)
    return _temperatures(problem, coolest)


def _temperatures(problem: Problem, layout: Layout) -> Temperatures:
    fine = ThermalModel(problem.bay, 2 * CELLS_ON_LONGEST_EDGE)
    return Temperatures(
        working=problem.thermal.solve(layout).max_temp_c, fine=fine.solve(layout).max_temp_c
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    print("| BOM | start | best of 1,000 random | (finer mesh) | optimised | (finer mesh) | run |")
    print("|---|---|---|---|---|---|---|")
    for bom_file in SHIPPED:
        bom = load_bom(bom_file)
        initial, final, run_s = measure(bom, chosen.iterations, chosen.seed)
        # A generator of its own: the start must not be one of the layouts compared with.
        random = best_of_random(bom, RANDOM_LAYOUTS, chosen.seed + 1_000_003)
        print(
            f"| `{bom_file}` | {initial:.1f} °C | {random.working:.1f} °C | {random.fine:.1f} °C | "
            f"{final.working:.1f} °C | {final.fine:.1f} °C | {run_s:.1f} s |"
        )


if __name__ == "__main__":
    main()
