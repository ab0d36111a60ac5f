"""Who comes in: a few at a time when many come, and nobody with a header that has no end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from taskpush.sockets.arrivals import AT_ONCE, MAX_HEAD_BYTES, Arrival, ArrivalProtocol, Gate

REQUEST = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


class _Impatient(ArrivalProtocol):
    head_within_s = 0.2


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while (event := await receive())["type"] == "http.request":
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    answer = str(len(body)).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def _serving(http: type[ArrivalProtocol] = ArrivalProtocol) -> AsyncIterator[int]:
    config = uvicorn.Config(_answer, port=0, log_level="error", http=http, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def _ask(port: int, *pieces: bytes) -> bytes:
    """What comes back until the server closes, or answered 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        answer = await reader.readuntil(b"\r\n\r\n")
        if b"200 OK" in answer:
            answer += await reader.read(100)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        answer = getattr(error, "partial", b"")
    finally:
        writer.close()
    return answer


async def test_half_a_header_and_then_silence_is_closed() -> None:
    async with _serving(_Impatient) as port, asyncio.timeout(60):
        assert await _ask(port, REQUEST[:20]) == b""


async def test_silence_is_closed() -> None:
    async with _serving(_Impatient) as port, asyncio.timeout(60):
        assert await _ask(port) == b""


async def test_a_header_that_comes_in_drops_is_closed() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        for n in itertools.count():
            writer.write(b"x-%d: y\r\n" % n)
            await asyncio.sleep(0.01)

    async with _serving(_Impatient) as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST[:-2])
        dripping = asyncio.create_task(drip(writer))
        with suppress(ConnectionError):
            assert await reader.read() == b""
        dripping.cancel()
        writer.close()


async def test_headers_without_an_end_are_refused() -> None:
    async with _serving() as port, asyncio.timeout(10):
        endless = (b"x-filler: " + b"y" * 8000 + b"\r\n") * 2000
        answer = await _ask(port, REQUEST[:-2], endless[: 2 * MAX_HEAD_BYTES])
        assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


async def test_a_large_body_is_not_taken_for_a_header() -> None:
    async with _serving() as port, asyncio.timeout(10):
        body = b"z" * (3 * MAX_HEAD_BYTES)
        head = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: %d\r\n\r\n" % len(body)
        assert (await _ask(port, head + body)).endswith(str(len(body)).encode())


async def test_one_connection_may_ask_again_and_again() -> None:
    async with _serving(_Impatient) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(5):
            writer.write(REQUEST)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(1)
            await asyncio.sleep(0.1)  # A connection that is idle in between.
        writer.close()


async def test_many_who_come_at_once_all_come_in() -> None:
    async with _serving() as port, asyncio.timeout(30):
        answers = await asyncio.gather(*(_ask(port, REQUEST) for _ in range(300)))
        assert all(b"200 OK" in answer for answer in answers)
        assert len(ArrivalProtocol.gates[asyncio.get_running_loop()]) == 0


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_nothing_is_heeded_of_who_waits_outside(
    new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    outside: list[Arrival] = []

    def arrive(_: Gate, arrival: Arrival) -> None:
        arrival.wait_outside()
        outside.append(arrival)

    async def come() -> None:
        async with _serving() as port, asyncio.timeout(10):
            gone = await asyncio.open_connection("127.0.0.1", port)
            gone[1].transport.abort()
            asking = asyncio.create_task(_ask(port, REQUEST))
            done, _ = await asyncio.wait([asking], timeout=0.2)
            assert not done
            assert len(outside) == 2
            for arrival in outside:
                arrival.come_in()
            assert b"200 OK" in await asking

    monkeypatch.setattr(Gate, "arrive", arrive)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(come())


class _Guest:
    def __init__(self) -> None:
        self.waited = False
        self.came_in: float | None = None

    def wait_outside(self) -> None:
        self.waited = True

    def come_in(self) -> None:
        self.came_in = monotonic()


async def test_a_few_are_let_in_at_once_and_the_others_in_their_order() -> None:
    gate = Gate()
    guests = [_Guest() for _ in range(4 * AT_ONCE)]
    for guest in guests:
        gate.arrive(guest)
    assert [guest.waited for guest in guests] == [False] * AT_ONCE + [True] * 3 * AT_ONCE
    async with asyncio.timeout(60):
        while gate:  # noqa: ASYNC110 - it is told by a plain call
            await asyncio.sleep(0.001)
    times = [guest.came_in or 0.0 for guest in guests[AT_ONCE:]]
    assert times == sorted(times)
    assert all(times)


async def test_a_guest_who_falls_over_the_step_holds_up_nobody() -> None:
    class Clumsy(_Guest):
        def come_in(self) -> None:
            raise RuntimeError("over the step")

    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about["message"]))
    gate = Gate()
    for _ in range(AT_ONCE):
        gate.arrive(_Guest())
    gate.arrive(Clumsy())
    guests = [_Guest() for _ in range(2 * AT_ONCE)]
    for guest in guests:
        gate.arrive(guest)
    async with asyncio.timeout(60):
        while gate:  # noqa: ASYNC110 - it is told by a plain call
            await asyncio.sleep(0.001)
    assert all(guest.came_in for guest in guests)
    assert told == ["a connection could not come in"]


async def test_the_loop_is_left_to_others_for_as_long_as_it_was_held() -> None:
    gate = Gate()
    for _ in range(2 * AT_ONCE):
        gate.arrive(_Guest())
    second = _Guest()
    gate.arrive(second)
    await asyncio.sleep(0)
    until = monotonic() + 0.1
    while monotonic() < until:
        pass  # What was let in holds the loop.
    held = monotonic()
    async with asyncio.timeout(60):
        while second.came_in is None:  # noqa: ASYNC110 - so is this
            await asyncio.sleep(0.001)
    assert second.came_in - held >= 0.05


@pytest.mark.parametrize("count", [1, AT_ONCE])
async def test_who_comes_when_few_do_is_let_in_at_once(count: int) -> None:
    gate = Gate()
    guests = [_Guest() for _ in range(count)]
    for guest in guests:
        gate.arrive(guest)
    assert not any(guest.waited for guest in guests)
