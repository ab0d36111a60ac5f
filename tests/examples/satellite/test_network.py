from __future__ import annotations

import numpy as np
import pytest

from examples.satellite.network import (
    Conductors,
    FloatArray,
    NodalNetwork,
    ThermalError,
    steady_state_k,
)

SIGMA = 5.670374419e-8


def links(*triples: tuple[int, int, float]) -> Conductors:
    ends = np.array([(i, j) for i, j, _ in triples], dtype=np.intp).reshape(-1, 2).T
    return Conductors(ends, np.array([coupling for *_, coupling in triples], dtype=float))


def network(
    heat_w: list[float],
    to_space: list[float],
    conductors: Conductors,
    radiators: Conductors | None = None,
) -> NodalNetwork:
    return NodalNetwork(conductors, radiators or links(), np.array(to_space), np.array(heat_w))


def solved(case: NodalNetwork, guess_k: float = 290.0) -> FloatArray:
    return steady_state_k(case, np.full(len(case.heat_w), guess_k))


def test_one_radiating_node_follows_stefan_and_boltzmann() -> None:
    emission = 0.85 * SIGMA * 0.25
    (temperature,) = solved(network([40.0], [emission], links()))
    assert temperature == pytest.approx((40.0 / emission) ** 0.25, rel=1e-11)


def test_heat_through_a_chain_of_two_nodes_drops_by_power_times_resistance() -> None:
    emission = 0.8 * SIGMA * 0.2
    hot, cold = solved(network([25.0, 0.0], [0.0, emission], links((0, 1, 0.5))))
    assert cold == pytest.approx((25.0 / emission) ** 0.25, rel=1e-11)
    assert hot - cold == pytest.approx(25.0 / 0.5, rel=1e-10)


def test_a_radiative_link_carries_the_difference_of_fourth_powers() -> None:
    emission, exchange = 0.8 * SIGMA * 0.2, 0.1 * SIGMA
    case = network([10.0, 0.0], [0.0, emission], links(), links((0, 1, exchange)))
    hot, cold = solved(case)
    assert cold**4 == pytest.approx(10.0 / emission, rel=1e-11)
    assert hot**4 - cold**4 == pytest.approx(10.0 / exchange, rel=1e-11)


@pytest.mark.parametrize("guess_k", [3.0, 100.0, 290.0, 2000.0, 50_000.0])
def test_the_answer_does_not_depend_on_the_guess(guess_k: float) -> None:
    emission = 0.8 * SIGMA * 0.2
    case = network([25.0, 1.0], [0.1 * emission, emission], links((0, 1, 0.5)))
    assert solved(case, guess_k) == pytest.approx(solved(case), rel=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_every_node_of_a_random_network_is_in_balance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(3, 40))
    chain = [(i, i + 1, float(10 ** rng.uniform(-2, 1))) for i in range(nodes - 1)]
    pairs = rng.integers(nodes, size=(nodes, 2))
    exchange = [
        (int(i), int(j), SIGMA * float(rng.uniform(0.001, 0.1))) for i, j in pairs if i != j
    ]
    heat, emission = rng.uniform(0, 30, nodes), SIGMA * rng.uniform(0.001, 0.1, nodes)
    case = NodalNetwork(links(*chain), links(*exchange), emission, heat)
    kelvin = solved(case)
    leaving = case.conductors.outflow_w(kelvin) + case.radiators.outflow_w(kelvin**4)
    assert np.abs(leaving + emission * kelvin**4 - heat).max() < 1e-9 * heat.sum()
    assert case.radiated_w(kelvin) == pytest.approx(heat.sum(), rel=1e-10)


def test_a_node_without_a_path_to_space_is_an_error_not_a_number() -> None:
    with pytest.raises(ThermalError, match="without a path to space"):
        solved(network([1.0, 1.0], [SIGMA, 0.0], links()))
