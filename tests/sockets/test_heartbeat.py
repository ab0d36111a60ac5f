"""One heartbeat for all: who is pinged when, and who is given up."""

from __future__ import annotations

import asyncio

from taskpush.sockets.heartbeat import Heartbeat

INTERVAL_S, TIMEOUT_S = 0.05, 0.5


class _Room:
    def __init__(self) -> None:
        self.pinged: list[str] = []
        self.gone: list[str] = []
        self.heartbeat: Heartbeat[str] = Heartbeat(
            self.pinged.append, self._end, interval_s=INTERVAL_S, timeout_s=TIMEOUT_S
        )

    def _end(self, member: str) -> None:
        self.gone.append(member)
        self.heartbeat.discard(member)

    async def until_gone(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.gone) < count:  # noqa: ASYNC110 - it is told by a plain call
                await asyncio.sleep(0.01)


async def test_who_does_not_answer_is_given_up_in_the_order_of_coming() -> None:
    room = _Room()
    for member in ("a", "b", "c"):
        room.heartbeat.add(member)
    await room.until_gone(3)
    assert room.pinged == room.gone == ["a", "b", "c"]
    assert len(room.heartbeat) == 0


async def test_who_answers_is_pinged_again() -> None:
    room = _Room()
    room.heartbeat.add("silent")
    room.heartbeat.add("lively")
    async with asyncio.timeout(60):
        while room.pinged.count("lively") < 3 or not room.gone:
            await asyncio.sleep(0.005)
            room.heartbeat.answered("lively")
    assert room.gone == ["silent"]
    assert room.pinged.count("silent") == 1


async def test_answers_that_nobody_asked_for_put_nothing_off() -> None:
    room = _Room()
    room.heartbeat.add("flooding")
    async with asyncio.timeout(60):
        while not room.pinged:
            room.heartbeat.answered("flooding")
            await asyncio.sleep(0)
    assert len(room.heartbeat) == 1


async def test_nothing_is_kept_of_who_left() -> None:
    room = _Room()
    room.heartbeat.add("a")
    room.heartbeat.discard("a")
    await asyncio.sleep(3 * INTERVAL_S)  # Nothing is to happen.
    assert (room.pinged, room.gone, len(room.heartbeat)) == ([], [], 0)
