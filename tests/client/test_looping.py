"""A private event loop for callers that do not await."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from taskpush.client.looping import LoopThread
from tests.client.ctrl_c import ctrl_c_raises, press_ctrl_c

WITHIN_S = 60


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread("test-loop")
    yield loop
    loop.close()


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    raise LookupError("nothing there")


def test_a_call_returns_what_the_coroutine_returns(loop: LoopThread) -> None:
    assert not loop.started
    assert loop.call(double(21)) == 42


def test_a_call_raises_what_the_coroutine_raises(loop: LoopThread) -> None:
    with pytest.raises(LookupError):
        loop.call(fail())


def test_calls_from_many_threads_get_their_own_answers(loop: LoopThread) -> None:
    answers: dict[int, int] = {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: loop.call(double(n))}))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert answers == {n: 2 * n for n in range(20)}


async def test_it_can_be_called_where_another_loop_runs(loop: LoopThread) -> None:
    assert loop.call(double(1)) == 2


def test_an_interrupt_cancels_the_call_before_it_is_raised(loop: LoopThread) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        press_ctrl_c()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with ctrl_c_raises(), pytest.raises(KeyboardInterrupt):
        loop.call(wait())
    assert cancelled.is_set()
    assert loop.call(double(2)) == 4


def test_closing_ends_calls_that_wait(loop: LoopThread) -> None:
    begun = threading.Event()
    raised: list[Exception] = []

    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            loop.call(wait())
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(WITHIN_S)
    loop.close()
    thread.join(WITHIN_S)
    assert len(raised) == 1


def test_after_closing_calls_raise_and_posts_do_nothing(loop: LoopThread) -> None:
    loop.call(double(1))
    loop.close()
    loop.close()
    loop.post(double(1))
    with pytest.raises(RuntimeError):
        loop.call(double(1))


def test_a_blocking_call_on_its_own_thread_is_refused(loop: LoopThread) -> None:
    async def call() -> None:
        loop.call(double(1))

    with pytest.raises(RuntimeError, match="own thread"):
        loop.call(call())
