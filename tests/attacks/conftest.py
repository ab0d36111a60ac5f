"""One server that is attacked by all, and one bystander whom none of it may touch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
import requests

from tests.attacks.bystander import Bystander
from tests.support.server import ServerProcess

MAX_GAP_S: Final = 1.0
MAX_GROWTH_BYTES: Final = 10_000_000


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    # Every refusal is logged here, since it is counted how many there are.
    settings = {"log_refusals_per_min": "0"}
    data = tmp_path_factory.mktemp("attacked") / "data"
    with ServerProcess(data, settings=settings) as process:
        # What a server loads at its first requests is not what an attack costs.
        for path in ("/docs", "/openapi.json", "/api/tasks", "/api/stats", "/api/queue"):
            requests.get(process.url + path, timeout=10)
        for kind in ("iterate", "awkward", "files"):
            process.wait_over(process.create(kind))
        yield process


@pytest.fixture(scope="package")
def bystander(server: ServerProcess) -> Iterator[Bystander]:
    with Bystander(server) as watching:
        yield watching


class Attack:
    """One test's attack, and what the server may say meanwhile."""

    def __init__(self, server: ServerProcess, bystander: Bystander) -> None:
        self.lines = 1
        self.growth_bytes = MAX_GROWTH_BYTES
        self._server = server
        self._bystander = bystander
        self.begins()

    def begins(self) -> None:
        """What was before does not count."""
        self._bystander.begin()
        self._said_before = len(self._server.log)
        self._rss_before = self._server.rss_bytes

    def was_nothing_to_others(self) -> None:
        """Events went on, a line was said at most, no traceback, and no memory was lost."""
        self._bystander.next_event()
        assert self._bystander.longest_gap_s < MAX_GAP_S
        said = self._server.log[self._said_before :]
        assert "Traceback" not in said
        lines = [line for line in said.splitlines() if " taskpush: task." not in line]
        assert len(lines) <= self.lines, lines
        assert self._bystander.peak_bytes - self._rss_before < self.growth_bytes


@pytest.fixture(autouse=True)
def attack(server: ServerProcess, bystander: Bystander) -> Iterator[Attack]:
    """Measures what every test here does to the server and to those it serves."""
    measured = Attack(server, bystander)
    yield measured
    measured.was_nothing_to_others()
