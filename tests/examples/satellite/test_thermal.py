from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from examples.satellite.bom import Bom
from examples.satellite.bom_file import load_bom
from examples.satellite.geometry import Bay, Placement
from examples.satellite.placing import random_layout
from examples.satellite.report import SHIPPED
from examples.satellite.thermal import (
    STEFAN_BOLTZMANN_W_M2K4,
    ZERO_CELSIUS_K,
    ThermalModel,
    ThermalState,
)
from tests.examples.satellite.boms import FACES, component, cube, lone_panel, parsed

MIDDLE_OF_Z = (Placement("+Z", 0.0, 0.0, rotated=False),)
OPPOSITE = (Placement("+X", 0.0, 0.0, rotated=False), Placement("-X", 0.0, 0.0, rotated=False))


def solved(bom: Bom, layout: tuple[Placement, ...]) -> ThermalState:
    return ThermalModel(Bay(bom)).solve(layout)


@pytest.mark.parametrize("power_w", [1.0, 20.0, 150.0])
def test_a_panel_covered_by_one_unit_has_the_analytic_temperatures(power_w: float) -> None:
    emissivity, area_m2, contact = 0.8, 0.12, 200.0
    thermal = solved(lone_panel(power_w, emissivity, contact), MIDDLE_OF_Z)
    panel_k = (power_w / (emissivity * STEFAN_BOLTZMANN_W_M2K4 * area_m2)) ** 0.25
    unit_k = panel_k + power_w / (contact * area_m2)
    assert thermal.panel_c["+Z"] == pytest.approx(panel_k - ZERO_CELSIUS_K, abs=1e-8)
    assert thermal.max_temp_c == pytest.approx(unit_k - ZERO_CELSIUS_K, abs=1e-8)


def test_an_absorbing_panel_without_a_load_is_in_radiative_equilibrium() -> None:
    flux = 300.0
    panels = [{"face": "+Z", "emissivity": 0.5, "absorbed_flux_w_m2": flux}]
    document = cube(panels=panels, components=[component("idle", power_w=0)])
    document["limits"]["max_com_offset_mm"] = 1000
    thermal = solved(parsed(document), MIDDLE_OF_Z)
    expected = (flux / (0.5 * STEFAN_BOLTZMANN_W_M2K4)) ** 0.25 - ZERO_CELSIUS_K
    assert thermal.panel_c["+Z"] == pytest.approx(expected, abs=1e-6)
    assert thermal.max_temp_c == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bom_file", SHIPPED)
def test_what_is_put_in_is_radiated(bom_file: str) -> None:
    bay = Bay(load_bom(bom_file))
    model = ThermalModel(bay)
    rng = np.random.default_rng(3)
    for _ in range(10):
        thermal = model.solve(random_layout(bay, rng))
        assert thermal.radiated_w == pytest.approx(thermal.heat_w, rel=1e-10)
        assert thermal.heat_w > sum(unit.heat_w for unit in bay.units)


def test_the_power_margin_is_part_of_the_heat() -> None:
    plain = solved(parsed(cube()), OPPOSITE)
    margin = solved(parsed(cube(margins={"power_percent": 25})), OPPOSITE)
    assert margin.heat_w == pytest.approx(1.25 * plain.heat_w)


@pytest.mark.parametrize("index", [0, 1])
def test_more_power_in_one_unit_makes_everything_hotter(index: int) -> None:
    document = cube()
    before = solved(parsed(document), OPPOSITE)
    document["components"][index]["power_w"] += 5
    after = solved(parsed(document), OPPOSITE)
    assert (after.unit_c > before.unit_c).all()
    assert all((after.panel_c[face] > before.panel_c[face]).all() for face in after.panel_c)


@pytest.mark.parametrize("face", FACES)
def test_a_better_radiator_on_any_side_makes_everything_colder(face: str) -> None:
    def with_emissivity(value: float) -> ThermalState:
        panels = [{"face": f, "emissivity": value if f == face else 0.4} for f in FACES]
        return solved(parsed(cube(panels=panels)), OPPOSITE)

    assert (with_emissivity(0.9).unit_c < with_emissivity(0.4).unit_c).all()


@pytest.mark.parametrize(
    ("where", "key", "worse", "better"),
    [
        ("panels", "facesheet_thickness_mm", 0.2, 2.0),
        ("panels", "absorbed_flux_w_m2", 200, 0),
        ("components", "contact_conductance_w_m2k", 50, 1000),
        ("body", "joint_conductance_w_mk", 0, 50),
        ("body", "interior_emissivity", 0, 0.9),
    ],
)
def test_a_better_path_cools_the_hottest_unit(
    where: str, key: str, worse: float, better: float
) -> None:
    def with_value(value: float) -> float:
        document: dict[str, Any] = cube()
        owners = document[where] if isinstance(document[where], list) else [document[where]]
        for owner in owners:
            owner[key] = value
        return solved(parsed(document), OPPOSITE).max_temp_c

    assert with_value(better) < with_value(worse)


def test_a_hot_neighbour_warms_more_than_a_distant_one() -> None:
    bom = parsed(cube(components=[component("idle", power_w=0), component("hot", power_w=40)]))
    idle = Placement("+X", -80.0, 0.0, rotated=True)
    near = solved(bom, (idle, Placement("+X", 60.0, 0.0, rotated=True)))
    far = solved(bom, (idle, Placement("-X", 60.0, 0.0, rotated=True)))
    assert near.unit_c[0] > far.unit_c[0]


@pytest.mark.parametrize(("hot", "cold"), [("+X", "-X"), ("+Y", "-Y"), ("+Z", "-Z")])
def test_no_side_of_a_symmetric_body_is_special(hot: str, cold: str) -> None:
    document = cube(components=[component("cube", size_mm=[100, 100, 100])])
    document["limits"]["max_com_offset_mm"] = 1000
    bom = parsed(document)
    reference = solved(bom, MIDDLE_OF_Z)
    for face in (hot, cold):
        thermal = solved(bom, (Placement(face, 0.0, 0.0, rotated=False),))  # type: ignore[arg-type]  # a str that is a face
        assert thermal.max_temp_c == pytest.approx(reference.max_temp_c, abs=1e-8)


def test_panels_that_meet_share_heat_along_their_own_edge() -> None:
    """A source near +Y on the panel +X warms the panel +Y first, and there its +X end."""
    document = cube(components=[component("hot", size_mm=[60, 60, 40], power_w=40)])
    document["body"]["interior_emissivity"] = 0
    document["limits"]["max_com_offset_mm"] = 1000
    thermal = solved(parsed(document), (Placement("+X", 100.0, 0.0, rotated=False),))
    means = {face: float(cells.mean()) for face, cells in thermal.panel_c.items()}
    assert means["+Y"] > max(means[face] for face in ("-X", "-Y", "+Z", "-Z"))
    along_x = thermal.panel_c["+Y"].mean(axis=1)
    assert (np.diff(along_x) > 0).all()


def test_a_finer_mesh_agrees_with_the_working_one() -> None:
    bay = Bay(load_bom("config/bom_example.json"))
    layout = random_layout(bay, np.random.default_rng(0))
    working = ThermalModel(bay).solve(layout).unit_c
    fine = ThermalModel(bay, 28).solve(layout).unit_c
    assert np.abs(working - fine).max() < 2.0
