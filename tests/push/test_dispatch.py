"""Who is looked at, and who is given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from taskpush.push.dispatch import Dispatcher

LOOK_EVERY_S = 0.01


class _Peer:
    """A connection that takes what it is sent when it is told to."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.taken_bytes = 0
        self.looks = 0
        self.aborted = False
        self._waiting = 0
        self._dispatcher = dispatcher
        dispatcher.add(self)

    @property
    def waiting_bytes(self) -> int:
        self.looks += 1
        return self._waiting

    def flush(self) -> None: ...

    def abort(self) -> None:
        self.aborted = True
        self._dispatcher.discard(self)

    def say(self, size: int) -> None:
        self._waiting += size
        self._dispatcher.mark(self)

    def take(self, size: int) -> None:
        self._waiting -= size
        self.taken_bytes += size


class _Slow(_Peer):
    """It takes long to write to."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        began = time.monotonic()
        while time.monotonic() < began + 0.02:
            pass


class _Talkative(_Peer):
    """What is written to it the first time makes it say something."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        if self.flushes == 1:
            self.say(1)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(LOOK_EVERY_S)


async def test_whoever_only_listens_is_never_looked_at() -> None:
    dispatcher = Dispatcher(stalled_after_s=0.2, look_every_s=LOOK_EVERY_S)
    silent, stalled = _Peer(dispatcher), _Peer(dispatcher)
    stalled.say(10)
    await _until(lambda: stalled.aborted)
    assert stalled.looks > 3
    assert silent.looks == 0
    assert not silent.aborted


async def test_whoever_has_taken_everything_is_looked_at_no_more_until_there_is_something() -> None:
    dispatcher = Dispatcher(stalled_after_s=0.2, look_every_s=LOOK_EVERY_S)
    peer, other = _Peer(dispatcher), _Peer(dispatcher)
    peer.say(10)
    await _until(lambda: peer.looks > 0)
    peer.take(10)
    await _until(lambda: dispatcher._look is None)
    looks = peer.looks
    other.say(10)
    await _until(lambda: other.aborted)
    assert peer.looks == looks
    peer.say(10)
    await _until(lambda: peer.aborted)


async def test_whoever_takes_little_by_little_is_kept() -> None:
    dispatcher = Dispatcher(stalled_after_s=0.2, look_every_s=LOOK_EVERY_S)
    slow, stalled = _Peer(dispatcher), _Peer(dispatcher)
    slow.say(1000)
    stalled.say(1000)

    def stalled_is_gone() -> bool:
        slow.take(1)
        return stalled.aborted

    await _until(stalled_is_gone)
    assert not slow.aborted


async def test_when_too_much_waits_for_all_the_slowest_goes_first() -> None:
    dispatcher = Dispatcher(stalled_after_s=60, outboxes_bytes=100, look_every_s=LOOK_EVERY_S)
    first, second = _Peer(dispatcher), _Peer(dispatcher)
    first.say(60)
    await _until(lambda: first.looks > 0)
    second.say(60)
    await _until(lambda: first.aborted)
    await _until(lambda: second.looks > 2)
    assert not second.aborted


async def test_whoever_closes_with_something_waiting_is_forgotten() -> None:
    dispatcher = Dispatcher(stalled_after_s=0.05, look_every_s=LOOK_EVERY_S)
    peer = _Peer(dispatcher)
    peer.say(10)
    dispatcher.discard(peer)
    await _until(lambda: not dispatcher._marked and dispatcher._look is None)
    assert peer.looks == 0
    assert not peer.aborted
    assert len(dispatcher) == 0


async def test_a_part_of_a_round_is_flushed_early_but_not_while_the_round_is_put_off() -> None:
    dispatcher = Dispatcher()
    slow, peer = _Slow(dispatcher), _Peer(dispatcher)
    slow.say(1)
    dispatcher.flush_early()
    assert slow.flushes == 1
    await asyncio.sleep(0)  # The rest of the round, after which the next one waits as long.
    slow.say(1)
    dispatcher.flush_early()
    assert slow.flushes == 1
    peer.say(1)
    await _until(lambda: slow.flushes == 2)
    dispatcher.discard(slow)
    dispatcher.discard(peer)


async def test_whoever_is_marked_during_a_round_is_in_the_next_one() -> None:
    dispatcher = Dispatcher()
    peer = _Talkative(dispatcher)
    peer.say(1)
    await _until(lambda: peer.flushes == 2)
    dispatcher.discard(peer)


async def test_what_waits_and_for_how_long_is_told_of_those_who_take_nothing() -> None:
    dispatcher = Dispatcher(stalled_after_s=0.3, look_every_s=LOOK_EVERY_S)
    slow, stalled, silent = (_Peer(dispatcher) for _ in range(3))
    slow.say(1000)
    stalled.say(70)
    assert (dispatcher.waiting, dispatcher.waiting_bytes) == (0, 0)
    assert dispatcher.stalled_for_s(stalled) is None
    await _until(lambda: (dispatcher.stalled_for_s(stalled) or 0) > 0.1)
    assert (dispatcher.waiting, dispatcher.waiting_bytes) == (2, 1070)
    assert dispatcher.stalled_for_s(silent) is None
    slow.take(1000)
    await _until(lambda: stalled.aborted)
    assert dispatcher.cut_off == 1
    assert (dispatcher.waiting, dispatcher.waiting_bytes) == (0, 0)
    assert dispatcher.stalled_for_s(stalled) is None
