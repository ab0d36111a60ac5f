"""The types of web/client are made of the models."""

from __future__ import annotations

import subprocess

from tests.support.server import ROOT


def test_its_types_are_what_the_models_say() -> None:
    done = subprocess.run(
        ["scripts/client-types", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
