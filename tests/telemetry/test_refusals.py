"""Refusals are told, and do not fill the log."""

from __future__ import annotations

import asyncio

import pytest

from taskpush.telemetry.events import (
    AccessRefused,
    PacketRefused,
    RefusalsUntold,
    RequestRefused,
    ServerStopped,
    TelemetryEvent,
)
from taskpush.telemetry.refusals import ELSEWHERE, MAX_SOURCES, FewRefusals, network_of


class Log:
    """What passes on, by a clock that is wound by hand."""

    def __init__(self, *, each: int = 3, minute_s: float = 60.0) -> None:
        self.now_s = 0.0
        self.lines: list[TelemetryEvent] = []
        self.summed_up = asyncio.Event()
        self.few = FewRefusals(self._note, lambda: self.now_s, each=each, minute_s=minute_s)

    def refuse(self, times: int, address: str = "10.0.0.1", code: str = "unauthenticated") -> None:
        for port in range(times):
            self.few(AccessRefused(f"{address}:{port}", code, "no"))

    def _note(self, event: TelemetryEvent) -> None:
        self.lines.append(event)
        if isinstance(event, RefusalsUntold):
            self.summed_up.set()

    @property
    def untold(self) -> list[RefusalsUntold]:
        return [line for line in self.lines if isinstance(line, RefusalsUntold)]


async def test_the_first_are_told_and_of_the_others_how_many_there_were() -> None:
    log = Log()
    log.refuse(1000)
    assert len(log.lines) == 3
    log.now_s = 60.0
    log.refuse(1)
    assert log.untold == [RefusalsUntold("access.refused", "10.0.0.1", "unauthenticated", 997)]
    assert len(log.lines) == 5


async def test_each_sort_and_each_address_has_lines_of_its_own() -> None:
    log = Log()
    log.refuse(5)
    log.refuse(1, "10.0.0.2")
    log.refuse(1, code="access_ended")
    log.few(RequestRefused("10.0.0.1:9", "host_refused", "no"))
    log.few(PacketRefused("10.0.0.1:9", "not a packet"))
    assert len(log.lines) == 3 + 4
    log.few.close()
    assert [each.count for each in log.untold] == [2]


async def test_nobody_gets_more_lines_by_many_addresses() -> None:
    log = Log()
    for n in range(5000):
        log.refuse(1, f"10.0.{n // 250}.{n % 250}")
    assert len(log.lines) == MAX_SOURCES + 3
    log.few.close()
    elsewhere = 5000 - MAX_SOURCES - 3
    assert log.untold == [RefusalsUntold("access.refused", ELSEWHERE, "unauthenticated", elsewhere)]


async def test_what_was_left_out_is_said_though_nobody_comes_any_more() -> None:
    log = Log(minute_s=0.01)
    log.refuse(4)
    async with asyncio.timeout(60):
        await log.summed_up.wait()
    assert [each.count for each in log.untold] == [1]


def test_everything_else_passes() -> None:
    log = Log(each=0)
    for _ in range(100):
        log.few(ServerStopped(interrupted=0))
    assert len(log.lines) == 100


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("10.0.0.1:80", "10.0.0.1"),
        ("2001:db8::1:2:50000", "2001:db8::/64"),
        ("unknown", "unknown"),
        ("behind a proxy:1", "behind a proxy"),
    ],
)
def test_who_it_is_counted_by(peer: str, network: str) -> None:
    assert network_of(peer) == network
