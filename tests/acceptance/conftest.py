"""Real server processes for the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import ServerProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server of the test's own, which it may kill."""
    process = ServerProcess(tmp_path / "data")
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that the module's tests share, and leave as they found it."""
    process = ServerProcess(tmp_path_factory.mktemp("shared") / "data")
    process.start()
    try:
        yield process
    finally:
        process.stop()
