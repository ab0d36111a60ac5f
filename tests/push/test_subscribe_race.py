"""An event that comes at any await point of subscribing is neither lost nor doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from taskpush.access.principal import LOCAL
from taskpush.clock import SystemClock
from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decision
from taskpush.models.commands import Subscribe
from taskpush.models.events import EventType
from taskpush.models.position import Position
from taskpush.models.task import LoggedEvent, NewEvent, TaskRecord
from taskpush.push.channel import Channel
from taskpush.push.outbox import Message, Outgoing, Reply
from taskpush.push.plane import PushPlane
from taskpush.runner.registry import Registry
from taskpush.store.base import Store
from taskpush.store.memory.store import MemoryStore
from taskpush.store.sqlite.store import SqliteStore
from taskpush.tasks.queries import TaskQueries
from taskpush.tasks.showing import Showing
from taskpush.tasks.watching import Beginning, Watching
from taskpush.telemetry.bus import Telemetry

TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
LINES_BEFORE = 3
ROOM_BYTES = 64 * 1024
QUIET_TURNS = 50


class _Stepped:
    """Awaits a coroutine, and calls back at each point where it gives way."""

    def __init__(self, inner: Coroutine[Any, Any, Any], at: Callable[[], None]) -> None:
        self._inner = inner
        self._at = at

    def __await__(self) -> Generator[Any, Any, Any]:
        step = partial(self._inner.send, None)
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            self._at()
            try:
                yield waits_for
            except Exception as error:  # noqa: BLE001 - what it waited for raised: its business
                step = partial(self._inner.throw, error)
            else:
                step = partial(self._inner.send, None)

    async def run(self) -> Any:
        return await self


class _Link:
    """A peer that takes everything, a turn of the loop later."""

    waiting_bytes = taken_bytes = 0

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.room = ROOM_BYTES
        # Where a stream began, which has no answer that says so.
        self.began_at = 0
        # Where the channel is told that there is room again.
        self.on_room: Callable[[], None] = lambda: None
        # Called whenever a batch has been taken.
        self.taken: Callable[[], None] = lambda: None

    def write(self, batch: Sequence[Outgoing]) -> None:
        assert self.room
        self.room = 0
        asyncio.get_running_loop().call_soon(self._take, batch)

    def _take(self, batch: Sequence[Outgoing]) -> None:
        self.sent += batch
        self.taken()
        self.room = ROOM_BYTES
        self.on_room()

    def abort(self) -> None:
        raise AssertionError("aborted")

    @property
    def seqs(self) -> list[int]:
        return [item.seq for item in self.sent if isinstance(item, LoggedEvent)]

    @property
    def reached(self) -> int:
        """How far the peer is: by the events, or by the position it was answered."""
        positions: list[int] = [
            orjson.loads(item.body)["position"]["seq"]
            for item in self.sent
            if isinstance(item, Reply) or (isinstance(item, Message) and item.name == "resync")
        ]
        return max([self.began_at, *self.seqs, *positions])


class _Injection:
    """Acts at the n-th await point, counted over everything that is stepped."""

    def __init__(self, at: int, act: Callable[[], object]) -> None:
        self.points = 0
        self.done = False
        self._at = at
        self._act = act

    def __call__(self) -> None:
        if self.points == self._at:
            self.done = True
            self._act()
        self.points += 1


def _step_readers(store: Store, injection: _Injection) -> None:
    """Step through the tasks too that read the store."""

    def create(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        if coroutine.__qualname__ in {"Channel._read", f"{type(store).__name__}.read"}:
            coroutine = _Stepped(coroutine, injection).run()
        return asyncio.Task(coroutine, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(create)


def _create(store: Store) -> None:
    now = datetime.now(UTC)
    record = TaskRecord(TASK, "k", LOCAL.tenant, LOCAL.owner, {}, now)
    store.write(TASK, lifecycle.create(record))
    store.write(TASK, lifecycle.start(store.epoch, now))


def _say(store: Store, text: str) -> asyncio.Future[Any]:
    line = NewEvent(EventType.LOG, {"level": "info", "message": text})
    return store.write(TASK, lifecycle.report(1, [line]))


async def _subscribe(
    store: Store,
    inject_at: int,
    after: Callable[[LoggedEvent], Any],
    *,
    exists: bool,
    disturb: Callable[[Store], None] | None = None,
) -> tuple[_Injection, _Link]:
    """Subscribe, with two events committed or the log disturbed at one await point.

    Returns what the peer got.
    """
    plane, link = PushPlane(store), _Link()
    await store.open()
    command = {"task_id": TASK, "after": None}
    if exists:
        _create(store)
        commits = await asyncio.gather(*(_say(store, f"early {n}") for n in range(LINES_BEFORE)))
        command["after"] = after(commits[0].events[0])

    def append() -> None:
        if not exists:
            _create(store)
        _say(store, "one")
        _say(store, "two")

    act = append if disturb is None else partial(disturb, store)
    injection = _Injection(inject_at, act)
    channel = Channel(plane, link)
    link.on_room, link.taken = channel.flush, injection
    _step_readers(store, injection)
    watching = Watching(store, TaskQueries(store, plane.hub, Showing(Registry())))
    subscribing = watching.subscribe(channel, LOCAL, Subscribe.model_validate(command), 7)
    await _Stepped(subscribing, injection)
    await _settle(store, link)
    asyncio.get_running_loop().set_task_factory(None)
    channel.close()
    await store.close()
    return injection, link


async def _settle(store: Store, link: _Link) -> None:
    """Until the peer has had the log's head for a while: what comes twice would come then."""
    quiet_turns = 0
    async with asyncio.timeout(10):
        while quiet_turns < QUIET_TURNS:
            record = await store.get(TASK)
            head = record.head.seq if record is not None else 0
            quiet_turns = quiet_turns + 1 if link.reached >= head else 0
            await asyncio.sleep(0)


async def _follow(
    store: Store,
    inject_at: int,
    after: Position | Literal["now"] | None,
    act: Callable[[Store], object],
) -> tuple[_Injection, _Link, Beginning]:
    """Follow a task as a stream does, and act at one await point."""
    plane, link = PushPlane(store), _Link()
    injection = _Injection(inject_at, partial(act, store))
    channel = Channel(plane, link)
    link.on_room, link.taken = channel.flush, injection
    _step_readers(store, injection)
    watching = Watching(store, TaskQueries(store, plane.hub, Showing(Registry())))
    beginning = await _Stepped(watching.follow(channel, LOCAL, TASK, after), injection)
    link.began_at = beginning.position.seq
    if beginning.over:
        # Whatever is committed now is not sent.
        for _ in range(QUIET_TURNS):
            await asyncio.sleep(0)
        assert link.sent == []
    else:
        await _settle(store, link)
    asyncio.get_running_loop().set_task_factory(None)
    channel.close()
    return injection, link, beginning


@pytest.mark.parametrize("case", ["from the start", "from a position", "from now"])
@pytest.mark.parametrize("adapter", ["memory", "sqlite"])
async def test_a_stream_misses_no_event_at_any_await_point(
    adapter: str, case: str, tmp_path: Path
) -> None:
    points = 0
    while True:
        store = _store(adapter, tmp_path / f"{points}.db")
        await store.open()
        _create(store)
        commits = await asyncio.gather(*(_say(store, f"early {n}") for n in range(LINES_BEFORE)))
        asked: dict[str, Position | Literal["now"] | None] = {
            "from the start": None,
            "from a position": commits[0].events[0].position,
            "from now": "now",
        }
        late = partial(_say, text="late")
        injection, link, beginning = await _follow(store, points, asked[case], late)
        head = 2 + LINES_BEFORE + injection.done
        assert link.seqs == list(range(beginning.position.seq + 1, head + 1))
        assert beginning.position.seq >= {"from the start": 0, "from a position": 3}.get(case, 5)
        assert len(link.sent) == len(link.seqs)
        await store.close()
        if not injection.done:
            break
        points += 1
    assert points >= 2


@pytest.mark.parametrize("adapter", ["memory", "sqlite"])
async def test_a_retry_at_any_await_point_is_seen_unless_the_stream_was_over_before_it(
    adapter: str, tmp_path: Path
) -> None:
    points, over = 0, []
    while True:
        store = _store(adapter, tmp_path / f"{points}.db")
        await store.open()
        _create(store)
        stopped = await store.write(TASK, lifecycle.stop(1, datetime.now(UTC)))
        last = stopped.events[-1].position
        injection, link, beginning = await _follow(store, points, last, _retry)
        await store.close()
        over.append(beginning.over)
        if not beginning.over:
            assert link.seqs == [last.seq + 1]
        if not injection.done:
            break
        points += 1
    # Nobody retried it in the last round.
    assert over[-1] is True
    assert False in over


def _retry(store: Store) -> None:
    store.write(TASK, lifecycle.retry(1))


def _position(event: LoggedEvent) -> dict[str, Any]:
    return {"epoch": event.epoch, "seq": event.seq}


CASES = {
    "from the start": (lambda _: None, True, 1),
    "from a position": (_position, True, 4),
    "from now": (lambda _: "now", True, None),
    "before the task exists": (lambda _: None, False, 1),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("adapter", ["memory", "sqlite"])
async def test_an_event_at_any_await_point_is_neither_lost_nor_doubled(
    adapter: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    after, exists, first = CASES[case]
    points = 0
    while True:
        store = _store(adapter, tmp_path / f"{points}.db")
        injection, link = await _subscribe(store, points, after, exists=exists)
        _check(link, exists=exists, first=first)
        if not injection.done:
            break
        points += 1
    assert points >= 2
    with capsys.disabled():
        print(f"\n  {adapter}, {case}: an event injected at each of {points} await points")


@pytest.mark.parametrize("case", ["from the start", "from a position"])
@pytest.mark.parametrize("adapter", ["memory", "sqlite"])
async def test_a_log_that_is_trimmed_at_any_await_point_is_continued_or_a_resync_is_told(
    adapter: str, case: str, tmp_path: Path
) -> None:
    after, exists, _ = CASES[case]
    points, ways = 0, set()
    while True:
        store = _store(adapter, tmp_path / f"{points}.db")
        injection, link = await _subscribe(store, points, after, exists=exists, disturb=_trim)
        ways.add(_continued(link))
        if not injection.done:
            break
        points += 1
    assert points >= 3
    # Trimmed before it was asked for, between the answer and the events, after them.
    whole, overtaken, resynced = {
        "from the start": ((0, 5), (0, "resync", 0), (3, 2)),
        "from a position": ((3, 2), (3, "resync", 0), (5, "resync", 0)),
    }[case]
    assert whole in ways
    assert ways <= {whole, overtaken, resynced}


def _trim(store: Store) -> None:
    def anyway(record: TaskRecord | None) -> Decision:
        assert record is not None
        return Decision(record)

    store.trim(TASK, anyway, keep_last=2)


def _continued(link: _Link) -> tuple[int | str, ...]:
    """The position answered, then how many events followed without a gap, or a resync."""
    way: list[int | str] = []
    reached = 0
    for item in link.sent:
        match item:
            case Reply():
                reached = orjson.loads(item.body)["position"]["seq"]
                way += [reached, 0]
            case Message(name="resync"):
                reached = orjson.loads(item.body)["position"]["seq"]
                way[-1:] = ["resync", 0]
            case LoggedEvent():
                assert item.seq == reached + 1
                reached += 1
                way[-1] = int(way[-1]) + 1
    return tuple(way)


def _check(link: _Link, *, exists: bool, first: int | None) -> None:
    reply, subscribed = link.sent[:2]
    assert isinstance(reply, Reply)
    assert isinstance(subscribed, Message)
    ack = orjson.loads(reply.body)
    assert (reply.to, ack["ok"], subscribed.name) == (7, True, "subscribed")
    start = first if first is not None else ack["position"]["seq"] + 1
    assert ack["position"]["seq"] == start - 1
    assert link.seqs == list(range(start, start + len(link.seqs)))
    assert (ack["mode"] == "pending") is (not exists and ack["snapshot"] is None)


def _store(adapter: str, path: Path) -> Store:
    telemetry, clock = Telemetry(), SystemClock()
    if adapter == "memory":
        return MemoryStore(clock=clock, telemetry=telemetry)
    return SqliteStore(path, clock=clock, telemetry=telemetry)
