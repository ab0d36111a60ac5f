"""What docs/how-to/producers.md says can be typed: each block is run, and answers what it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ROOT, ServerProcess

PAGE = (ROOT / "docs" / "how-to" / "producers.md").read_text(encoding="utf-8")
_BLOCKS = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _BLOCKS.findall(PAGE)
    (application,) = [text for language, text in blocks if language == "python"]
    (tmp_path / "studio.py").write_text(application)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    script = "\n".join(text for language, text in blocks if language == "bash")
    with ServerProcess(tmp_path / "data", app="studio:push") as server:
        # Each call in a line of its own: the answers end without a line break.
        script = f"""
            set -eu
            curl() {{ command curl "$@"; echo; }}
            {script.replace("localhost:8000", f"localhost:{server.port}")}
        """
        said = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert said.returncode == 0, said.stderr
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    shown = [
        json.loads(line)
        for language, text in blocks
        if language == "json"
        for line in text.splitlines()
    ]
    assert [_as_far_as(answer, page) for answer, page in zip(answers, shown, strict=True)] == shown


def _as_far_as(answer: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """The fields of the answer that the page shows."""
    return {name: answer.get(name) for name in shown}
