"""A fake server per test, and a real one that the folder shares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from taskpush.client import AsyncClient, Patience
from tests.client.fake_server import FakeServer, fake_server
from tests.support.proxy import SeverableLink, severable_link
from tests.support.server import ServerProcess


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with fake_server() as server:
        yield server


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("client") / "data") as process:
        yield process


@pytest.fixture
def impatient() -> Patience:
    """Gives a lost server up soon, so that tests of giving up are short."""
    return Patience(request_timeout_s=5, retry_for_s=0.4, reconnect_for_s=0.4)


@pytest.fixture
async def client(fake: FakeServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(fake.url) as client:
        yield client


@pytest.fixture
async def link(fake: FakeServer) -> AsyncIterator[SeverableLink]:
    async with severable_link(fake.port) as link:
        yield link
