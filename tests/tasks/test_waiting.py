"""Who waits is let go when the time is up, or when nobody may wait any more."""

from __future__ import annotations

import asyncio

import pytest

from taskpush.tasks.waiting import LongPolls

NEVER_S = 1000.0


async def _wait(polls: LongPolls, wait_s: float) -> str:
    async with polls.up_to(wait_s):
        await asyncio.Event().wait()
    return "let go"


async def test_who_waits_is_let_go_when_the_time_is_up() -> None:
    polls = LongPolls()
    assert await _wait(polls, 0.01) == "let go"
    assert len(polls) == 0


async def test_at_the_end_all_are_let_go_and_nobody_waits_afterwards() -> None:
    polls = LongPolls()
    async with asyncio.timeout(60):
        waiting = [asyncio.create_task(_wait(polls, NEVER_S)) for _ in range(3)]
        while len(polls) < 3:  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0)
        polls.end()
        polls.end()
        assert await asyncio.gather(*waiting) == ["let go"] * 3
        assert await _wait(polls, NEVER_S) == "let go"
    assert len(polls) == 0


async def test_an_end_that_comes_when_the_time_is_up_does_no_harm() -> None:
    polls = LongPolls()
    waiting = asyncio.create_task(_wait(polls, 0.001))
    while not any(limit.expired() for limit in polls._limits):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    polls.end()
    assert await waiting == "let go"


async def test_what_goes_wrong_while_it_waits_is_raised() -> None:
    polls = LongPolls()
    with pytest.raises(ValueError, match="wrong"):
        async with polls.up_to(NEVER_S):
            raise ValueError("wrong")
    assert len(polls) == 0
