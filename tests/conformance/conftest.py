"""The application's whole stack: by `taskpush serve`, and under other servers as they come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.peer import Peer
from tests.support.server import PLAIN_SERVERS, ServerProcess


@pytest.fixture(scope="session", params=[None, *PLAIN_SERVERS], ids=lambda by: by or "serve")
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server that all tests share; none leaves anything behind."""
    data = tmp_path_factory.mktemp("door") / "data"
    # Every refusal is logged here, since it is counted how many there are.
    settings = {"log_refusals_per_min": "0"}
    with ServerProcess(data, plain_asgi=request.param, settings=settings) as server:
        yield server
        assert "Traceback" not in server.log, server.log


@pytest.fixture
def peer(door: ServerProcess) -> Peer:
    """Nothing but requests to that server."""
    return Peer(door.port)
