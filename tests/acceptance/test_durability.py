"""What an answer is worth: the log is on the disk before a 201 leaves, and a cut log is noticed."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
from pathlib import Path

from tests.support.server import ServerProcess
from tests.support.watcher import raw_socket

# `-y` shows which file a descriptor is.
_SYNC = re.compile(r"f(?:data)?sync\(\d+<(?P<path>[^>]*)>")
_ANSWER = re.compile(r"(?:write|send|sendto|sendmsg|writev)\(.*HTTP/1\.1 201")


def test_the_log_is_synced_before_the_bytes_of_a_201_leave(
    server: ServerProcess, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    server.create("iterate", iterations=0)
    strace = subprocess.Popen(
        [
            *("strace", "-f", "-y", "-s", "64", "-o", str(trace), "-p", str(server.pid)),
            *("-e", "trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64"),
        ],
        stderr=subprocess.PIPE,
    )
    assert strace.stderr is not None
    assert b"attached" in strace.stderr.readline()
    for _ in range(5):
        # A task that no runner starts by itself: the kind's two slots are taken by the first two.
        server.create("sleep", seconds=600)
    strace.send_signal(signal.SIGINT)
    strace.communicate(timeout=30)
    order = [_kind_of(line) for line in trace.read_text(errors="replace").splitlines()]
    steps = [step for step in order if step]
    answers = [index for index, step in enumerate(steps) if step == "answer"]
    assert len(answers) == 5
    before = -1
    for answer in answers:
        assert "sync" in steps[before + 1 : answer], steps
        before = answer


def _kind_of(line: str) -> str | None:
    synced = _SYNC.search(line)
    if synced is not None:
        return "sync" if synced["path"].endswith("-wal") else None
    return "answer" if _ANSWER.search(line) else None


def _cut_back(server: ServerProcess, copy: Path) -> None:
    for path in copy.iterdir():
        shutil.copy(path, server.data / path.name)
    for leftover in server.data.glob("taskpush.db*"):
        if not (copy / leftover.name).exists():
            leftover.unlink()


async def test_a_history_that_was_cut_back_leads_to_resync(
    server: ServerProcess, tmp_path: Path
) -> None:
    """Positions up to the cut stay valid; every one past it is answered with `resync`."""
    task_id = await asyncio.to_thread(server.create, "iterate", iterations=200, pause_s=0.02)
    while len(await asyncio.to_thread(server.log_of, task_id)) < 20:
        pass
    await asyncio.to_thread(server.kill)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in server.data.glob("taskpush.db*"):
        shutil.copy(path, copy / path.name)
    await asyncio.to_thread(server.start)
    kept = await asyncio.to_thread(server.log_of, task_id)
    # The interruption was appended by the second server; the copy ends before it.
    cut_at = kept[-1]["seq"] - 1
    await asyncio.to_thread(server.stop)
    _cut_back(server, copy)
    await asyncio.to_thread(server.start)
    now = await asyncio.to_thread(server.log_of, task_id)
    assert now[:cut_at] == kept[:cut_at]
    assert now[-1]["epoch"] != kept[-1]["epoch"]

    async with raw_socket(server.port) as socket:
        await socket.event()
        for event in (*kept, kept[-1] | {"seq": kept[-1]["seq"] + 1}):
            after = {"epoch": event["epoch"], "seq": event["seq"]}
            await socket.emit("subscribe", {"task_id": task_id, "after": after}, ack=1)
            name, ack = await socket.event()
            assert name == "ack"
            assert (ack["mode"] == "resync") is (event["seq"] > cut_at), ack
            assert (await socket.event())[0] == "subscribed"
            if ack["mode"] == "resync":
                name, resync = await socket.event()
                assert name == "resync"
                assert resync["position"] == resync["snapshot"]["position"]
            await socket.emit("unsubscribe", {"task_id": task_id}, ack=2)
            while (await socket.event())[0] != "ack":
                pass
        gone = kept[-1]
        status, problem = await asyncio.to_thread(
            server.call, "GET", f"/api/tasks/{task_id}/events?after={gone['epoch']}:{gone['seq']}"
        )
        assert (status, problem["code"], problem["oldest"]) == (410, "position_gone", 1)
