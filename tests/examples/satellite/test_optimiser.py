from __future__ import annotations

import json

import pytest

from examples.satellite.bom import Bom
from examples.satellite.bom_file import load_bom
from examples.satellite.optimiser import OptimiserState, Problem, Step, optimise, start
from examples.satellite.report import RANDOM_LAYOUTS, SHIPPED, best_of_random
from tests.examples.satellite.boms import component, cube, parsed

SMALL, LARGE = SHIPPED


@pytest.fixture(scope="module")
def tiny() -> Bom:
    return parsed(cube())


def run(bom: Bom, max_iterations: int, seed: int) -> list[Step]:
    return list(optimise(bom, max_iterations, seed))


def assert_worth_its_time(bom: Bom, steps: list[Step], seed: int) -> None:
    """Cooler than the start and than the best of 1,000 random layouts, with every limit kept."""
    final = steps[-1]
    assert final.max_temp_c < final.state.initial_max_temp_c
    assert final.max_temp_c < best_of_random(bom, RANDOM_LAYOUTS, seed).working
    bay = Problem(bom).bay
    for step in steps:
        assert bay.violations(step.state.best) == []
        assert bay.violations(step.state.current) == []
        assert step.min_clearance_mm >= bom.limits.min_clearance_mm - 1e-9
        assert step.com_offset_mm <= bom.limits.max_com_offset_mm


def test_the_example_ends_cooler_than_the_best_of_a_thousand_random_layouts() -> None:
    bom = load_bom(SMALL)
    assert_worth_its_time(bom, run(bom, 20, seed=0), seed=1_000_003)


def test_the_large_bom_ends_cooler_than_the_best_of_a_thousand_random_layouts() -> None:
    """Fewer iterations than usual keep this quick; they must do already."""
    bom = load_bom(LARGE)
    assert_worth_its_time(bom, run(bom, 4, seed=0), seed=1_000_003)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bom_file", SHIPPED)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_seed_beats_a_thousand_random_layouts(bom_file: str, seed: int) -> None:
    bom = load_bom(bom_file)
    assert_worth_its_time(bom, run(bom, 20, seed), seed=1_000_003 + seed)


@pytest.mark.parametrize("bom_file", SHIPPED)
def test_the_same_seed_gives_the_same_steps_to_the_last_bit(bom_file: str) -> None:
    bom = load_bom(bom_file)
    assert run(bom, 1, seed=7) == run(bom, 1, seed=7)


def test_another_seed_gives_another_layout(tiny: Bom) -> None:
    finals = [run(tiny, 1, seed)[-1].state.best for seed in range(4)]
    assert len(set(finals)) == 4


def test_the_hottest_temperature_never_rises_from_one_step_to_the_next(tiny: Bom) -> None:
    steps = run(tiny, 5, seed=0)
    temperatures = [steps[0].state.initial_max_temp_c, *(step.max_temp_c for step in steps)]
    assert temperatures == sorted(temperatures, reverse=True)
    assert [step.iteration for step in steps] == list(range(1, 6))


def test_a_run_continued_from_json_ends_where_an_unbroken_one_does(tiny: Bom) -> None:
    unbroken = run(tiny, 4, seed=5)
    text = json.dumps(unbroken[1].state.model_dump(mode="json"))
    state = OptimiserState.model_validate_json(text)
    assert list(optimise(tiny, 4, 5, resume_from=state)) == unbroken[2:]


def test_the_state_holds_no_number_that_json_parsers_lose(tiny: Bom) -> None:
    def whole_numbers(value: object) -> list[int]:
        if isinstance(value, dict):
            return [n for entry in value.values() for n in whole_numbers(entry)]
        if isinstance(value, list):
            return [n for entry in value for n in whole_numbers(entry)]
        return [value] if isinstance(value, int) else []

    state = start(Problem(tiny), 6, seed=5).model_dump(mode="json")
    assert max(map(abs, whole_numbers(state))) < 2**53


def test_metrics_are_finite_and_named_as_on_the_wire(tiny: Bom) -> None:
    metrics = run(tiny, 1, seed=0)[0].metrics()
    assert {"max_temp", "min_clearance", "com_offset", "mean_temp", "objective"} <= set(metrics)
    assert json.dumps(metrics, allow_nan=False)
    assert 0 <= metrics["accepted_fraction"] <= 1


def test_a_single_component_can_be_optimised() -> None:
    document = cube(components=[component("only")])
    document["limits"]["max_com_offset_mm"] = 1000
    final = run(parsed(document), 2, seed=0)[-1]
    assert final.max_temp_c <= final.state.initial_max_temp_c
