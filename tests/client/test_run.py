"""`run`: a task from its creation to its result, in one call."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from taskpush.client import (
    AsyncClient,
    Client,
    RequestRefused,
    TaskCancelled,
    TaskFailed,
    WaitTimeout,
    WatchEvent,
)
from taskpush.client.progress import NotebookBar, Progress, as_html, displayed
from taskpush.client.running import run_shown
from tests.client.wire import logged, status, volatile
from tests.support.server import ServerProcess


class Shown:
    """The display of IPython, as far as it is used."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    HTML = str

    def display(self, text: str, *, display_id: bool) -> Shown:
        assert display_id
        self.pages.append(text)
        return self

    def update(self, text: str) -> None:
        self.pages.append(text)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shown:
    shown = Shown()
    shell = SimpleNamespace(kernel=object())
    module = SimpleNamespace(get_ipython=lambda: shell, display=shown)
    monkeypatch.setitem(sys.modules, "IPython", module)
    return shown


def test_a_run_gives_the_result(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:
        assert client.run("iterate", iterations=3)["final_iteration"] == 3
        assert client.run("iterate", {"iterations": 3}, log_every=1)["final_iteration"] == 3


async def test_it_can_be_awaited(real_server: ServerProcess) -> None:
    async with AsyncClient(real_server.url) as client:
        assert (await client.run("iterate", iterations=3))["final_iteration"] == 3


def test_a_run_that_fails_raises_why(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:
        with pytest.raises(TaskFailed, match="ValueError: no room"):
            client.run("fail", message="no room")
        with pytest.raises(RequestRefused, match="unknown_kind"):
            client.run("dance")


def test_a_run_that_is_cancelled_says_so(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:

        class Canceller:
            def show(self, item: Any) -> None:
                if item.event_type == "log":
                    client._loop.post(client._client.cancel(item.task_id))

        with pytest.raises(TaskCancelled):
            client._loop.call(run_shown(client._client, "sleep", {}, Canceller(), None))


def test_a_run_that_takes_too_long_goes_on(real_server: ServerProcess) -> None:
    with Client(real_server.url) as client:
        with pytest.raises(WaitTimeout) as raised:
            client.run("sleep", seconds=60, timeout_s=0.3)
        assert isinstance(raised.value, TimeoutError)
        assert not client.get_task(raised.value.task_id).final
        client.cancel(raised.value.task_id)


def test_a_bar_is_shown_on_stderr(
    real_server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(real_server.url) as client:
        client.run("iterate", iterations=3, progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "iterate" in said.err
    assert "100%" in said.err
    assert "completed" in said.err


def test_a_notebook_shows_a_bar_that_moves(real_server: ServerProcess, notebook: Shown) -> None:
    with Client(real_server.url) as client:
        client.run("iterate", iterations=5, pause_s=0.05, progress=True)
    assert notebook.pages[0] == 'iterate <progress max="100"></progress> waiting'
    assert notebook.pages[-1] == (
        'iterate <progress max="100" value="100.0"></progress> 100 % completed'
    )
    assert len(notebook.pages) > 3


def test_a_terminal_with_ipython_is_no_notebook(
    notebook: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", SimpleNamespace)
    with displayed("layout") as display:
        assert not isinstance(display, NotebookBar)
    assert notebook.pages == []


def test_a_bar_says_how_far_the_task_is() -> None:
    state = Progress("layout")
    for envelope, expected in [
        (status(1, "pending"), 'layout <progress max="100"></progress> pending'),
        (
            volatile(1, progress_percent=42.4, stage="<b>pack\n", eta_seconds=8),
            'layout <progress max="100" value="42.4"></progress> 42 % &lt;b&gt;pack, 8 s left',
        ),
        (
            volatile(2, progress_percent=None, message="on it"),
            'layout <progress max="100"></progress> on it',
        ),
        (status(2, "failed"), 'layout <progress max="100" value="0"></progress> failed'),
    ]:
        assert state.take(WatchEvent.parse(envelope))
        assert as_html(state) == expected
    assert not state.take(WatchEvent.parse(logged(3)))
