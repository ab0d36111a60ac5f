from __future__ import annotations

import numpy as np
import pytest

from examples.satellite.bom_file import load_bom
from examples.satellite.geometry import Bay
from examples.satellite.placing import PlacementError, random_layout
from examples.satellite.report import SHIPPED
from tests.examples.satellite.boms import component, cube, parsed


@pytest.mark.parametrize("bom_file", SHIPPED)
def test_random_layouts_keep_every_limit_and_differ(bom_file: str) -> None:
    bay = Bay(load_bom(bom_file))
    rng = np.random.default_rng(0)
    layouts = [random_layout(bay, rng) for _ in range(100)]
    assert [broken for layout in layouts for broken in bay.violations(layout)] == []
    assert len(set(layouts)) == 100


def test_a_tight_balance_is_found_by_moving_units() -> None:
    pair = [component("left", mass_kg=4), component("right", mass_kg=4)]
    document = cube(components=pair, limits={"min_clearance_mm": 5, "max_com_offset_mm": 1})
    bay = Bay(parsed(document))
    assert bay.violations(random_layout(bay, np.random.default_rng(0))) == []


def test_a_unit_that_finds_no_place_is_named() -> None:
    """Each fits by itself and all by area, but two plates of 200 mm share no panel of 280 mm."""
    plate = component("plate", size_mm=[200, 200, 90], quantity=7)
    bay = Bay(parsed(cube(components=[plate])))
    with pytest.raises(PlacementError, match=r"component 'plate-[1-7]' found no free place"):
        random_layout(bay, np.random.default_rng(0))


def test_a_balance_that_is_not_found_says_how_near_it_came() -> None:
    """One heavy box on either of two opposite panels is never in the middle."""
    document = cube(components=[component("rock", mass_kg=500)])
    document["limits"]["max_com_offset_mm"] = 20
    bay = Bay(parsed(document))
    with pytest.raises(PlacementError, match=r"within 20 mm of its target; the nearest was 1\d\d"):
        random_layout(bay, np.random.default_rng(0))
