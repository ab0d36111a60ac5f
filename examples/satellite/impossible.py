"""What can be seen to be impossible from the BOM alone, before anything is placed."""

from __future__ import annotations

import numpy as np

from examples.satellite.bom import MAX_UNITS, Bom, Face, Unit
from examples.satellite.geometry import (
    IN_PLANE_AXES,
    NORMAL_AXIS,
    NORMAL_SIGN,
    Bay,
    FloatArray,
)

_MIN_HEAT_W = 0.01  # colder than about 20 K the solution is of no use to anyone


def reasons_against(bom: Bom) -> list[str]:
    """A sentence for each reason why no layout of this BOM can exist; empty if none is seen.

    An empty list is no promise: what fits by area may still not be packable.
    """
    units = sum(component.quantity for component in bom.components)
    if units > MAX_UNITS:
        return [f"the quantities add up to {units} units, at most {MAX_UNITS} can be placed"]
    if not bom.mountable_faces():
        return ["no panel is mountable"]
    bay = Bay(bom)
    misfits = _misfits(bay)
    if misfits:
        return misfits  # area and balance mean nothing while a unit fits nowhere
    checks = (_area_shortage(bay), _volume_shortage(bay), _imbalance(bay), _no_heat(bom))
    return [reason for reason in checks if reason]


def _usable_mm(bay: Bay, face: Face) -> tuple[float, float]:
    edge = max(bay.bom.margins.edge_mm, bay.bom.limits.min_clearance_mm)
    u_axis, v_axis = IN_PLANE_AXES[face]
    return max(bay.body_mm[u_axis] - 2 * edge, 0.0), max(bay.body_mm[v_axis] - 2 * edge, 0.0)


def _misfits(bay: Bay) -> list[str]:
    usable = [_usable_mm(bay, face) for face in bay.mountable_faces]
    largest = max(usable, key=lambda extent: extent[0] * extent[1])
    reasons, index = [], 0
    for component in bay.bom.components:
        width, depth, height = component.size_mm
        if not bay.berths[index]:
            reasons.append(
                f"component '{component.name}': {width:g} x {depth:g} x {height:g} mm fits on no "
                f"mountable panel (largest usable area {largest[0]:g} x {largest[1]:g} mm "
                "after margins)"
            )
        index += component.quantity
    return reasons


def _area_shortage(bay: Bay) -> str | None:
    needed = sum(unit.size_mm[0] * unit.size_mm[1] for unit in bay.units)
    available = sum(u * v for u, v in (_usable_mm(bay, face) for face in bay.mountable_faces))
    if needed <= available:
        return None
    hungriest = max(bay.bom.components, key=lambda c: c.quantity * c.size_mm[0] * c.size_mm[1])
    return (
        f"the components need {needed / 1e6:.3f} m2 of mounting area, the panels offer "
        f"{available / 1e6:.3f} m2; most of it goes to component '{hungriest.name}'"
    )


def _volume_shortage(bay: Bay) -> str | None:
    needed = sum(float(np.prod(unit.size_mm)) for unit in bay.units)
    available = float(np.prod(bay.body_mm))
    if needed <= available:
        return None
    return f"the components fill {needed / 1e9:.4f} m3, the body has only {available / 1e9:.4f} m3"


def _imbalance(bay: Bay) -> str | None:
    """The centre of mass cannot leave the box spanned by each unit's furthest positions."""
    body = bay.bom.body
    lowest = highest = body.structure_mass_kg * np.array(body.structure_com_mm)
    total_kg = body.structure_mass_kg
    for unit, berths in zip(bay.units, bay.berths, strict=True):
        low, high = _reach_mm(bay, unit, berths)
        lowest, highest = lowest + unit.mass_kg * low, highest + unit.mass_kg * high
        total_kg += unit.mass_kg
    target, limit = np.array(bay.bom.limits.com_target_mm), bay.bom.limits.max_com_offset_mm
    nearest = np.clip(target, lowest / total_kg, highest / total_kg)
    offset = float(np.linalg.norm(nearest - target))
    if offset <= limit:
        return None
    heaviest = max(bay.units, key=lambda unit: unit.mass_kg)
    return (
        f"the centre of mass stays at least {offset:.1f} mm off its target, the limit is "
        f"{limit:g} mm; the heaviest component is '{heaviest.name}' with {heaviest.mass_kg:g} kg"
    )


def _reach_mm(
    bay: Bay, unit: Unit, berths: tuple[tuple[Face, bool], ...]
) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest coordinates, shape (3,) each, that the unit's centre can have."""
    centres = []
    for face, rotated in berths:
        play = bay.free_play_mm(unit, face, rotated) or (0.0, 0.0)
        axis, (u_axis, v_axis) = NORMAL_AXIS[face], IN_PLANE_AXES[face]
        for end in (-1, 1):
            centre = np.zeros(3)
            centre[axis] = NORMAL_SIGN[face] * (bay.body_mm[axis] - unit.size_mm[2]) / 2
            centre[u_axis], centre[v_axis] = end * play[0], end * play[1]
            centres.append(centre)
    return np.min(centres, axis=0), np.max(centres, axis=0)


def _no_heat(bom: Bom) -> str | None:
    size = bom.body.size_mm
    absorbed = 0.0
    for panel in bom.panels:
        u_axis, v_axis = IN_PLANE_AXES[panel.face]
        absorbed += panel.absorbed_flux_w_m2 * size[u_axis] * size[v_axis] / 1e6
    if absorbed + sum(unit.heat_w for unit in bom.units()) >= _MIN_HEAT_W:
        return None
    return "nothing dissipates or absorbs heat, so no component has a temperature to lower"
