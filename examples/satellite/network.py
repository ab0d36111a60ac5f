"""A nodal thermal network and its steady state.

Each node i balances (Incropera et al., Fundamentals of Heat and Mass Transfer, ch. 4 and 13;
Gilmore, Spacecraft Thermal Control Handbook I, ch. 15)

    sum_j G_ij (T_i - T_j) + sum_j H_ij (T_i^4 - T_j^4) + S_i T_i^4 = Q_i

with conductors G [W/K], radiative conductors H and couplings to space S [W/K^4], and heat Q [W].
Space is taken at 0 K; its real 2.7 K would add 3 microwatts per square metre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.sparse.linalg import SuperLU, splu

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]

_STEP_TOLERANCE_K = 1e-9
_WORTHWHILE_SHRINKAGE = 0.5  # of one step to the next; above it a fresh Jacobian is cheaper
_MAX_STEPS = 100


class ThermalError(Exception):
    """The steady state could not be found."""


@dataclass(frozen=True)
class Conductors:
    """Links between pairs of nodes."""

    ends: IndexArray
    """Shape (2, links): the nodes at either end."""
    coupling: FloatArray
    """Shape (links,): W/K for conduction, W/K^4 for radiation."""

    def outflow_w(self, potential: FloatArray) -> FloatArray:
        """Shape (nodes,): heat that leaves each node, for T (conduction) or T^4 (radiation)."""
        here, there = self.ends
        flow = self.coupling * (potential[here] - potential[there])
        nodes = len(potential)
        leaving, arriving = np.bincount(here, flow, nodes), np.bincount(there, flow, nodes)
        return (leaving - arriving).astype(np.float64)


@dataclass(frozen=True)
class NodalNetwork:
    """n nodes, what links them, what they emit to space and the heat put into them."""

    conductors: Conductors
    radiators: Conductors
    to_space_w_k4: FloatArray
    """S, shape (n,)."""
    heat_w: FloatArray
    """Q, shape (n,)."""

    def radiated_w(self, temperature_k: FloatArray) -> float:
        """Heat that leaves the network for space."""
        return float(self.to_space_w_k4 @ temperature_k**4)


def steady_state_k(network: NodalNetwork, guess_k: FloatArray) -> FloatArray:
    """Temperatures [K], shape (n,), by Newton's method on the node balances.

    Every node needs a path to space, and some node must have heat; the physical solution is
    then the only one with positive temperatures. Raises ThermalError when there is none or the
    iteration does not settle.

    The factorised Jacobian is kept while it still does its work (Shamanskii's variant; Kelley,
    Iterative Methods for Linear and Nonlinear Equations, 1995, ch. 5): a factorisation costs as
    much as many steps.
    """
    temperature: FloatArray = guess_k.astype(np.float64)
    factors = _factorise(network, temperature)
    previous = np.inf
    for _ in range(_MAX_STEPS):
        step: FloatArray = factors.solve(_imbalance_w(network, temperature))
        # T^4 is convex: an overshoot downwards would throw the next step far up.
        temperature = np.maximum(temperature - step, 0.5 * temperature)
        size = float(np.abs(step).max())
        if size <= _STEP_TOLERANCE_K:
            return temperature
        if not size < _WORTHWHILE_SHRINKAGE * previous:
            factors = _factorise(network, temperature)
        previous = size
    raise ThermalError(f"no steady state found in {_MAX_STEPS} Newton steps")


def _imbalance_w(network: NodalNetwork, temperature_k: FloatArray) -> FloatArray:
    fourth = temperature_k**4
    return (
        network.conductors.outflow_w(temperature_k)
        + network.radiators.outflow_w(fourth)
        + network.to_space_w_k4 * fourth
        - network.heat_w
    )


def _factorise(network: NodalNetwork, temperature_k: FloatArray) -> SuperLU:
    """LU factors of the Jacobian.

    Its columns are diagonally dominant, so pivots stay on the diagonal and the ordering may be
    chosen for sparsity alone.
    """
    slope = 4.0 * temperature_k**3
    (ci, cj), conductance = network.conductors.ends, network.conductors.coupling
    (ri, rj), radiative = network.radiators.ends, network.radiators.coupling
    by_i, by_j = radiative * slope[ri], radiative * slope[rj]
    all_nodes = np.arange(len(temperature_k))
    rows = np.concatenate([all_nodes, ci, cj, ci, cj, ri, rj, ri, rj])
    columns = np.concatenate([all_nodes, ci, cj, cj, ci, ri, rj, rj, ri])
    values = np.concatenate([
        network.to_space_w_k4 * slope,
        conductance, conductance, -conductance, -conductance,
        by_i, by_j, -by_j, -by_i,
    ])  # fmt: skip
    jacobian = csc_array((values, (rows, columns)), shape=(len(all_nodes), len(all_nodes)))
    try:
        return splu(
            jacobian,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
    except RuntimeError as error:
        raise ThermalError("the thermal network has a node without a path to space") from error
