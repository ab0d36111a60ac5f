"""Real server processes for the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.issuer import Issuer
from tests.support.keys import Keys
from tests.support.server import ServerProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server of the test's own, which it may kill."""
    with ServerProcess(tmp_path / "data") as process:
        yield process


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that the module's tests share, and leave as they found it."""
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as process:
        yield process


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server that a module's tests share keeps what it has."""
    return tmp_path_factory.mktemp("shared") / "data"


@pytest.fixture(scope="module")
def keys(data: Path) -> Keys:
    return Keys(data)


@pytest.fixture(scope="module")
def ann(keys: Keys) -> str:
    return keys.make("ann")


@pytest.fixture(scope="module")
def keyed_server(data: Path, ann: str) -> Iterator[ServerProcess]:
    """A server with API keys, that the module's tests share."""
    with ServerProcess(data) as process:
        yield process


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def guarded_server(data: Path, ann: str, issuer: Issuer) -> Iterator[ServerProcess]:
    """A server with API keys and an issuer's tokens, that the module's tests share."""
    with ServerProcess(data, settings=issuer.settings) as process:
        yield process
