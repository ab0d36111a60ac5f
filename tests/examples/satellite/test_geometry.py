from __future__ import annotations

import numpy as np
import pytest

from examples.satellite.bom import Face
from examples.satellite.geometry import Bay, Placement, distances_mm, occupied_box
from tests.examples.satellite.boms import component, cube, parsed


def box(*corners: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array(corners, dtype=float).reshape(2, 3)


@pytest.mark.parametrize(
    ("other", "distance"),
    [
        (box(15, 0, 0, 20, 10, 10), 5.0),
        (box(13, 14, 0, 20, 20, 10), 5.0),
        (box(12, 13, 16, 20, 20, 20), 7.0),
        (box(10, 0, 0, 20, 10, 10), 0.0),
        (box(8, 0, 0, 20, 10, 10), -2.0),
        (box(4, 4, 4, 6, 6, 6), -6.0),
    ],
)
def test_distance_is_euclidean_and_negative_where_boxes_overlap(
    other: np.ndarray[tuple[int, ...], np.dtype[np.float64]], distance: float
) -> None:
    assert distances_mm(box(0, 0, 0, 10, 10, 10), other[None])[0] == pytest.approx(distance)
    assert distances_mm(other, box(0, 0, 0, 10, 10, 10)[None])[0] == pytest.approx(distance)


@pytest.mark.parametrize(
    ("face", "lowest", "highest"),
    [
        ("+X", (100, -50, -30), (150, 70, 70)),
        ("-X", (-150, -50, -30), (-100, 70, 70)),
        ("+Y", (-50, 100, -30), (70, 150, 70)),
        ("-Z", (-50, -30, -150), (70, 70, -100)),
    ],
)
def test_a_unit_stands_on_its_panel_and_points_inwards(
    face: Face, lowest: tuple[float, ...], highest: tuple[float, ...]
) -> None:
    bay = Bay(parsed(cube()))
    place = Placement(face, 10.0, 20.0, rotated=False)
    occupied = occupied_box(bay.units[0], place, bay.body_mm)
    assert occupied.tolist() == [list(lowest), list(highest)]


def test_turning_a_unit_swaps_the_sides_of_its_footprint() -> None:
    bay = Bay(parsed(cube()))
    turned = occupied_box(bay.units[0], Placement("+X", 0.0, 0.0, rotated=True), bay.body_mm)
    assert (turned[1] - turned[0]).tolist() == [50, 100, 120]


def test_clearance_counts_walls_but_not_the_one_mounted_on() -> None:
    document = cube(components=[component("only")])
    document["limits"]["max_com_offset_mm"] = 1000
    bay = Bay(parsed(document))
    assert bay.min_clearance_mm((Placement("+X", 0.0, 0.0, rotated=False),)) == pytest.approx(90)
    assert bay.min_clearance_mm((Placement("+X", 70.0, 0.0, rotated=False),)) == pytest.approx(20)


def test_the_centre_of_mass_includes_the_structure() -> None:
    document = cube(components=[component("only", mass_kg=5)])
    document["body"]["structure_com_mm"] = [-10, 0, 0]
    document["limits"]["max_com_offset_mm"] = 1000
    bay = Bay(parsed(document))
    boxes = bay.boxes((Placement("+X", 30.0, 0.0, rotated=False),))
    expected = np.hypot((5 * 125 - 10 * 10) / 15, 5 * 30 / 15)
    assert bay.com_offset_mm(boxes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("layout", "complaint"),
    [
        ((Placement("+X", 90.0, 0.0, False), Placement("-X", 0.0, 0.0, False)), "battery does not"),
        ((Placement("+X", 0.0, 0.0, False), Placement("+X", 50.0, 0.0, False)), "clearance is -"),
        ((Placement("+X", 75.0, 0.0, False), Placement("+X", -75.0, 50.0, True)), "centre of mass"),
    ],
)
def test_each_broken_limit_is_named(layout: tuple[Placement, ...], complaint: str) -> None:
    document = cube(limits={"min_clearance_mm": 5, "max_com_offset_mm": 45})
    broken = Bay(parsed(document)).violations(layout)
    assert any(sentence.startswith(complaint) for sentence in broken), broken


def test_a_good_layout_breaks_nothing() -> None:
    good = (Placement("+X", 0.0, 0.0, rotated=False), Placement("-X", 0.0, 0.0, rotated=True))
    assert Bay(parsed(cube())).violations(good) == []
