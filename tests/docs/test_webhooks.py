"""What docs/how-to/webhooks.md says can be typed: it is, and its receiver takes the events."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.docs.page import Page, Shell
from tests.support.server import START_WITHIN_S, ServerProcess, free_port

_APPLICATION = """
from typing import Any

from taskpush import TaskContext, TaskPush, Webhook
from pydantic import BaseModel

push = TaskPush()
LayoutResult = Any


class LayoutParams(BaseModel):
    bom_file: str

"""


def test_the_page_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("docs/how-to/webhooks.md")
    shell = Shell(tmp_path)
    port = free_port()
    address = f"http://127.0.0.1:{port}/taskpush"
    application = _APPLICATION + page.block("python", "@push.task").text
    (tmp_path / "studio.py").write_text(
        application.replace("https://hooks.example.org/taskpush", address)
    )
    (tmp_path / "hook.py").write_text(page.block("python", "FastAPI").text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asked = page.block("bash", "/api/tasks -H").text
    listing = page.block("bash", "$TASK_ID/webhooks\n").text
    again = page.block("bash", "redeliver").text
    (show,) = page.block("bash", "webhooks secret").commands
    change = page.block("bash", "rotate").commands
    assert "--webhook-allow" in page.block("bash", "serve").text
    assert page.left == []
    settings = {"webhook_allow": "127.0.0.1", "webhook_waits": "0.1s,0.1s,0.2s,0.4s,1s,2s,4s"}
    with ServerProcess(tmp_path / "data", app="studio:push", settings=settings) as server:
        shell.env["TASKPUSH_DATA"] = str(server.data)
        secret = shell.type(show).strip()
        shell.env["TASKPUSH_WEBHOOK_SECRET"] = secret
        hook = shell.start(f"python -m uvicorn hook:app --port {port} --log-level warning")
        try:
            here = asked.replace("https://hooks.example.org/taskpush", address)
            here = here.replace("localhost:8000", f"127.0.0.1:{server.port}")
            task_id = json.loads(shell.type(here))["task_id"]
            assert hook.stdout is not None
            # Of the kind's webhook and the task's own, which are one address: known by its id.
            assert hook.stdout.readline() == f"{task_id} completed\n"
            shell.env["TASK_ID"] = task_id
            listing = listing.replace("localhost:8000", f"127.0.0.1:{server.port}")
            deadline = time.monotonic() + START_WITHIN_S
            while True:
                shown = json.loads(shell.type(listing))["items"]
                outcomes = [[it["outcome"] for it in each["deliveries"]] for each in shown]
                if outcomes == [["taken"] * 3] * 2:
                    break
                assert time.monotonic() < deadline, shown
                time.sleep(0.05)  # Another process: there is nothing to await but its answer.
            again = again.replace("localhost:8000", f"127.0.0.1:{server.port}")
            assert len(json.loads(shell.type(again))["items"]) == 2
            for command in change:
                shell.type(command)
            assert shell.type(show).strip() != secret
        finally:
            hook.terminate()
            hook.communicate(timeout=30)
