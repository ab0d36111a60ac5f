"""Boxes on the insides of the panels: where they are, what lies between them, their balance.

Body frame: origin in the centre of the body, axes X, Y, Z along its edges, millimetres. On a
panel, (u, v) are the two body axes that lie in it, in alphabetical order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.satellite.bom import Bom, Face, Unit

FloatArray = NDArray[np.float64]
Vector = tuple[float, float, float]

NORMAL_AXIS: dict[Face, int] = {"+X": 0, "-X": 0, "+Y": 1, "-Y": 1, "+Z": 2, "-Z": 2}
NORMAL_SIGN: dict[Face, int] = {"+X": 1, "-X": -1, "+Y": 1, "-Y": -1, "+Z": 1, "-Z": -1}
IN_PLANE_AXES: dict[Face, tuple[int, int]] = {
    "+X": (1, 2), "-X": (1, 2), "+Y": (0, 2), "-Y": (0, 2), "+Z": (0, 1), "-Z": (0, 1),
}  # fmt: skip


TOLERANCE_MM = 1e-9
"""Rounding of coordinates of up to metres; far below anything that can be built."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one unit is mounted: the centre of its footprint on the inside of a panel."""

    face: Face
    u_mm: float
    v_mm: float
    rotated: bool
    """False: the width lies along u. True: turned by 90 degrees, the depth lies along u."""


Layout = tuple[Placement, ...]
"""One placement per unit of the BOM, in the same order."""


def footprint_mm(unit: Unit, rotated: bool) -> tuple[float, float]:
    """Extent of the mounting face along (u, v)."""
    width, depth, _ = unit.size_mm
    return (depth, width) if rotated else (width, depth)


def occupied_box(unit: Unit, placement: Placement, body_mm: Vector) -> FloatArray:
    """Shape (2, 3): lowest and highest corner of the unit in the body frame."""
    axis, sign = NORMAL_AXIS[placement.face], NORMAL_SIGN[placement.face]
    u_axis, v_axis = IN_PLANE_AXES[placement.face]
    along_u, along_v = footprint_mm(unit, placement.rotated)
    height = unit.size_mm[2]
    box = np.empty((2, 3))
    box[:, u_axis] = placement.u_mm - along_u / 2, placement.u_mm + along_u / 2
    box[:, v_axis] = placement.v_mm - along_v / 2, placement.v_mm + along_v / 2
    wall = body_mm[axis] / 2
    box[:, axis] = (wall - height, wall) if sign > 0 else (-wall, height - wall)
    return box


def distances_mm(box: FloatArray, others: FloatArray) -> FloatArray:
    """Shape (others,): Euclidean distance to each other box; negative is depth of overlap."""
    gaps = np.maximum(box[0] - others[:, 1], others[:, 0] - box[1])
    apart: FloatArray = np.sqrt((np.maximum(gaps, 0.0) ** 2).sum(axis=1))
    widest: FloatArray = gaps.max(axis=1)
    return np.where(widest > 0, apart, widest)


def wall_clearance_mm(box: FloatArray, face: Face, body_mm: Vector) -> float:
    """Distance to the nearest wall of the body other than the one the box is mounted on."""
    half = np.asarray(body_mm) / 2
    to_walls = np.stack([box[0] + half, half - box[1]])
    to_walls[1 if NORMAL_SIGN[face] > 0 else 0, NORMAL_AXIS[face]] = np.inf
    return float(to_walls.min())


class Bay:
    """The equipment bay of one BOM: answers where units may go and what a layout measures."""

    def __init__(self, bom: Bom) -> None:
        self.bom = bom
        self.units = bom.units()
        self.body_mm = bom.body.size_mm
        self.mountable_faces = bom.mountable_faces()
        self.berths = tuple(self._fitting_berths(unit) for unit in self.units)
        """Per unit, the (face, rotated) in which it fits an otherwise empty body."""
        self._masses_kg = np.array([unit.mass_kg for unit in self.units])
        self._total_mass_kg = float(self._masses_kg.sum()) + bom.body.structure_mass_kg
        self._structure_moment = bom.body.structure_mass_kg * np.array(bom.body.structure_com_mm)
        self._com_target_mm = np.array(bom.limits.com_target_mm)

    def free_play_mm(self, unit: Unit, face: Face, rotated: bool) -> tuple[float, float] | None:
        """How far the centre may move from the panel's middle along (u, v), to either side.

        None when the unit does not fit this panel in this orientation. Walls count like boxes:
        what is kept free along the panel's edge is never less than the clearance limit.
        """
        clearance = self.bom.limits.min_clearance_mm
        edge = max(self.bom.margins.edge_mm, clearance)
        u_axis, v_axis = IN_PLANE_AXES[face]
        along_u, along_v = footprint_mm(unit, rotated)
        play_u = self.body_mm[u_axis] / 2 - edge - along_u / 2
        play_v = self.body_mm[v_axis] / 2 - edge - along_v / 2
        headroom = self.body_mm[NORMAL_AXIS[face]] - unit.size_mm[2] - clearance
        return None if min(play_u, play_v, headroom) < 0 else (play_u, play_v)

    def _fitting_berths(self, unit: Unit) -> tuple[tuple[Face, bool], ...]:
        return tuple(
            (face, rotated)
            for face in self.mountable_faces
            for rotated in (False, True)
            if self.free_play_mm(unit, face, rotated) is not None
        )

    def boxes(self, layout: Layout) -> FloatArray:
        """Shape (units, 2, 3): lowest and highest corners in the body frame."""
        pairs = zip(self.units, layout, strict=True)
        return np.stack([occupied_box(unit, place, self.body_mm) for unit, place in pairs])

    def min_clearance_mm(self, layout: Layout) -> float:
        """Smallest distance from a box to another, or to a wall it is not mounted on."""
        boxes = self.boxes(layout)
        clearances = [
            wall_clearance_mm(box, place.face, self.body_mm)
            for box, place in zip(boxes, layout, strict=True)
        ]
        clearances += [
            float(distances_mm(boxes[i], boxes[i + 1 :]).min()) for i in range(len(boxes) - 1)
        ]
        return min(clearances)

    def com_offset_mm(self, boxes: FloatArray) -> float:
        """Distance of the centre of mass, structure included, from its target.

        Units are taken as homogeneous boxes.
        """
        moment = self._masses_kg @ boxes.mean(axis=1) + self._structure_moment
        return float(np.linalg.norm(moment / self._total_mass_kg - self._com_target_mm))

    def violations(self, layout: Layout) -> list[str]:
        """A sentence for every limit that the layout breaks; empty for a feasible layout."""
        broken = [
            f"{unit.name} does not lie inside the usable part of panel {place.face}"
            for unit, place in zip(self.units, layout, strict=True)
            if not self._lies_inside(unit, place)
        ]
        clearance = self.min_clearance_mm(layout)
        if clearance < self.bom.limits.min_clearance_mm - TOLERANCE_MM:
            broken.append(f"clearance is {clearance:.3f} mm")
        offset = self.com_offset_mm(self.boxes(layout))
        if offset > self.bom.limits.max_com_offset_mm:
            broken.append(f"centre of mass is off by {offset:.3f} mm")
        return broken

    def _lies_inside(self, unit: Unit, place: Placement) -> bool:
        play = self.free_play_mm(unit, place.face, place.rotated)
        return (
            play is not None
            and place.face in self.mountable_faces
            and abs(place.u_mm) <= play[0] + TOLERANCE_MM
            and abs(place.v_mm) <= play[1] + TOLERANCE_MM
        )
