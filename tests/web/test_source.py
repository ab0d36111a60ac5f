"""The package's own checks and unit tests."""

from __future__ import annotations

from tests.web.package import BIOME, TSC, run_node


def test_it_keeps_to_the_types_in_strict_mode() -> None:
    run_node(TSC, "--noEmit")


def test_it_keeps_to_the_format_and_the_lint_rules() -> None:
    run_node(BIOME, "ci", "--error-on-warnings", ".")


def test_its_unit_tests_pass() -> None:
    run_node("--test", "tests/**/*.test.ts")
