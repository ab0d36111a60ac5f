"""What was acknowledged survives: the end of the process always, power loss when it was synced."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskpush.clock import SystemClock
from taskpush.models.position import START
from taskpush.store.base import TaskFilter
from taskpush.store.sqlite.store import SqliteStore
from taskpush.telemetry.bus import Telemetry
from tests.store.sqlite.crash_child import MARKED_WRITES, digest_of

ROOT = Path(__file__).parents[3]
CHILD = (sys.executable, "-m", "tests.store.sqlite.crash_child")
STRACE = ("strace", "-f", "-y", "-e", "trace=fdatasync,fsync,write,pwrite64")


async def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    acknowledged: set[str] = set()
    for acks_before_kill in (1, 50, 400, 2000):
        acknowledged |= set(_write_until_killed(path, acks_before_kill))
        stored = await _stored(path)
        assert acknowledged <= stored


async def test_the_lock_of_a_killed_server_is_free(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    _write_until_killed(path, 1)
    assert await _stored(path)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_synced_write_is_done_after_the_sync_and_others_need_none(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    subprocess.run(
        (*STRACE, "-o", trace, *CHILD, tmp_path / "tasks.db", "--marked"),
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    spans = list(_spans(trace.read_text()))
    assert [kind for kind, _ in spans] == ["synced", "unsynced", "nothing"] * MARKED_WRITES
    for kind, calls in spans:
        assert ("pwrite64" in calls) or kind == "nothing"
        assert ("sync" in calls) is (kind != "unsynced"), kind


def _write_until_killed(path: Path, acks: int) -> list[str]:
    """Let a process write until it has acknowledged so many events; gives all it acknowledged."""
    with subprocess.Popen((*CHILD, path), cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(acks)]
        child.send_signal(signal.SIGKILL)
        # The last line may have been cut.
        rest = child.stdout.read().splitlines(keepends=True)
    return [line.strip() for line in (*lines, *rest) if line.endswith("\n")]


async def _stored(path: Path) -> set[str]:
    """Every stored event, as the child prints them; asserts that no log has a hole."""
    store = SqliteStore(path, clock=SystemClock(), telemetry=Telemetry())
    await store.open()
    found: set[str] = set()
    for record in (await store.tasks(TaskFilter(tenant="local"), limit=1000)).records:
        page = await store.read(record.task_id, START, 1_000_000)
        assert [event.seq for event in page.events] == list(range(1, record.head.seq + 1))
        found |= {f"{event.task_id} {event.seq} {digest_of(event)}" for event in page.events}
    await store.close()
    return found


def _spans(trace: str) -> Iterator[tuple[str, set[str]]]:
    """Each marked write with what was completed on the WAL between its two markers."""
    begun: dict[str, str] = {}
    calls: set[str] = set()
    for line in trace.splitlines():
        thread, call = line.split(maxsplit=1)
        if "unfinished" in call:
            begun[thread] = call
            continue
        if "resumed" in call:
            call = begun.pop(thread) + call
        if marker := re.match(r'write\(1<.*>, "(begin|end) (\w+)', call):
            if marker[1] == "end":
                yield marker[2], calls
            calls = set()
        elif re.match(r"pwrite64\(\d+<.*-wal>", call):
            calls.add("pwrite64")
        elif re.match(r"(fdatasync|fsync)\(\d+<.*-wal>.*= 0$", call):
            calls.add("sync")
