"""Receipts: whoever waits for a report is told what became of it, once it is known."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable
from typing import Any

import pytest

from taskpush.errors import StoreUnavailable
from taskpush.models.events import EventType
from taskpush.models.task import NewEvent
from taskpush.runner.receipt import Receipt


class Desk:
    """Gives receipts, and notes what was refused."""

    def __init__(self) -> None:
        self.refused: list[BaseException] = []

    def receipt(self) -> Receipt:
        event = NewEvent(EventType.LOG, {})
        return Receipt("task", 1, event, self.refused.append, asyncio.get_running_loop())


async def wait(awaited: Awaitable[None]) -> None:
    await awaited


async def begun(*waiting: asyncio.Task[None]) -> None:
    """Let them come to where they wait."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)


async def test_all_who_wait_go_on_with_the_commit_and_who_comes_later_does_not_wait() -> None:
    receipt = Desk().receipt()
    waiting = [asyncio.create_task(wait(receipt)) for _ in range(3)]
    await begun(*waiting)
    receipt.committed()
    await asyncio.gather(*waiting)
    await receipt


async def test_a_refusal_is_raised_by_all_who_wait_and_noted_once() -> None:
    desk = Desk()
    receipt = desk.receipt()
    waiting = [asyncio.create_task(wait(receipt)) for _ in range(2)]
    await begun(*waiting)
    error = StoreUnavailable("full")
    receipt.refused(error)
    assert await asyncio.gather(*waiting, return_exceptions=True) == [error, error]
    with pytest.raises(StoreUnavailable):
        await receipt
    assert desk.refused == [error]


async def test_a_refusal_that_nobody_waits_for_is_noted_all_the_same() -> None:
    desk = Desk()
    receipt = desk.receipt()
    receipt.refused(StoreUnavailable("full"))
    assert desk.refused == []
    await asyncio.sleep(0)
    assert len(desk.refused) == 1


async def test_who_stops_waiting_keeps_nobody_else_from_it_and_may_wait_again() -> None:
    receipt = Desk().receipt()
    first, second = (asyncio.create_task(wait(receipt)) for _ in range(2))
    await begun(first, second)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    again = asyncio.create_task(wait(receipt))
    await begun(second, again)
    receipt.committed()
    await asyncio.gather(second, again)


async def test_a_callback_is_called_also_when_it_comes_late() -> None:
    receipt = Desk().receipt()
    told: list[bool] = []
    receipt.add_done_callback(lambda done: told.append(done.done()))
    receipt.committed()
    receipt.add_done_callback(lambda done: told.append(done.done()))
    await asyncio.sleep(0)
    assert told == [True, True]


async def test_a_refusal_that_no_callback_looks_at_is_no_complaint_of_the_loop() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    receipt = Desk().receipt()
    receipt.add_done_callback(lambda _: None)
    receipt.refused(StoreUnavailable("full"))
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


async def test_who_waits_for_what_was_given_up_is_cancelled() -> None:
    desk = Desk()
    receipt = desk.receipt()
    waiting = asyncio.create_task(wait(receipt))
    await begun(waiting)
    receipt.refused(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await waiting
