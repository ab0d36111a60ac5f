"""One timer for many: who is rung for, and when."""

from __future__ import annotations

import asyncio

from taskpush.push.alarms import Alarms

AFTER_S = 0.05


class _Rung:
    """Who was rung for, in order."""

    def __init__(self) -> None:
        self.members: list[str] = []

    def __call__(self, member: str) -> None:
        self.members.append(member)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.members) < count:  # noqa: ASYNC110 - it is told by a plain call
                await asyncio.sleep(0.005)


async def test_each_is_rung_for_once_in_the_order_of_setting() -> None:
    rung = _Rung()
    alarms = Alarms(rung, after_s=AFTER_S)
    for member in ("a", "b", "c"):
        alarms.set(member)
    assert len(alarms) == 3
    await rung.until(3)
    await asyncio.sleep(2 * AFTER_S)  # Nothing is to happen.
    assert rung.members == ["a", "b", "c"]
    assert len(alarms) == 0


async def test_who_is_set_anew_comes_after_the_others() -> None:
    rung = _Rung()
    alarms = Alarms(rung, after_s=AFTER_S)
    for member in ("a", "b", "a"):
        alarms.set(member)
    await rung.until(2)
    assert rung.members == ["b", "a"]


async def test_who_is_unset_by_an_earlier_ring_is_not_rung_for() -> None:
    rung = _Rung()

    def ring(member: str) -> None:
        rung(member)
        alarms.unset("b")

    alarms = Alarms(ring, after_s=AFTER_S)
    for member in ("a", "b", "c"):
        alarms.set(member)
    await rung.until(2)
    assert rung.members == ["a", "c"]


async def test_a_ring_may_set_its_member_anew() -> None:
    rung = _Rung()

    def ring(member: str) -> None:
        alarms.set(member)
        rung(member)

    alarms = Alarms(ring, after_s=AFTER_S)
    alarms.set("a")
    await rung.until(3)
    assert "a" in alarms
    alarms.unset("a")
    assert len(alarms) == 0
