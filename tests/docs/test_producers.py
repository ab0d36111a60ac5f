"""What docs/how-to/producers.md says can be typed: each block is run, and answers what it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from taskpush.ids import new_task_id
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


def test_the_python_program_can_be_run(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        ran = subprocess.run(
            [sys.executable, "-c", program(PAGE, "render.py"), server.url],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        (task,) = server.call("GET", "/api/tasks?kind=render")[1]["items"]
    assert (task["status"], task["title"]) == ("completed", "Harbour")


class InPlace:
    """Stands for a Celery application: its tasks are plain functions that get a request."""

    def __init__(self, _name: str, *, broker: str) -> None:
        self.broker = broker

    def task(self, *, bind: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        assert bind
        return lambda function: function


def test_a_celery_worker_takes_up_the_task_that_was_created_under_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "how-to" / "celery.md").read_text(encoding="utf-8")
    (tmp_path / "studio.py").write_text(program(page, "studio.py"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.setitem(sys.modules, "celery", SimpleNamespace(Celery=InPlace))
    worker: dict[str, Any] = {"__name__": "worker"}
    exec(program(page, "worker.py"), worker)  # noqa: S102 - the page's own
    with ServerProcess(tmp_path / "data", app="studio:push") as server:
        worker["SERVER"] = server.url
        task_id = new_task_id()
        body = {"kind": "thumbnail", "params": {"path": "a.png"}, "task_id": task_id}
        assert server.call("POST", "/api/tasks", body)[0] == 201
        request = SimpleNamespace(request=SimpleNamespace(id=task_id))
        assert worker["make_thumbnail"](request, "a.png") == {"tiles": 4}
        assert server.call("GET", f"/api/tasks/{task_id}/result")[1]["result"] == {"tiles": 4}
        log = [it["data"] for it in server.log_of(task_id) if it["event_type"] == "log"]
        assert [line["message"] for line in log] == [f"tile {n} of a.png" for n in range(1, 5)]


def program(page: str, name: str) -> str:
    """The page's block that is called so."""
    (found,) = re.findall(rf"^```python file={name}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(found)
