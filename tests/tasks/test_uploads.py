"""The shelf of uploads: whole or not there, bounded, and its owners' alone."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from taskpush.access.principal import LOCAL, Principal
from taskpush.clock import ManualClock
from taskpush.core.limits import DEFAULT_LIMITS
from taskpush.errors import StoreUnavailable, TaskPushError
from taskpush.ids import new_task_id
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import KeptUpload
from taskpush.runner.context import TaskContext
from taskpush.runner.registry import Registry
from taskpush.runner.uploads import Upload
from taskpush.store.blobs import Blobs
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.uploads import NewUpload, UploadShelf, remove_files
from taskpush.telemetry.bus import Telemetry
from tests.store.harness import anyway

ANN = Principal("acme", "ann")
NEW = NewUpload("a.csv")


class Params(BaseModel):
    table: Upload


async def handler(ctx: TaskContext, params: Params) -> None: ...


SPEC = Registry().register("job", handler)


class Shelf:
    """A shelf over a store in memory, with little room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock, telemetry=Telemetry())
        self.blobs = Blobs(folder, max_upload_bytes=60)
        limits = replace(
            DEFAULT_LIMITS,
            upload_bytes=60,
            unused_uploads=3,
            unused_upload_bytes=100,
            owner_upload_bytes=200,
        )
        self.uploads = UploadShelf(
            self.store, self.blobs, self.clock, limits=limits, lifetime=timedelta(hours=1)
        )

    async def put(self, content: bytes = b"x", new: NewUpload = NEW) -> str:
        return (await self.uploads.take(ANN, new, pieces(content))).ref.upload_id

    @property
    def files(self) -> int:
        return sum(path.is_file() for path in self.folder.rglob("*"))


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    shelf = Shelf(tmp_path)
    await shelf.store.open()
    yield shelf
    await shelf.store.close()


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def code_of(asked: Awaitable[object]) -> str:
    with pytest.raises(TaskPushError) as caught:
        await asked
    return caught.value.code


async def test_a_file_whose_sender_goes_away_leaves_nothing_and_no_place_taken(
    shelf: Shelf,
) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 50
        raise ConnectionResetError

    for _ in range(9):
        with pytest.raises(ConnectionResetError):
            await shelf.uploads.take(ANN, NewUpload("a.csv", size_bytes=60), cut())
    assert shelf.files == 0
    assert await shelf.put(b"x" * 60)


async def test_a_file_that_cannot_be_committed_is_removed(shelf: Shelf) -> None:
    async def until_the_store_is_gone() -> AsyncIterator[bytes]:
        yield b"x"
        await shelf.store.close()

    with pytest.raises(StoreUnavailable):
        await shelf.uploads.take(ANN, NEW, until_the_store_is_gone())
    assert shelf.files == 0


async def test_who_is_cancelled_has_sent_the_whole_file_or_nothing(shelf: Shelf) -> None:
    others = asyncio.all_tasks()
    for number in range(40):
        taking = asyncio.create_task(shelf.uploads.take(ANN, NEW, pieces(b"x", b"y")))
        await asyncio.sleep(number * 0.0002)
        taking.cancel()
        await asyncio.wait([taking])
        # What was about to be committed is: it goes on by itself.
        if begun := asyncio.all_tasks() - others:
            await asyncio.wait(begun)
        count = (await shelf.store.held_uploads("acme", "ann")).unused
        assert shelf.files == count
        if count:
            shelf.clock.wind(3600)
            await shelf.uploads.forget_expired()
            assert shelf.files == 0


async def test_files_that_come_at_once_share_the_room(shelf: Shelf) -> None:
    outcomes = await asyncio.gather(
        *(shelf.put(b"x" * 45) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 2
    assert shelf.files == 2


async def test_what_is_announced_counts_before_it_has_come(shelf: Shelf) -> None:
    here, go_on = asyncio.Event(), asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        here.set()
        await go_on.wait()
        yield b"x" * 50

    first = asyncio.create_task(
        shelf.uploads.take(ANN, NewUpload("a.csv", size_bytes=50), waiting())
    )
    await here.wait()
    assert await code_of(shelf.put(b"", NewUpload("b.csv", size_bytes=51))) == "upload_limit"
    other = Principal("acme", "bob")
    await shelf.uploads.take(other, NewUpload("b.csv", size_bytes=51), pieces(b"x"))
    go_on.set()
    assert (await first).ref.size_bytes == 50


@pytest.mark.parametrize("size_bytes", [61, 999])
async def test_what_is_announced_as_too_large_is_refused_before_it_comes(
    shelf: Shelf, size_bytes: int
) -> None:
    """As what it is, however much room there is."""
    coming = pieces(b"x" * size_bytes)
    sending = shelf.uploads.take(ANN, NewUpload("a.csv", size_bytes=size_bytes), coming)
    assert await code_of(sending) == "payload_too_large"
    assert len(await anext(coming)) == size_bytes


async def test_no_more_than_so_many_are_kept(shelf: Shelf) -> None:
    ids = [await shelf.put() for _ in range(3)]
    assert await code_of(shelf.put()) == "upload_limit"
    await shelf.uploads.discard(ANN, ids[0])
    assert await shelf.put()
    assert shelf.files == 3


async def use(shelf: Shelf, *uploads: KeptUpload) -> TaskRecord:
    """Create a task with these files."""
    record = TaskRecord(
        task_id=new_task_id(),
        kind="job",
        tenant="acme",
        owner="ann",
        params={},
        created_at=shelf.clock.now(),
        uploads=tuple(upload.ref for upload in uploads),
    )
    await shelf.store.create([record])
    return record


async def take(shelf: Shelf, *content: bytes) -> KeptUpload:
    return await shelf.uploads.take(ANN, NEW, pieces(*content))


async def test_what_is_used_meanwhile_does_not_stand_in_the_way_of_who_sends_slowly(
    shelf: Shelf,
) -> None:
    other = await take(shelf, b"x" * 60)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * 30
        await use(shelf, other)
        yield b"x" * 30

    assert (await shelf.uploads.take(ANN, NEW, slowly())).ref.size_bytes == 60


async def test_what_has_no_room_does_not_stand_in_the_way_of_what_has(shelf: Shelf) -> None:
    """However the two meet."""
    await take(shelf, b"x" * 50)
    for ticks in range(60):
        large = asyncio.create_task(take(shelf, b"x" * 20, b"x" * 40))
        for _ in range(ticks):
            await asyncio.sleep(0)
        small = await take(shelf, b"x" * 10, b"x" * 20)
        assert await code_of(large) == "upload_limit"
        await shelf.uploads.discard(ANN, small.ref.upload_id)


async def test_a_file_that_has_just_been_kept_is_counted_once(shelf: Shelf) -> None:
    """Also before its sender has heard of it."""
    keep = shelf.store.keep_upload
    announced = NewUpload("b.csv", size_bytes=60)
    others: list[Task[KeptUpload]] = []

    def send_another(_: Future[None]) -> None:
        taking = shelf.uploads.take(ANN, announced, pieces(b"x" * 60))
        others.append(asyncio.create_task(taking))

    def and_send_another(upload: KeptUpload) -> Future[None]:
        kept = keep(upload)
        if not others:
            kept.add_done_callback(send_another)
        return kept

    shelf.store.keep_upload = and_send_another  # type: ignore[method-assign]
    await take(shelf, b"x" * 40)
    assert (await others[0]).ref.size_bytes == 60


async def test_who_goes_away_while_a_file_is_kept_makes_no_room_for_more(shelf: Shelf) -> None:
    for number in range(40):
        sending = [asyncio.create_task(take(shelf, b"x" * 60)) for _ in range(2)]
        await asyncio.sleep(number * 0.0002)
        sending[0].cancel()
        sending.append(asyncio.create_task(take(shelf, b"x" * 60)))
        await asyncio.wait(sending)
        held = await shelf.store.held_uploads("acme", "ann")
        assert held.unused_bytes <= 100
        shelf.clock.wind(3600)
        await shelf.uploads.forget_expired()


async def test_what_tasks_use_has_a_limit_too(shelf: Shelf) -> None:
    first, second = await take(shelf, b"x" * 60), await take(shelf, b"x" * 40)
    await use(shelf, second)
    task = await use(shelf, first, second)
    await take(shelf, b"x" * 60)
    assert await code_of(take(shelf, b"x" * 20, b"x" * 21)) == "upload_limit"
    assert await code_of(shelf.put(b"", NewUpload("b.csv", size_bytes=41))) == "upload_limit"
    await take(shelf, b"x" * 40)
    await shelf.uploads.take(Principal("acme", "bob"), NEW, pieces(b"x" * 60))
    # The file that another task uses stays.
    await shelf.store.delete(task.task_id, anyway)
    held = await shelf.store.held_uploads("acme", "ann")
    assert (held.unused_bytes, held.size_bytes) == (100, 140)


async def test_what_has_expired_makes_room_at_once_and_may_be_removed_by_its_owner(
    shelf: Shelf,
) -> None:
    ids = [await shelf.put(b"x" * 30) for _ in range(3)]
    shelf.clock.wind(3600)
    assert await code_of(shelf.uploads.get(ANN, ids[0])) == "upload_not_found"
    for stranger in (LOCAL, Principal("acme", "bob"), Principal("other", "ann")):
        assert await code_of(shelf.uploads.discard(stranger, ids[0])) == "upload_not_found"
    await shelf.uploads.discard(ANN, ids[0])
    assert await code_of(shelf.uploads.discard(ANN, ids[0])) == "upload_not_found"
    assert shelf.files == 2
    for _ in range(3):
        assert await shelf.put(b"x" * 30)
    assert shelf.files == 3
    assert await code_of(shelf.put()) == "upload_limit"


@pytest.mark.parametrize(
    ("name", "said", "kept"),
    [
        ("t.csv", None, "text/csv"),
        ("t.csv.gz", None, "application/gzip"),
        ("t.csv", "application/octet-stream", "text/csv"),
        ("t.bin", "text/csv; charset=utf-8", "text/csv; charset=utf-8"),
        ("t.bin", 'Text/CSV ;charset="utf-8"', "text/csv"),
    ],
)
async def test_its_type_is_what_was_said_or_what_the_name_tells(
    shelf: Shelf, name: str, said: str | None, kept: str
) -> None:
    taken = await shelf.uploads.take(ANN, NewUpload(name, said), pieces(b"x"))
    assert taken.ref.media_type == kept


async def test_an_upload_is_found_by_its_owner_until_it_expires(shelf: Shelf) -> None:
    upload_id = await shelf.put()
    params = {"table": upload_id}
    assert list(await shelf.uploads.of(ANN, SPEC, params)) == [upload_id]
    assert (await shelf.uploads.get(ANN, upload_id.upper())).ref.upload_id == upload_id
    for stranger in (LOCAL, Principal("acme", "bob"), Principal("other", "ann")):
        assert not await shelf.uploads.of(stranger, SPEC, params)
        assert await code_of(shelf.uploads.get(stranger, upload_id)) == "upload_not_found"
        assert await code_of(shelf.uploads.discard(stranger, upload_id)) == "upload_not_found"
    shelf.clock.wind(3600)
    assert not await shelf.uploads.of(ANN, SPEC, params)
    assert await code_of(shelf.uploads.get(ANN, upload_id)) == "upload_not_found"
    assert shelf.files == 1
    assert await shelf.uploads.forget_expired() == 1
    assert shelf.files == 0


async def test_files_of_deleted_tasks_go_unless_another_uses_them(shelf: Shelf) -> None:
    kept = await shelf.uploads.take(ANN, NEW, pieces(b"x"))
    records = [
        TaskRecord(
            task_id=f"0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3{n}",
            kind="job",
            tenant="acme",
            owner="ann",
            params={"table": kept.ref.upload_id},
            created_at=shelf.clock.now(),
            uploads=(kept.ref,),
        )
        for n in range(2)
    ]
    await shelf.store.create(records)
    assert await code_of(shelf.uploads.discard(ANN, kept.ref.upload_id)) == "upload_in_use"
    for record, left in zip(records, (1, 0), strict=True):
        deleted = await shelf.store.delete(record.task_id, anyway)
        await remove_files(shelf.store, shelf.blobs, [deleted])
        assert shelf.files == left
