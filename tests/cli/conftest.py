"""The commands in this process, against a fake server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from taskpush.cli.commands import app
from tests.client.fake_server import FakeServer, fake_server


class Ran:
    """A command that has ended."""

    def __init__(self, arguments: tuple[str, ...], server: str) -> None:
        result = CliRunner().invoke(app, arguments, env={"TASKPUSH_SERVER": server})
        self.code = result.exit_code
        self.out = result.stdout
        self.err = result.stderr

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Ran]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with fake_server() as server:
        yield server


@pytest.fixture
def run(fake: FakeServer) -> Run:
    return lambda *arguments: Ran(arguments, fake.url)
