"""What is open ends with the credential that opened it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from taskpush.access.admission import Admission
from taskpush.access.doorkeeper import Doorkeeper
from taskpush.access.principal import LOCAL
from taskpush.errors import AccessEnded, TaskPushError

ANN, BOB = Admission(LOCAL, "key:ann"), Admission(LOCAL, "key:bob")


class Judge:
    """Lets everybody in whose credential has not ended."""

    def __init__(self) -> None:
        self.ended: set[str] = set()

    def lets_in(self, admission: Admission) -> bool:
        return admission.credential not in self.ended


class Door:
    """Something that is open, until it is ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.errors: list[TaskPushError] = []

    def end(self, error: TaskPushError) -> None:
        self.errors.append(error)
        self.ended.set()


async def test_what_a_revoked_credential_opened_is_ended_once_and_the_rest_goes_on() -> None:
    judge = Judge()
    keeper = Doorkeeper(judge, look_every_s=0.01)
    doors = [Door() for _ in range(3)]
    keeper.opened(ANN, doors[0].end)
    keeper.opened(ANN, doors[1].end)
    keeper.opened(BOB, doors[2].end)
    judge.ended.add("key:ann")
    await asyncio.wait_for(doors[1].ended.wait(), 5)
    assert [[error.code for error in door.errors] for door in doors] == [
        ["access_ended"],
        ["access_ended"],
        [],
    ]
    assert len(keeper) == 1


async def test_what_was_closed_is_not_ended_and_nothing_runs_when_nothing_is_open() -> None:
    judge = Judge()
    keeper = Doorkeeper(judge, look_every_s=0.01)
    closed, other = Door(), Door()
    kept = keeper.opened(ANN, closed.end)
    keeper.opened(ANN, other.end)
    keeper.closed(kept)
    keeper.closed(kept)
    judge.ended.add("key:ann")
    await asyncio.wait_for(other.ended.wait(), 5)
    assert closed.errors == []
    assert keeper._timer is None


async def test_a_door_may_be_given_another_credential() -> None:
    judge = Judge()
    keeper = Doorkeeper(judge, look_every_s=0.01)
    renewed, other = Door(), Door()
    keeper.opened(ANN, renewed.end).admission = BOB
    keeper.opened(ANN, other.end)
    judge.ended.add("key:ann")
    await asyncio.wait_for(other.ended.wait(), 5)
    assert renewed.errors == []
    assert len(keeper) == 1


async def test_one_that_cannot_be_ended_keeps_no_other_open() -> None:
    judge = Judge()
    keeper = Doorkeeper(judge, look_every_s=0.01)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def broken(error: TaskPushError) -> None:
        raise RuntimeError

    first, later = Door(), Door()
    keeper.opened(ANN, broken)
    keeper.opened(ANN, first.end)
    keeper.opened(BOB, later.end)
    judge.ended.add("key:ann")
    await asyncio.wait_for(first.ended.wait(), 5)
    judge.ended.add("key:bob")
    await asyncio.wait_for(later.ended.wait(), 5)
    assert [type(each["exception"]) for each in told] == [RuntimeError]
    assert keeper._timer is None


async def test_a_wait_ends_when_the_credential_does() -> None:
    judge = Judge()
    keeper = Doorkeeper(judge, look_every_s=0.01)

    async def wait() -> None:
        async with keeper.open_while(ANN):
            judge.ended.add("key:ann")
            await asyncio.Event().wait()

    with pytest.raises(AccessEnded):
        await asyncio.wait_for(wait(), 5)
    assert len(keeper) == 0


async def test_a_wait_that_ends_by_itself_gives_what_it_found() -> None:
    keeper = Doorkeeper(Judge(), look_every_s=0.01)
    async with keeper.open_while(ANN):
        await asyncio.sleep(0)
    with pytest.raises(KeyError):
        async with keeper.open_while(ANN):
            raise KeyError
    with pytest.raises(TimeoutError):
        async with keeper.open_while(ANN):
            raise TimeoutError
    assert len(keeper) == 0
