"""Random feasible layouts: where the optimiser starts, and what it is measured against."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from examples.satellite.geometry import (
    TOLERANCE_MM,
    Bay,
    FloatArray,
    Layout,
    Placement,
    distances_mm,
    occupied_box,
)

_TRIES_PER_UNIT = 200
_PACKING_RESTARTS = 50
_BALANCING_MOVES = 4000
_BALANCING_RESTARTS = 5
_BALANCING_SHIFT = 0.1  # fine enough for limits of a millimetre, where far jumps never hit
_TURNED_SHARE = 0.2


class PlacementError(Exception):
    """No feasible layout was found. The message names the component, or the balance missed."""


def random_layout(bay: Bay, rng: np.random.Generator) -> Layout:
    """A layout that keeps every limit, drawn afresh; PlacementError when none is found.

    Units are dropped at random places, the largest first; then random moves that bring the
    centre of mass nearer its target are kept until it lies within its limit.
    """
    nearest = np.inf
    for _ in range(_BALANCING_RESTARTS):
        layout, offset = _balance(bay, _pack(bay, rng), rng)
        if offset <= bay.bom.limits.max_com_offset_mm:
            return layout
        nearest = min(nearest, offset)
    raise PlacementError(
        f"no layout found whose centre of mass is within {bay.bom.limits.max_com_offset_mm:g} mm "
        f"of its target; the nearest was {nearest:.1f} mm off"
    )


def random_placement(bay: Bay, index: int, rng: np.random.Generator) -> Placement:
    """Anywhere the unit fits an empty body, every panel and orientation equally likely."""
    unit = bay.units[index]
    berths = bay.berths[index]
    face, rotated = berths[rng.integers(len(berths))]
    play_u, play_v = bay.free_play_mm(unit, face, rotated) or (0.0, 0.0)
    return Placement(
        face,
        float(rng.uniform(-play_u, play_u)),
        float(rng.uniform(-play_v, play_v)),
        rotated,
    )


def shifted_placement(
    bay: Bay, index: int, place: Placement, shift: float, rng: np.random.Generator
) -> Placement:
    """Near `place`, at times turned, held inside the panel.

    `shift` is the deviation as a share of the free play. A unit that does not fit there comes
    back where it is, for the caller to refuse like any other infeasible place.
    """
    rotated = place.rotated != bool(rng.random() < _TURNED_SHARE)
    by_u, by_v = rng.normal(0.0, shift, 2)
    if (place.face, rotated) not in bay.berths[index]:
        return replace(place, rotated=rotated)
    play_u, play_v = bay.free_play_mm(bay.units[index], place.face, rotated) or (0.0, 0.0)
    return Placement(
        place.face,
        float(np.clip(place.u_mm + by_u * play_u, -play_u, play_u)),
        float(np.clip(place.v_mm + by_v * play_v, -play_v, play_v)),
        rotated,
    )


def is_clear(bay: Bay, box: FloatArray, others: FloatArray) -> bool:
    """Whether the box keeps the clearance limit to all the other boxes."""
    if not len(others):
        return True
    least = float(distances_mm(box, others).min())
    return least >= bay.bom.limits.min_clearance_mm - TOLERANCE_MM


def _pack(bay: Bay, rng: np.random.Generator) -> Layout:
    footprints = [unit.size_mm[0] * unit.size_mm[1] for unit in bay.units]
    largest_first = np.argsort(footprints, kind="stable")[::-1]
    stuck: dict[str, int] = {}
    for _ in range(_PACKING_RESTARTS):
        layout, failed = _drop_all(bay, [int(index) for index in largest_first], rng)
        if failed is None:
            return layout
        name = bay.units[failed].name
        stuck[name] = stuck.get(name, 0) + 1
    name = max(stuck, key=lambda unit: stuck[unit])
    raise PlacementError(
        f"component '{name}' found no free place in {stuck[name]} of {_PACKING_RESTARTS} attempts "
        "to place all components: the panels are too full for the clearance and the margins"
    )


def _drop_all(bay: Bay, order: list[int], rng: np.random.Generator) -> tuple[Layout, int | None]:
    """The layout, or the index of the first unit for which no free place was found."""
    placed: dict[int, Placement] = {}
    boxes = np.empty((0, 2, 3))
    for index in order:
        for _ in range(_TRIES_PER_UNIT):
            place = random_placement(bay, index, rng)
            box = occupied_box(bay.units[index], place, bay.body_mm)
            if is_clear(bay, box, boxes):
                placed[index] = place
                boxes = np.concatenate([boxes, box[None]])
                break
        else:
            return (), index
    return tuple(placed[index] for index in range(len(order))), None


def _balance(bay: Bay, layout: Layout, rng: np.random.Generator) -> tuple[Layout, float]:
    """Moves units at random while that brings the centre of mass nearer its target."""
    boxes = bay.boxes(layout)
    offset = bay.com_offset_mm(boxes)
    for _ in range(_BALANCING_MOVES):
        if offset <= bay.bom.limits.max_com_offset_mm:
            break
        index = int(rng.integers(len(layout)))
        if rng.random() < 0.5:
            place = random_placement(bay, index, rng)
        else:
            place = shifted_placement(bay, index, layout[index], _BALANCING_SHIFT, rng)
            if (place.face, place.rotated) not in bay.berths[index]:
                continue
        trial = boxes.copy()
        trial[index] = occupied_box(bay.units[index], place, bay.body_mm)
        nearer = bay.com_offset_mm(trial)
        if nearer < offset and is_clear(bay, trial[index], np.delete(boxes, index, axis=0)):
            layout = (*layout[:index], place, *layout[index + 1 :])
            boxes, offset = trial, nearer
    return layout, offset
