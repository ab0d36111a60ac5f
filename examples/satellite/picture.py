"""Draws a layout as the unfolded body, seen from outside, coloured by temperature."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from examples.satellite.bom import Face
from examples.satellite.geometry import (
    IN_PLANE_AXES,
    Bay,
    FloatArray,
    Layout,
    Placement,
    footprint_mm,
)
from examples.satellite.thermal import ThermalState

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_WIDTH_PX = 1500
_MARGIN_PX = 36
_GAP_PX = 14
_TITLE_PX = 96
_LARGEST_PT, _SMALLEST_PT = 18, 9
_INK, _FAINT, _PAPER = (28, 32, 40), (126, 132, 144), (255, 255, 255)
_COLD_TO_HOT: tuple[Colour, ...] = (
    (36, 52, 118), (44, 108, 176), (84, 168, 196), (170, 214, 196),
    (246, 232, 160), (246, 176, 92), (222, 96, 60), (156, 28, 44),
)  # fmt: skip

# Right and up on the paper, as (body axis, direction); unfolded around +X, seen from outside.
_RIGHT_AND_UP: dict[Face, tuple[tuple[int, int], tuple[int, int]]] = {
    "-Y": ((0, 1), (2, 1)),
    "+X": ((1, 1), (2, 1)),
    "+Y": ((0, -1), (2, 1)),
    "-X": ((1, -1), (2, 1)),
    "+Z": ((1, 1), (0, -1)),
    "-Z": ((1, 1), (0, 1)),
}


@dataclass(frozen=True)
class _Sheet:
    """Where a panel lies on the paper."""

    face: Face
    left: float
    top: float
    width: float
    height: float
    scale: float
    """Pixels per millimetre."""

    def to_paper(self, u_mm: float, v_mm: float) -> tuple[float, float]:
        """Of a point on the panel."""
        (right_axis, right), (_, up) = _RIGHT_AND_UP[self.face]
        u_is_right = IN_PLANE_AXES[self.face][0] == right_axis
        across, along = (u_mm, v_mm) if u_is_right else (v_mm, u_mm)
        return (
            self.left + self.width / 2 + right * across * self.scale,
            self.top + self.height / 2 - up * along * self.scale,
        )


def draw_layout(bay: Bay, layout: Layout, thermal: ThermalState, title: str) -> bytes:
    """PNG, 1500 pixels wide: panels and units on one colour scale, in degrees Celsius."""
    sheets, height = _unfold(bay)
    image = Image.new("RGB", (_WIDTH_PX, height), _PAPER)
    draw = ImageDraw.Draw(image)
    scale = _TemperatureScale.spanning(thermal)
    for face, sheet in sheets.items():
        if face in thermal.panel_c:
            _draw_panel(image, sheet, thermal.panel_c[face], scale)
        _frame_panel(draw, sheet, open_side=face not in thermal.panel_c)
    for unit, place, celsius in zip(bay.units, layout, thermal.unit_c, strict=True):
        extent = footprint_mm(unit, place.rotated)
        _draw_unit(image, draw, sheets[place.face], place, extent, unit.name, float(celsius), scale)
    _draw_title(draw, bay, layout, thermal, title)
    _draw_legend(draw, scale, sheets["-X"], sheets["-Z"])
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


@dataclass(frozen=True)
class _TemperatureScale:
    low_c: float
    high_c: float

    @classmethod
    def spanning(cls, thermal: ThermalState) -> _TemperatureScale:
        """All temperatures of a layout, out to whole fives."""
        panels = list(thermal.panel_c.values())
        low = min([float(thermal.unit_c.min()), *(float(cells.min()) for cells in panels)])
        high = max([float(thermal.unit_c.max()), *(float(cells.max()) for cells in panels)])
        low, high = 5 * np.floor(low / 5), 5 * np.ceil(high / 5)
        return cls(float(low), float(max(high, low + 5)))

    def colours(self, celsius: FloatArray) -> FloatArray:
        """RGB, shape (…, 3)."""
        share = (np.asarray(celsius) - self.low_c) / (self.high_c - self.low_c)
        stops = np.linspace(0, 1, len(_COLD_TO_HOT))
        ramp = np.array(_COLD_TO_HOT, dtype=np.float64)
        return np.stack([np.interp(share, stops, ramp[:, band]) for band in range(3)], axis=-1)

    def colour(self, celsius: float) -> Colour:
        red, green, blue = (round(float(band)) for band in self.colours(np.array(celsius)))
        return red, green, blue


def _unfold(bay: Bay) -> tuple[dict[Face, _Sheet], int]:
    """A strip of four sides with the ends above and below +X, and the height of the picture."""
    x, y, z = bay.body_mm
    scale = (_WIDTH_PX - 2 * _MARGIN_PX - 3 * _GAP_PX) / (2 * x + 2 * y)
    strip_top = _TITLE_PX + x * scale + _GAP_PX
    sheets: dict[Face, _Sheet] = {}
    left = float(_MARGIN_PX)
    strip: tuple[tuple[Face, float], ...] = (("-Y", x), ("+X", y), ("+Y", x), ("-X", y))
    for face, width in strip:
        sheets[face] = _Sheet(face, left, strip_top, width * scale, z * scale, scale)
        left += width * scale + _GAP_PX
    centre = sheets["+X"]
    below = strip_top + z * scale + _GAP_PX
    sheets["+Z"] = _Sheet("+Z", centre.left, _TITLE_PX, y * scale, x * scale, scale)
    sheets["-Z"] = _Sheet("-Z", centre.left, below, y * scale, x * scale, scale)
    return sheets, round(below + x * scale + _MARGIN_PX)


def _draw_panel(
    image: Image.Image, sheet: _Sheet, celsius: FloatArray, scale: _TemperatureScale
) -> None:
    """Cells as smooth ground, paled so that the units stand out."""
    (right_axis, right), (_, up) = _RIGHT_AND_UP[sheet.face]
    u_is_right = IN_PLANE_AXES[sheet.face][0] == right_axis
    rows = celsius.T if u_is_right else celsius  # rows run along the paper's vertical
    rows = rows[:: -1 if up > 0 else 1, :: -1 if right < 0 else 1]
    paled = 255 - (255 - scale.colours(rows)) * 0.62
    ground = Image.fromarray(paled.round().astype(np.uint8))
    size = round(sheet.width), round(sheet.height)
    image.paste(
        ground.resize(size, Image.Resampling.BICUBIC), (round(sheet.left), round(sheet.top))
    )


def _frame_panel(draw: ImageDraw.ImageDraw, sheet: _Sheet, open_side: bool) -> None:
    corners = (sheet.left, sheet.top, sheet.left + sheet.width, sheet.top + sheet.height)
    draw.rectangle(corners, outline=_FAINT, width=1)
    label = f"{sheet.face} (open)" if open_side else sheet.face
    _halo_text(draw, (sheet.left + 7, sheet.top + 4), label, ImageFont.load_default(17))


def _halo_text(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, font: Font) -> None:
    draw.text(at, text, fill=_INK, font=font, stroke_width=2, stroke_fill=_PAPER)


def _draw_unit(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    sheet: _Sheet,
    place: Placement,
    extent_mm: tuple[float, float],
    name: str,
    celsius: float,
    scale: _TemperatureScale,
) -> None:
    half_u, half_v = extent_mm[0] / 2, extent_mm[1] / 2
    one = sheet.to_paper(place.u_mm - half_u, place.v_mm - half_v)
    other = sheet.to_paper(place.u_mm + half_u, place.v_mm + half_v)
    left, right = sorted((one[0], other[0]))
    top, bottom = sorted((one[1], other[1]))
    colour = scale.colour(celsius)
    draw.rounded_rectangle((left, top, right, bottom), 4, fill=colour, outline=_INK, width=2)
    ink = _INK if _luminance(colour) > 0.5 else _PAPER
    width, height = round(right - left), round(bottom - top)
    lettering = _lettering(name, f"{celsius:.1f} °C", width, height, ink)
    image.paste(lettering, (round(left), round(top)), lettering)


@dataclass(frozen=True)
class _Label:
    lines: list[str]
    size_pt: int
    spill_px: float
    """How far the longest line sticks out at this size; 0 when it fits."""

    @property
    def legibility(self) -> tuple[float, int]:
        return -self.spill_px, self.size_pt


def _lettering(name: str, figure: str, width: int, height: int, ink: Colour) -> Image.Image:
    """The label on clear ground, as large as it gets; on end where the box is too narrow."""
    upright, on_end = (
        max(
            (_fit([*lines, figure], *extent) for lines in _wrappings(name)),
            key=lambda label: label.legibility,
        )
        for extent in ((width, height), (height, width))
    )
    turned = on_end.spill_px < upright.spill_px or (
        on_end.spill_px == upright.spill_px and on_end.size_pt > upright.size_pt + 3
    )
    label, extent = (on_end, (height, width)) if turned else (upright, (width, height))
    ground = Image.new("RGBA", extent, (*ink, 0))
    ImageDraw.Draw(ground).multiline_text(
        (extent[0] / 2, extent[1] / 2),
        "\n".join(label.lines),
        fill=(*ink, 255),
        font=ImageFont.load_default(label.size_pt),
        anchor="mm",
        align="center",
        spacing=2,
    )
    return ground.transpose(Image.Transpose.ROTATE_90) if turned else ground


def _wrappings(name: str) -> list[list[str]]:
    """The name on one line, on two of about the same length, and with a line per word."""
    words = name.split(" ")
    halves = [[" ".join(words[:cut]), " ".join(words[cut:])] for cut in range(1, len(words))]
    balanced = sorted(halves, key=lambda pair: max(map(len, pair)))[:1]
    return [[name], *balanced, words]


def _fit(lines: list[str], width: int, height: int) -> _Label:
    """The lines in the largest size that fits, or spilling in the smallest."""
    spill = 0.0
    for size in range(_LARGEST_PT, _SMALLEST_PT - 1, -1):
        font = ImageFont.load_default(size)
        longest = max(font.getlength(line) for line in lines)
        spill = max(longest - (width - 8), len(lines) * size * 1.2 - (height - 4), 0.0)
        if spill == 0:
            return _Label(lines, size, spill)
    return _Label(lines, _SMALLEST_PT, spill)


def _luminance(colour: Colour) -> float:
    """Perceived lightness from 0 to 1 (Rec. 601 weights)."""
    red, green, blue = colour
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def _draw_title(
    draw: ImageDraw.ImageDraw, bay: Bay, layout: Layout, thermal: ThermalState, title: str
) -> None:
    figures = (
        f"hottest {thermal.max_temp_c:.1f} °C   ·   mean {thermal.mean_temp_c:.1f} °C   ·   "
        f"clearance {bay.min_clearance_mm(layout):.1f} mm   ·   "
        f"centre of mass off by {bay.com_offset_mm(bay.boxes(layout)):.1f} mm   ·   "
        f"{len(bay.units)} components, {sum(unit.heat_w for unit in bay.units):.0f} W"
    )
    draw.text((_MARGIN_PX, 22), title, fill=_INK, font=ImageFont.load_default(28))
    draw.text((_MARGIN_PX, 60), figures, fill=_FAINT, font=ImageFont.load_default(17))


def _draw_legend(
    draw: ImageDraw.ImageDraw, scale: _TemperatureScale, right: _Sheet, below: _Sheet
) -> None:
    """A colour bar in the free corner, bottom right."""
    width, height = 420, 22
    left = right.left + right.width - width
    top = below.top + below.height - 70
    for step in range(width):
        celsius = scale.low_c + (scale.high_c - scale.low_c) * step / (width - 1)
        x = left + step
        draw.line((x, top, x, top + height), fill=scale.colour(celsius))
    draw.rectangle((left, top, left + width, top + height), outline=_FAINT)
    font = ImageFont.load_default(15)
    pitch = 5 if scale.high_c - scale.low_c <= 50 else 10 * ceil((scale.high_c - scale.low_c) / 100)
    first = pitch * ceil(scale.low_c / pitch)
    for tick in range(first, round(scale.high_c) + 1, pitch):
        x = left + width * (tick - scale.low_c) / (scale.high_c - scale.low_c)
        draw.line((x, top + height, x, top + height + 5), fill=_FAINT)
        draw.text((x, top + height + 8), f"{tick}", fill=_INK, font=font, anchor="ma")
    note = "Temperature in °C; panels are shown paler than components"
    draw.text((left, top - 26), note, fill=_FAINT, font=font)
