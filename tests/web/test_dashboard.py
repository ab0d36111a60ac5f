"""The dashboard's own checks and unit tests, and how much of it a browser loads at first."""

from __future__ import annotations

import re

from taskpush.api.dashboard import FOLDER
from tests.support.server import ROOT
from tests.web.package import BIOME, PACKAGE, TSC, run_node

DASHBOARD = ROOT / "web/dashboard"
FIRST_LOAD_BYTES = 250_000


def test_it_keeps_to_the_types_in_strict_mode() -> None:
    run_node(PACKAGE / TSC, "--noEmit", cwd=DASHBOARD)


def test_it_keeps_to_the_format_and_the_lint_rules() -> None:
    run_node(PACKAGE / BIOME, "ci", "--error-on-warnings", ".", cwd=DASHBOARD)


def test_its_unit_tests_pass() -> None:
    run_node("--test", "tests/**/*.test.ts", cwd=DASHBOARD)


def test_a_first_load_is_small() -> None:
    page = (FOLDER / "index.html").read_text()
    named = re.findall(r'"\./(assets/[^"]+)"', page)
    assert any(name.endswith(".js") for name in named)
    assert any(name.endswith(".css") for name in named)
    # As they travel; see api/assets.py.
    loaded = sum((FOLDER / f"{name}.gz").stat().st_size for name in set(named))
    # A link to a task, which comes with its chart, is a first load too.
    whole = sum(file.stat().st_size for file in (FOLDER / "assets").glob("*.gz"))
    print(f"gzip: {loaded / 1000:.0f} kB at first, {whole / 1000:.0f} kB with every page")
    assert 0 < loaded < whole < FIRST_LOAD_BYTES
