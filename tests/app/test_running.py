"""`push.running`: a server in a thread of any program."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from taskpush import TaskContext, TaskPush
from taskpush.client import Client
from taskpush.settings import Settings
from tests.support.server import ROOT


def counting(data: Path) -> TaskPush:
    push = TaskPush(settings=Settings(data=data))

    @push.task("count")
    async def count(ctx: TaskContext, params: dict[str, int]) -> int:
        for i in ctx.track(range(params["to"])):
            await ctx.iteration(i + 1)
        return params["to"]

    return push


def server_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "taskpush-server"]


def test_it_serves_while_the_program_goes_on_and_stops_with_the_block(tmp_path: Path) -> None:
    push = counting(tmp_path / "data")
    for _ in range(2):
        with push.running() as server, Client(server.url) as client:
            task = client.create_task("count", {"to": 3})
            events = [event.event_type for event in client.watch(task.task_id)]
            assert events.count("iteration_complete") == 3
            assert client.get_task_result(task.task_id) == 3
            url = server.url
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/healthz", timeout=5)
        assert server_threads() == []


def test_a_port_that_is_taken_is_said_to_who_starts_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use") as raised:
            counting(tmp_path / "data").running(port=port).start()
    assert raised.value.__notes__ == [f"taskpush cannot listen on 127.0.0.1:{port}"]
    assert server_threads() == []


def test_what_keeps_it_from_starting_is_raised(tmp_path: Path) -> None:
    push = counting(tmp_path / "data")
    with push.running() as server:
        with pytest.raises(RuntimeError, match="runs already"):
            server.start()
        # The folder belongs to one server.
        with pytest.raises(Exception, match="another"):
            counting(tmp_path / "data").running().start()
        assert requests.get(f"{server.url}/healthz", timeout=5).status_code == 200
    with pytest.raises(RuntimeError, match="does not run"):
        print(server.url)


def test_beyond_this_machine_it_is_only_served_when_somebody_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reachable from other machines"):
        counting(tmp_path / "data").running(host="0.0.0.0")


def test_a_program_that_stops_nothing_ends_all_the_same(tmp_path: Path) -> None:
    script = """
import sys, urllib.request
from pathlib import Path
from taskpush import TaskPush
from taskpush.settings import Settings
server = TaskPush(settings=Settings(data=Path(sys.argv[1]))).running().start()
print(urllib.request.urlopen(server.url + "/healthz", timeout=10).status)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "data")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # On a busy machine it may be said that the loop was held, wherever that was.
    said = [line for line in ran.stderr.splitlines() if not line.startswith("loop.blocked ")]
    assert (ran.stdout.strip(), said) == ("200", [])
