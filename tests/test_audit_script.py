"""`make audit` finds a planted package or says that nobody can tell: never "clean" unasked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]


def _audit(requirements: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "audit", requirements],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=280,
        check=False,
    )


def test_a_planted_vulnerable_package_is_found_where_advisories_can_be_reached(
    tmp_path: Path,
) -> None:
    planted = tmp_path / "requirements.txt"
    planted.write_text("jinja2==2.10\n")  # CVE-2019-10906 and others.
    said = _audit(planted)
    if said.returncode == 2:
        assert "no advisories can be reached" in said.stderr
        assert "No known vulnerabilities" not in said.stdout + said.stderr
    else:
        assert said.returncode == 1, said.stderr
        assert "jinja2" in said.stdout


def test_where_no_advisories_can_be_reached_the_audit_fails_and_says_so(tmp_path: Path) -> None:
    harmless = tmp_path / "requirements.txt"
    harmless.write_text("six==1.17.0\n")
    nowhere = "http://127.0.0.1:9"
    said = _audit(harmless, HTTPS_PROXY=nowhere, https_proxy=nowhere)
    assert said.returncode == 2, said.stdout
    assert said.stderr.endswith("Nothing was audited.\n")
    assert said.stdout == ""
