"""Small BOMs for these tests, as the JSON documents they are written in."""

from __future__ import annotations

import json
from typing import Any

from examples.satellite.bom import Bom
from examples.satellite.bom_file import parse_bom

Document = dict[str, Any]

FACES = ("+X", "-X", "+Y", "-Y", "+Z", "-Z")


def cube(**changes: Any) -> Document:
    """Two boxes in a cube of 300 mm with six equal panels; `changes` replace top-level keys."""
    document: Document = {
        "name": "cube",
        "body": {"size_mm": [300, 300, 300], "structure_mass_kg": 10},
        "panels": [{"face": face, "emissivity": 0.8} for face in FACES],
        "components": [component("battery", mass_kg=4), component("radio", power_w=30)],
        "limits": {"min_clearance_mm": 5, "max_com_offset_mm": 60},
        "margins": {"edge_mm": 10},
    }
    return {**document, **changes}


def component(name: str, **changes: Any) -> Document:
    """A box of 120 x 100 x 50 mm."""
    return {"name": name, "size_mm": [120, 100, 50], "mass_kg": 2, "power_w": 10, **changes}


def parsed(document: Document) -> Bom:
    return parse_bom(json.dumps(document).encode())


def lone_panel(power_w: float, emissivity: float = 0.8, contact_w_m2k: float = 200) -> Bom:
    """One panel of 400 x 300 mm, wholly covered by one unit, no radiation inside."""
    return parsed(
        cube(
            body={"size_mm": [400, 300, 200], "structure_mass_kg": 0, "interior_emissivity": 0},
            panels=[{"face": "+Z", "emissivity": emissivity}],
            components=[
                component(
                    "plate",
                    size_mm=[400, 300, 20],
                    power_w=power_w,
                    contact_conductance_w_m2k=contact_w_m2k,
                )
            ],
            limits={"min_clearance_mm": 0, "max_com_offset_mm": 1000},
            margins={},
        )
    )
