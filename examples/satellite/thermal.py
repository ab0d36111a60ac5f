"""The thermal model of a satellite body with boxes mounted on the insides of its panels.

Nodes: a grid of cells on every panel, one node per unit, one for the radiation inside.
README.md beside this file gives the equations, the sources and the limits of validity.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from examples.satellite.bom import Bom, Face, Panel
from examples.satellite.geometry import (
    IN_PLANE_AXES,
    NORMAL_AXIS,
    NORMAL_SIGN,
    Bay,
    Layout,
    footprint_mm,
)
from examples.satellite.network import Conductors, NodalNetwork, steady_state_k

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]

STEFAN_BOLTZMANN_W_M2K4 = 5.670374419e-8  # CODATA 2018, exact since the SI of 2019
ZERO_CELSIUS_K = 273.15
CELLS_ON_LONGEST_EDGE = 14
_MIN_CELLS = 3
_MM = 1e-3  # metres


@dataclass(frozen=True)
class PanelMesh:
    """The cells of one panel. Cell (i, j) is node `first + i * cells_v + j`."""

    panel: Panel
    first: int
    edges_u_mm: FloatArray
    edges_v_mm: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.edges_u_mm) - 1, len(self.edges_v_mm) - 1

    @property
    def nodes(self) -> IndexArray:
        """Shape (cells_u, cells_v): node numbers."""
        return self.first + np.arange(self.shape[0] * self.shape[1]).reshape(self.shape)

    @property
    def pitch_m(self) -> tuple[float, float]:
        """Size of a cell along (u, v)."""
        return (
            float(self.edges_u_mm[1] - self.edges_u_mm[0]) * _MM,
            float(self.edges_v_mm[1] - self.edges_v_mm[0]) * _MM,
        )

    @property
    def sheet_conductance_w_k(self) -> float:
        """Of a square piece: both facesheets, the core neglected."""
        panel = self.panel
        return 2 * panel.facesheet_conductivity_w_mk * panel.facesheet_thickness_mm * _MM

    @property
    def cell_area_m2(self) -> float:
        return self.pitch_m[0] * self.pitch_m[1]

    def covered_m2(
        self, u_mm: tuple[float, float], v_mm: tuple[float, float]
    ) -> tuple[IndexArray, FloatArray]:
        """The nodes of the cells under the rectangle, and how much of each is covered."""
        rows, along_u = _overlap(self.edges_u_mm, u_mm)
        columns, along_v = _overlap(self.edges_v_mm, v_mm)
        nodes = self.first + np.add.outer(rows * self.shape[1], columns).ravel()
        return nodes, np.outer(along_u, along_v).ravel() * _MM**2


def _overlap(edges: FloatArray, span: tuple[float, float]) -> tuple[IndexArray, FloatArray]:
    """Which intervals between the edges the span touches, and over what length."""
    lengths = np.minimum(edges[1:], span[1]) - np.maximum(edges[:-1], span[0])
    touched = np.flatnonzero(lengths > 0)
    return touched, lengths[touched]


@dataclass(frozen=True)
class ThermalState:
    """Steady state of one layout."""

    unit_c: FloatArray
    """Shape (units,), degrees Celsius."""
    panel_c: dict[Face, FloatArray]
    """Per panel, shape (cells_u, cells_v), degrees Celsius."""
    heat_w: float
    """Dissipated by the units and absorbed by the panels."""
    radiated_w: float
    """To space; equals the heat, but for rounding."""

    @property
    def max_temp_c(self) -> float:
        """Of the hottest unit."""
        return float(self.unit_c.max())

    @property
    def mean_temp_c(self) -> float:
        """Over the units."""
        return float(self.unit_c.mean())


class ThermalModel:
    """Everything about a BOM's thermal network that does not depend on the layout."""

    def __init__(self, bay: Bay, cells_on_longest_edge: int = CELLS_ON_LONGEST_EDGE) -> None:
        self._bay = bay
        self._meshes = _mesh_panels(bay.bom, cells_on_longest_edge)
        meshes = list(self._meshes.values())
        self._cells = sum(mesh.nodes.size for mesh in meshes)
        self._interior = bay.bom.body.interior_emissivity > 0
        areas = [np.full(mesh.nodes.size, mesh.cell_area_m2) for mesh in meshes]
        self._cell_area_m2 = np.concatenate(areas)
        self._panels = _conduction_in_panels(meshes, bay.bom.body.joint_conductance_w_mk)
        emissivity = np.concatenate([np.full(m.nodes.size, m.panel.emissivity) for m in meshes])
        absorbed = [np.full(m.nodes.size, m.panel.absorbed_flux_w_m2) for m in meshes]
        beside_cells = np.zeros(len(bay.units) + int(self._interior))
        self._to_space = np.concatenate(
            [emissivity * STEFAN_BOLTZMANN_W_M2K4 * self._cell_area_m2, beside_cells]
        )
        self._heat = np.concatenate([np.concatenate(absorbed) * self._cell_area_m2, beside_cells])
        self._heat[self._unit_nodes] = [unit.heat_w for unit in bay.units]
        self._mean_k = float((self._heat.sum() / self._to_space.sum()) ** 0.25)

    @property
    def _unit_nodes(self) -> slice:
        return slice(self._cells, self._cells + len(self._bay.units))

    def solve(self, layout: Layout) -> ThermalState:
        """Steady state of the layout. Its bits depend on nothing else: there is no warm start."""
        covered = self._covered_m2(layout)
        network = self._network(covered)
        guess = np.full(len(network.heat_w), self._mean_k)
        for index, unit in enumerate(self._bay.units):
            footprint_w_k = unit.contact_conductance_w_m2k * covered[index][1].sum()
            guess[self._cells + index] += unit.heat_w / footprint_w_k
        kelvin = steady_state_k(network, guess)
        celsius = kelvin - ZERO_CELSIUS_K
        return ThermalState(
            unit_c=celsius[self._unit_nodes],
            panel_c={face: celsius[mesh.nodes] for face, mesh in self._meshes.items()},
            heat_w=float(network.heat_w.sum()),
            radiated_w=network.radiated_w(kelvin),
        )

    def _covered_m2(self, layout: Layout) -> list[tuple[IndexArray, FloatArray]]:
        """Per unit, the cells under it and how much of each lies under it."""
        covered = []
        for unit, place in zip(self._bay.units, layout, strict=True):
            along_u, along_v = footprint_mm(unit, place.rotated)
            u_span = place.u_mm - along_u / 2, place.u_mm + along_u / 2
            v_span = place.v_mm - along_v / 2, place.v_mm + along_v / 2
            covered.append(self._meshes[place.face].covered_m2(u_span, v_span))
        return covered

    def _network(self, covered: list[tuple[IndexArray, FloatArray]]) -> NodalNetwork:
        free_m2 = self._cell_area_m2.copy()
        ends, coupling = [self._panels.ends], [self._panels.coupling]
        for index, (cells, area_m2) in enumerate(covered):
            free_m2[cells] -= area_m2
            ends.append(np.stack([np.full_like(cells, self._cells + index), cells]))
            coupling.append(self._bay.units[index].contact_conductance_w_m2k * area_m2)
        contacts = Conductors(np.concatenate(ends, axis=1), np.concatenate(coupling))
        radiators = self._radiation_inside(np.maximum(free_m2, 0.0))
        return NodalNetwork(contacts, radiators, self._to_space, self._heat)

    def _radiation_inside(self, free_m2: FloatArray) -> Conductors:
        """Every surface inside to the one node of the enclosure.

        Carroll's mean-radiant-temperature network (1980) with view factors of one: a surface of
        area A couples to the node by epsilon sigma A.
        """
        if not self._interior:
            return Conductors(np.empty((2, 0), dtype=np.intp), np.empty(0))
        exposed = np.concatenate([free_m2, [_exposed_m2(u.size_mm) for u in self._bay.units]])
        emissivity = self._bay.bom.body.interior_emissivity
        surfaces = np.arange(len(exposed))
        return Conductors(
            np.stack([surfaces, np.full_like(surfaces, len(exposed))]),
            emissivity * STEFAN_BOLTZMANN_W_M2K4 * exposed,
        )


def _conduction_in_panels(meshes: list[PanelMesh], joint_w_mk: float) -> Conductors:
    """Between neighbouring cells of a panel, and across the joints between panels."""
    links = [link for mesh in meshes for link in _within(mesh)]
    if joint_w_mk > 0:
        links += [_across(mesh, other, joint_w_mk) for mesh, other in _touching(meshes)]
    return Conductors(
        np.concatenate([link.ends for link in links], axis=1),
        np.concatenate([link.coupling for link in links]),
    )


def _within(mesh: PanelMesh) -> list[Conductors]:
    nodes, (pitch_u, pitch_v) = mesh.nodes, mesh.pitch_m
    along_u = np.stack([nodes[:-1].ravel(), nodes[1:].ravel()])
    along_v = np.stack([nodes[:, :-1].ravel(), nodes[:, 1:].ravel()])
    sheet = mesh.sheet_conductance_w_k
    return [
        Conductors(along_u, np.full(along_u.shape[1], sheet * pitch_v / pitch_u)),
        Conductors(along_v, np.full(along_v.shape[1], sheet * pitch_u / pitch_v)),
    ]


def _across(mesh: PanelMesh, other: PanelMesh, joint_w_mk: float) -> Conductors:
    """Half a cell of each panel and the joint between them, in series, along the edge."""
    length_m, resistance_mk_w = 0.0, 1 / joint_w_mk
    for here, there in ((mesh, other), (other, mesh)):
        u_axis, _ = IN_PLANE_AXES[here.panel.face]
        across = 0 if u_axis == NORMAL_AXIS[there.panel.face] else 1
        resistance_mk_w += here.pitch_m[across] / 2 / here.sheet_conductance_w_k
        length_m = here.pitch_m[1 - across]
    ends = np.stack([_nodes_beside(mesh, other), _nodes_beside(other, mesh)])
    return Conductors(ends, np.full(ends.shape[1], length_m / resistance_mk_w))


def _mesh_panels(bom: Bom, cells_on_longest_edge: int) -> dict[Face, PanelMesh]:
    """Cells as square as whole numbers allow; panels that touch have the same number there."""
    size = bom.body.size_mm
    edges = []
    for length in size:
        cells = max(_MIN_CELLS, round(cells_on_longest_edge * length / max(size)))
        edges.append(np.linspace(-length / 2, length / 2, cells + 1))
    meshes: dict[Face, PanelMesh] = {}
    first = 0
    for panel in bom.panels:
        u_axis, v_axis = IN_PLANE_AXES[panel.face]
        mesh = PanelMesh(panel, first, edges[u_axis], edges[v_axis])
        meshes[panel.face] = mesh
        first += mesh.shape[0] * mesh.shape[1]
    return meshes


def _touching(meshes: list[PanelMesh]) -> list[tuple[PanelMesh, PanelMesh]]:
    return [
        (mesh, other)
        for mesh, other in combinations(meshes, 2)
        if NORMAL_AXIS[mesh.panel.face] != NORMAL_AXIS[other.panel.face]
    ]


def _nodes_beside(mesh: PanelMesh, other: PanelMesh) -> IndexArray:
    """Nodes of `mesh` along its edge with `other`, in the order of the axis they share."""
    side = -1 if NORMAL_SIGN[other.panel.face] > 0 else 0
    u_axis, _ = IN_PLANE_AXES[mesh.panel.face]
    across_u = u_axis == NORMAL_AXIS[other.panel.face]
    return mesh.nodes[side, :] if across_u else mesh.nodes[:, side]


def _exposed_m2(size_mm: tuple[float, float, float]) -> float:
    """Surface of a box without its mounting face."""
    width, depth, height = size_mm
    return (width * depth + 2 * height * (width + depth)) * _MM**2
