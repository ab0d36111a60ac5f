from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from examples.satellite.bom_file import load_bom
from examples.satellite.geometry import Bay
from examples.satellite.picture import draw_layout
from examples.satellite.placing import random_layout
from examples.satellite.report import SHIPPED
from examples.satellite.thermal import ThermalModel
from tests.examples.satellite.boms import component, cube, parsed


@pytest.mark.parametrize("bom_file", SHIPPED)
def test_a_layout_is_drawn_as_png_the_same_each_time(bom_file: str) -> None:
    bay = Bay(load_bom(bom_file))
    layout = random_layout(bay, np.random.default_rng(0))
    thermal = ThermalModel(bay).solve(layout)
    png = draw_layout(bay, layout, thermal, "a title")
    assert png == draw_layout(bay, layout, thermal, "a title")
    with Image.open(BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.width == 1500


def test_names_that_fit_nowhere_and_open_sides_do_not_stop_the_picture() -> None:
    small = component("a name far longer than its component", size_mm=[4, 3, 5])
    document = cube(panels=[{"face": "-Y", "emissivity": 0.8}], components=[small])
    document["limits"]["max_com_offset_mm"] = 1000
    bay = Bay(parsed(document))
    layout = random_layout(bay, np.random.default_rng(0))
    assert draw_layout(bay, layout, ThermalModel(bay).solve(layout), "tiny")
