"""The cycle collector of a server: rarer, but at work."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from taskpush import TaskPush
from taskpush.cli.serving.collecting import YOUNG_OBJECTS
from taskpush.settings import Settings
from tests.support.server import ServerProcess

PROBE = """
import gc, json, weakref
from taskpush.cli.serving.collecting import YOUNG_OBJECTS, collect_later, collect_rarely

class Knot:
    def __init__(self):
        self.itself = self

collect_later()
early = weakref.ref(Knot())
held = [[] for _ in range(2 * YOUNG_OBJECTS)]
waits = early() is not None
collect_rarely()
knot = weakref.ref(Knot())
held = [[] for _ in range(2 * YOUNG_OBJECTS)]
gone = knot() is None and early() is None
print(json.dumps({"waits": waits, "gone": gone, "frozen": gc.get_freeze_count()}))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as process:
        yield process


def test_what_was_made_before_is_set_aside_and_what_comes_after_is_collected() -> None:
    said = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, check=True, timeout=60
    )
    found = json.loads(said.stdout)
    assert found["waits"]
    assert found["gone"]
    assert found["frozen"] > 1000


def test_serve_collects_rarely(server: ServerProcess) -> None:
    task_id = server.create("collector")
    server.wait_over(task_id)
    result = server.log_of(task_id)[-1]["data"]["result"]
    assert result["threshold"] == YOUNG_OBJECTS
    assert result["frozen"] > 1000
    assert result["enabled"]


def test_an_application_that_embeds_us_keeps_its_own_settings() -> None:
    threshold, frozen = gc.get_threshold(), gc.get_freeze_count()
    with TestClient(TaskPush(settings=Settings(store="memory"))):
        assert gc.get_threshold() == threshold
        # What somebody else froze may be let go meanwhile.
        assert gc.get_freeze_count() <= frozen
