"""The bill of materials: what has to be placed, on which panels, within which limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Face = Literal["+X", "-X", "+Y", "-Y", "+Z", "-Z"]
"""One side of the body, named by its outward normal."""

Name = Annotated[str, Field(pattern=r"^[\w.+#()/-]([\w .+#()/-]{0,38}[\w.+#()/-])?$")]
LengthMm = Annotated[float, Field(gt=0, le=10_000)]
CoordinateMm = Annotated[float, Field(ge=-10_000, le=10_000)]

MAX_UNITS = 100


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Component(_Record):
    """A type of box; `quantity` of them are placed, each as a unit of its own."""

    name: Name
    size_mm: tuple[LengthMm, LengthMm, LengthMm]
    """Width and depth of the mounting face, then the height above the panel."""
    mass_kg: float = Field(gt=0, le=10_000)
    power_w: float = Field(ge=0, le=10_000)
    """Dissipated heat of one unit, without the design margin."""
    quantity: int = Field(default=1, ge=1, le=MAX_UNITS)
    contact_conductance_w_m2k: float = Field(default=300.0, ge=1, le=100_000)
    """Interface between mounting face and panel (Gilmore, ch. 8: bolted joints, fillers)."""


class Panel(_Record):
    """A honeycomb panel that closes one whole side of the body."""

    face: Face
    mountable: bool = True
    facesheet_thickness_mm: float = Field(default=0.5, gt=0, le=50)
    facesheet_conductivity_w_mk: float = Field(default=130.0, gt=0, le=5_000)
    emissivity: float = Field(gt=0, le=1)
    """Infrared emissivity of the outside; for a blanket, its effective emissivity."""
    absorbed_flux_w_m2: float = Field(default=0.0, ge=0, le=10_000)
    """Orbit mean of what the outside absorbs: sun, albedo and planet together."""


class Body(_Record):
    """The inside of the box-shaped body, its centre at the origin."""

    size_mm: tuple[LengthMm, LengthMm, LengthMm]
    """Along X, Y and Z."""
    structure_mass_kg: float = Field(ge=0, le=100_000)
    structure_com_mm: tuple[CoordinateMm, CoordinateMm, CoordinateMm] = (0.0, 0.0, 0.0)
    joint_conductance_w_mk: float = Field(default=5.0, ge=0, le=10_000)
    """Conductance of the joint between two panels, per metre of common edge."""
    interior_emissivity: float = Field(default=0.8, ge=0, le=1)
    """Of panel insides and boxes alike; 0 switches radiation inside the body off."""


class Limits(_Record):
    """What every layout has to keep."""

    min_clearance_mm: float = Field(ge=0, le=10_000)
    """Between two boxes, and between a box and any wall it is not mounted on."""
    max_com_offset_mm: float = Field(gt=0, le=10_000)
    com_target_mm: tuple[CoordinateMm, CoordinateMm, CoordinateMm] = (0.0, 0.0, 0.0)


class Margins(_Record):
    """Reserves of the design."""

    edge_mm: float = Field(default=0.0, ge=0, le=10_000)
    """Strip along the edges of every panel that is kept free."""
    power_percent: float = Field(default=0.0, ge=0, le=200)
    """Added to the dissipated heat of every unit."""


class Unit(_Record):
    """One box to be placed."""

    name: str
    size_mm: tuple[float, float, float]
    mass_kg: float
    heat_w: float
    """Dissipated heat with the design margin."""
    contact_conductance_w_m2k: float


class Bom(_Record):
    """A satellite body, its panels and the components that have to fit inside."""

    name: Name
    body: Body
    panels: tuple[Panel, ...] = Field(min_length=1, max_length=6)
    components: tuple[Component, ...] = Field(min_length=1, max_length=MAX_UNITS)
    limits: Limits
    margins: Margins = Margins()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _refuse_repeated("panel", [panel.face for panel in self.panels])
        _refuse_repeated("component", [component.name for component in self.components])
        _refuse_repeated("component", [unit.name for unit in self.units()])
        return self

    def units(self) -> tuple[Unit, ...]:
        """Every box in BOM order; several of one component are called name-1, name-2, …"""
        return tuple(
            Unit(
                name=component.name if component.quantity == 1 else f"{component.name}-{number}",
                size_mm=component.size_mm,
                mass_kg=component.mass_kg,
                heat_w=component.power_w * (1 + self.margins.power_percent / 100),
                contact_conductance_w_m2k=component.contact_conductance_w_m2k,
            )
            for component in self.components
            for number in range(1, component.quantity + 1)
        )

    def mountable_faces(self) -> tuple[Face, ...]:
        return tuple(panel.face for panel in self.panels if panel.mountable)


def _refuse_repeated(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} '{name}' is listed twice")
        seen.add(name)
