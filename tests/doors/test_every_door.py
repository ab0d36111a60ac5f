"""One suite through every door and every client: the same events, in the same order, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.doors.subjects import THROUGH_EVERY_DOOR, Subject, Watching, faults, named, watching
from tests.support.proxy import severable_link
from tests.support.server import ServerProcess

through_every_door = pytest.mark.parametrize("pair", THROUGH_EVERY_DOOR, ids=named)
Pair = tuple[Subject, str]
# A browser runs the code that Node does, so that one run through each door shows what differs.
through_each_doors_code = pytest.mark.parametrize(
    "pair",
    [
        pytest.param(pair, marks=pytest.mark.full)
        if pair[0].name == "typescript-chromium" and pair[1] != "socketio"
        else pair
        for pair in THROUGH_EVERY_DOOR
    ],
    ids=named,
)

ITERATIONS = 40


@dataclass(frozen=True)
class Trimmed:
    """A task that has ended, and whose log was trimmed."""

    server: ServerProcess
    task_id: str
    # A position in the part that went, and what is left.
    gone: str
    last: dict[str, Any]


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trimmed]:
    settings = {"keep_logs_age": "2s", "retention_interval_s": "0.2"}
    with ServerProcess(tmp_path_factory.mktemp("trimmed") / "data", settings=settings) as server:
        task_id = server.create("iterate", iterations=20)
        server.wait_over(task_id)
        log = server.log_of(task_id)
        assert len(log) > 1
        rest = log
        while len(rest) > 1:
            # It happens in the server, which tells nobody.
            rest = server.log_of(task_id)
        yield Trimmed(server, task_id, f"{log[4]['epoch']}:{log[4]['seq']}", rest[0])


@through_every_door
async def test_a_run_is_seen_whole_across_cut_links(server: ServerProcess, pair: Pair) -> None:
    async with severable_link(server.port) as link:
        task_id = await asyncio.to_thread(
            server.create, "iterate", iterations=ITERATIONS, pause_s=0.06, log_every=10
        )
        async with watching(*pair, link.url, task_id) as watch:
            for seq in (13, 24):
                await watch.until(partial(_has_seen, seq))
                link.cut()
            await watch.finish()
    assert link.cuts >= 2
    assert faults(watch.items, server.log_of(task_id)) == []
    assert watch.outcome == {"ended": "completed"}
    finals = [item for item in watch.items if item["data"].get("final") is True]
    assert finals == watch.items[-1:]
    assert any(item["event_type"] == "progress" for item in watch.items)


@through_each_doors_code
async def test_a_watch_goes_on_after_a_position(server: ServerProcess, pair: Pair) -> None:
    task_id = await asyncio.to_thread(server.create, "iterate", iterations=5)
    await asyncio.to_thread(server.wait_over, task_id)
    log = server.log_of(task_id)
    for at in (3, len(log)):
        after = f"{log[at - 1]['epoch']}:{at}"
        async with watching(*pair, server.url, task_id, after=after) as watch:
            await watch.finish()
        assert faults(watch.items, log[at:]) == []
        assert watch.outcome == {"ended": "completed"}


@through_each_doors_code
async def test_whoever_stands_in_what_was_trimmed_is_told(trimmed: Trimmed, pair: Pair) -> None:
    url = trimmed.server.url
    async with watching(*pair, url, trimmed.task_id, after=trimmed.gone) as watch:
        await watch.finish()
    (resync,) = watch.items
    assert resync["event_type"] == "resync"
    assert resync["data"]["status"] == "completed"
    assert resync["position"] == f"{trimmed.last['epoch']}:{trimmed.last['seq']}"
    assert watch.outcome == {"ended": "completed"}


@through_each_doors_code
async def test_a_trimmed_log_begins_where_it_begins(trimmed: Trimmed, pair: Pair) -> None:
    async with watching(*pair, trimmed.server.url, trimmed.task_id) as watch:
        await watch.finish()
    assert faults(watch.items, [trimmed.last]) == []
    assert watch.outcome == {"ended": "completed"}


def _has_seen(count: int, watch: Watching) -> bool:
    return len(watch.logged) >= count
