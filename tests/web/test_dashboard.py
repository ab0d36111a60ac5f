"""The dashboard's own checks and unit tests, and how much of it a browser loads at first."""

from __future__ import annotations

import gzip
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
    loaded = sum(len(gzip.compress((FOLDER / name).read_bytes())) for name in set(named))
    assert loaded < FIRST_LOAD_BYTES
    # A link to a task, which comes with its chart, is a first load too.
    whole = sum(len(gzip.compress(file.read_bytes())) for file in (FOLDER / "assets").iterdir())
    assert whole < FIRST_LOAD_BYTES
