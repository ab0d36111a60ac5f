"""Fixtures for the runner."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.runner.workbench import Workbench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    workbench = Workbench(tmp_path)
    await workbench.open()
    yield workbench
    await workbench.close()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the latest when the test is over, so that no thread waits for ever."""
    event = threading.Event()
    yield event
    event.set()
