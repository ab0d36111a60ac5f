"""A commit waits for others only where others come."""

from __future__ import annotations

import asyncio
from asyncio import Future

import pytest

from taskpush.core import lifecycle
from taskpush.models.task import TaskRecord
from taskpush.store.base import Commit
from taskpush.store.calls import Delete, Write
from taskpush.store.gathering import FEW, Gathering

LONG_S = 60.0
SHORT_S = 0.01


class Begun:
    """Counts what began."""

    def __init__(self) -> None:
        self.count = 0
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self.event.set()


@pytest.fixture
def begun() -> Begun:
    return Begun()


def write(task_id: str, *, synced: bool = False) -> Write:
    future: Future[Commit] = asyncio.get_running_loop().create_future()
    return Write(task_id, lifecycle.report(1, []), synced, future)


async def test_who_writes_alone_never_waits(begun: Begun) -> None:
    gathering = Gathering(begun, gather_s=LONG_S)
    for count in range(1, 5):
        gathering.add(write("a"))
        assert begun.count == count
        gathering.end(1)
        gathering.begin([write("a")])


async def test_those_who_were_told_together_are_awaited_together(begun: Begun) -> None:
    gathering = Gathering(begun, gather_s=LONG_S)
    gathering.begin([write("a"), write("b")])
    gathering.add(write("a"))
    assert begun.count == 0
    gathering.add(write("b"))
    assert begun.count == 1


async def test_what_has_to_be_synced_takes_along_who_waits(begun: Begun) -> None:
    gathering = Gathering(begun, gather_s=LONG_S)
    gathering.begin([write("a")])
    gathering.add(write("b"))
    assert begun.count == 0
    gathering.add(write("c", synced=True))
    assert begun.count == 1
    gathering.end(2)
    gathering.begin([write("a")])
    future: Future[TaskRecord] = asyncio.get_running_loop().create_future()
    gathering.add(Delete("d", lifecycle.delete(), future))
    assert begun.count == 2


async def test_who_comes_early_waits_for_the_rest_of_the_time(begun: Begun) -> None:
    loop = asyncio.get_running_loop()
    gathering = Gathering(begun, gather_s=SHORT_S)
    started = loop.time()
    gathering.begin([write("a")])
    gathering.add(write("b"))
    await begun.event.wait()
    assert loop.time() >= started + SHORT_S - 0.002
    assert begun.count == 1


async def test_who_comes_late_does_not_wait(begun: Begun) -> None:
    gathering = Gathering(begun, gather_s=0)
    gathering.begin([write("a")])
    gathering.add(write("b"))
    assert begun.count == 1


async def test_where_few_come_it_is_not_tried_again_for_a_while(begun: Begun) -> None:
    gathering = Gathering(begun, gather_s=LONG_S, forgo_s=LONG_S)
    gathering.begin([write("a")])
    for task_id in "bcde":
        gathering.add(write(task_id))
    gathering.end(FEW)
    gathering.begin([write(task_id) for task_id in "bcde"])
    gathering.add(write("a"))
    assert begun.count == 0
    gathering.end(FEW - 1)
    gathering.begin([write("a")])
    gathering.add(write("b"))
    assert begun.count == 1


async def test_a_commit_that_began_is_not_begun_again(begun: Begun) -> None:
    gathering = Gathering(begun, gather_s=SHORT_S)
    gathering.begin([write("a")])
    gathering.add(write("b"))
    gathering.end(1)
    await asyncio.sleep(3 * SHORT_S)  # Nothing is to happen.
    assert begun.count == 0
