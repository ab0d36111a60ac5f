"""A server that a file's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server, left as it was found."""
    process = ServerProcess(tmp_path_factory.mktemp("shared") / "data")
    process.start()
    try:
        yield process
    finally:
        process.stop()
