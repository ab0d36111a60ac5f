from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from examples.satellite.bom_file import EXAMPLE_DIR, BomError, load_bom, parse_bom
from examples.satellite.report import SHIPPED
from examples.satellite.task import LayoutParams
from tests.examples.satellite.boms import FACES, Document, component, cube, parsed

Change = Callable[[Document], object]


@pytest.mark.parametrize(("bom_file", "units"), list(zip(SHIPPED, (5, 24), strict=True)))
def test_the_shipped_boms_load(bom_file: str, units: int) -> None:
    assert len(load_bom(bom_file).units()) == units


def radio(**changes: object) -> Change:
    return lambda document: document["components"][1].update(changes)


def limits(**changes: object) -> Change:
    return lambda document: document["limits"].update(changes)


BAD_BOMS: dict[str, tuple[Change, str]] = {
    "mass zero": (radio(mass_kg=0), "component 'radio': mass_kg: .*greater than 0.*got 0"),
    "mass negative": (radio(mass_kg=-1), "component 'radio': mass_kg: .*greater than 0"),
    "mass NaN": (radio(mass_kg=float("nan")), "component 'radio': mass_kg: .*finite"),
    "power infinite": (radio(power_w=float("inf")), "component 'radio': power_w: .*finite"),
    "power negative": (radio(power_w=-5), "component 'radio': power_w: .*got -5"),
    "size zero": (radio(size_mm=[1, 0, 1]), r"component 'radio': size_mm\[1\]: .*greater than 0"),
    "size of two": (radio(size_mm=[1, 1]), r"component 'radio': size_mm\[2\]: field required"),
    "size as text": (radio(size_mm="big"), "component 'radio': size_mm: .*tuple"),
    "mass as text": (radio(mass_kg="heavy"), "component 'radio': mass_kg: .*number"),
    "quantity zero": (radio(quantity=0), "component 'radio': quantity: .*got 0"),
    "unknown field": (radio(colour="red"), "component 'radio': colour: extra inputs"),
    "field missing": (
        lambda d: d["components"][1].pop("power_w"),
        "component 'radio': power_w: field required",
    ),
    "name missing": (lambda d: d["components"][1].pop("name"), "component 2: name: field required"),
    "name with control characters": (radio(name="a\nb"), "component 'a.b': name: .*pattern"),
    "component no object": (
        lambda d: d["components"].append(7),
        "component 3: input should be a valid dictionary",
    ),
    "duplicate name": (radio(name="battery"), "component 'battery' is listed twice"),
    "duplicate by quantity": (
        lambda d: d.update(components=[component("a", quantity=2), component("a-2")]),
        "component 'a-2' is listed twice",
    ),
    "no components": (lambda d: d.update(components=[]), "components: .*at least 1"),
    "duplicate panel": (lambda d: d["panels"].append(d["panels"][0]), "panels: .*at most 6"),
    "panel listed twice": (
        lambda d: d.update(panels=[{"face": "+X", "emissivity": 0.5}] * 2),
        r"panel '\+X' is listed twice",
    ),
    "unknown face": (lambda d: d["panels"][0].update(face="up"), "panel 'up': face: "),
    "emissivity zero": (
        lambda d: d["panels"][2].update(emissivity=0),
        r"panel '\+Y': emissivity: .*greater than 0",
    ),
    "too wide": (
        radio(size_mm=[290, 290, 50]),
        (r"component 'radio': 290 x 290 x 50 mm fits on no mountable panel "
        r"\(largest usable area 280 x 280 mm"),
    ),
    "too high": (radio(size_mm=[100, 100, 299]), "component 'radio': .*fits on no mountable panel"),
    "no mountable panel": (
        lambda d: [panel.update(mountable=False) for panel in d["panels"]],
        "no panel is mountable",
    ),
    "too much area": (radio(quantity=60), "the components need .* m2.*component 'radio'"),
    "too many units": (radio(quantity=100), "101 units, at most 100"),
    "too much volume": (
        radio(size_mm=[150, 100, 280], quantity=7),
        "the components fill .* m3, the body has only",
    ),
    "com limit zero": (limits(max_com_offset_mm=0), "limits.max_com_offset_mm: .*greater than 0"),
    "com out of reach": (
        limits(com_target_mm=[400, 0, 0]),
        "the centre of mass stays at least .* mm off its target.*'battery' with 4 kg",
    ),
    "clearance negative": (limits(min_clearance_mm=-1), "limits.min_clearance_mm: "),
    "no heat": (
        lambda d: [entry.update(power_w=0) for entry in d["components"]],
        "nothing dissipates or absorbs heat",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), list(BAD_BOMS.values()), ids=list(BAD_BOMS))
def test_a_bad_bom_is_refused_with_what_is_wrong_and_where(change: Change, message: str) -> None:
    document = cube()
    change(document)
    with pytest.raises(BomError, match=f"(?s){message}"):
        parsed(document)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", r"not JSON: .* \(line 1, column 1\)"),
        (b"{", "not JSON"),
        (b'{"name": "a",}', "not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[]", "valid dictionary"),
        (b"null", "valid dictionary"),
        (b"1" * 5000, "number that is too long"),
        (b'{"name": "x", "name": "y"}', "'name' is given twice"),
        (
            b'{"components": [{"name": "pump", "size_mm": [1], "mass_kg": 1, "mass_kg": 2}]}',
            "component 'pump': 'mass_kg' is given twice",
        ),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_text_that_is_no_bom_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(BomError, match=message):
        parse_bom(raw)


def test_many_problems_are_told_in_few_words() -> None:
    with pytest.raises(BomError) as caught:
        parsed(cube(components=[component(f"c{i}", mass_kg=-1) for i in range(50)]))
    assert "'c0'" in str(caught.value)
    assert str(caught.value).endswith("and 45 more")
    assert len(str(caught.value)) < 600


PATH_TRICKS = [
    "",
    ".",
    "..",
    "../satellite/config/bom_example.json",
    "config/../config/bom_example.json",
    "config/./bom_example.json",
    "config//bom_example.json",
    "config/bom_example.json/",
    "/etc/passwd",
    "/config/bom_example.json",
    str(EXAMPLE_DIR / "config" / "bom_example.json"),
    "~/bom_example.json",
    "C:/bom_example.json",
    "C:\\bom_example.json",
    "config\\bom_example.json",
    "..\\..\\secret.json",
    "file:///etc/passwd",
    "config/bom_example.json\x00",
    "config/bom\x00_example.json",
    "config/bom_example.json\n",
    "\x1b[31m.json",
    "config/\u202egnp.json",
    "config/\ud800.json",
    "config/" + "a" * 300 + ".json",
    "a/" * 90 + "b.json",
    "config",
    "config/missing.json",
    "config/bom_example.JSON",
    "task.py",
    "%2e%2e/bom.json",
    "config/bom_example.json/more.json",
]


@pytest.mark.parametrize("bom_file", PATH_TRICKS, ids=ascii)
def test_a_path_trick_is_refused_and_tells_nothing(bom_file: str) -> None:
    with pytest.raises(BomError) as caught:
        load_bom(bom_file)
    inside = str(caught.value).replace(repr(bom_file), "").replace(repr(bom_file[:200]), "")
    assert str(EXAMPLE_DIR) not in inside
    assert str(EXAMPLE_DIR.parent) not in inside
    with pytest.raises(ValidationError, match="bom_file"):
        LayoutParams(bom_file=bom_file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An example folder with a good BOM, beside a good BOM outside it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in (inside / "good.json", tmp_path / "outside.json"):
        path.write_text(json.dumps(cube()))
    return inside


def test_a_link_that_stays_inside_is_followed(folder: Path) -> None:
    (folder / "link.json").symlink_to(folder / "good.json")
    assert load_bom("link.json", folder).name == "cube"


@pytest.mark.parametrize("target", ["../outside.json", "/etc/passwd", "/dev/zero"])
def test_a_link_that_leads_out_is_refused(folder: Path, target: str) -> None:
    (folder / "link.json").symlink_to(target)
    with pytest.raises(BomError, match="leads out of the example's folder"):
        load_bom("link.json", folder)


def test_a_linked_folder_that_leads_out_is_refused(folder: Path) -> None:
    (folder / "config").symlink_to(folder.parent)
    with pytest.raises(BomError, match="leads out of the example's folder"):
        load_bom("config/outside.json", folder)


def test_a_sibling_whose_name_begins_alike_is_outside(folder: Path) -> None:
    sibling = folder.with_name("inside-too")
    sibling.mkdir()
    (sibling / "bom.json").write_text(json.dumps(cube()))
    (folder / "link.json").symlink_to(sibling / "bom.json")
    with pytest.raises(BomError, match="leads out of the example's folder"):
        load_bom("link.json", folder)


def test_a_loop_of_links_is_refused(folder: Path) -> None:
    (folder / "a.json").symlink_to(folder / "b.json")
    (folder / "b.json").symlink_to(folder / "a.json")
    with pytest.raises(BomError, match=r"'a\.json' cannot be read"):
        load_bom("a.json", folder)


def test_what_is_not_a_file_is_refused_without_being_opened(folder: Path) -> None:
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    for name in ("folder.json", "pipe.json"):
        with pytest.raises(BomError, match="is not a file"):
            load_bom(name, folder)


def test_a_huge_file_is_refused(folder: Path) -> None:
    (folder / "huge.json").write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(BomError, match="larger than"):
        load_bom("huge.json", folder)


def test_params_have_the_documented_defaults() -> None:
    params = LayoutParams()
    assert (params.bom_file, params.max_iterations, params.seed) == (
        "config/bom_example.json", 20, 0,
    )  # fmt: skip


@pytest.mark.parametrize("changes", [{"max_iterations": 0}, {"max_iterations": 2001}, {"seed": -1}])
def test_params_out_of_range_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        LayoutParams.model_validate(changes)


def test_one_panel_is_enough() -> None:
    document = cube(panels=[{"face": FACES[0], "emissivity": 0.8}])
    document["limits"]["max_com_offset_mm"] = 1000
    assert parsed(document).mountable_faces() == ("+X",)
