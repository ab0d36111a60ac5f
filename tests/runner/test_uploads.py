"""Files in params: found by their ids, checked, and what they are in JSON and its schema."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

import orjson
import pytest
from pydantic import BaseModel, ValidationError, field_validator

from taskpush.access.principal import LOCAL
from taskpush.errors import TaskPushError
from taskpush.models.commands import CreateTask
from taskpush.models.events import Status
from taskpush.models.sensitive import Sensitive
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import UploadRef
from taskpush.runner.context import TaskContext
from taskpush.runner.registry import Registry
from taskpush.runner.uploads import Accepts, Upload, from_message, handed_over, to_message
from taskpush.tasks.audit import AuditTrail
from taskpush.tasks.queueing.keeper import QueueKeeper
from taskpush.tasks.service import TaskService
from taskpush.tasks.uploads import NewUpload, UploadShelf
from tests.runner.workbench import Workbench

ONE, TWO = (f"0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3{n}" for n in "12")


class Params(BaseModel):
    table: Annotated[Upload, Accepts(".csv", "text/*", max_bytes=10)]
    more: list[Annotated[Upload, Accepts("image/png")]] = []
    note: Upload | None = None


async def handler(ctx: TaskContext, params: Params) -> None: ...


async def other(ctx: TaskContext, params: dict[str, str]) -> None: ...


class Private(BaseModel):
    table: Annotated[Upload, Sensitive]
    note: Upload


async def private(ctx: TaskContext, params: Private) -> None: ...


REGISTRY = Registry()
SPEC = REGISTRY.register("job", handler)
OTHER = REGISTRY.register("other", other)


def upload(upload_id: str = ONE, name: str = "a.csv", media_type: str = "x/y") -> UploadRef:
    return UploadRef(upload_id, name, media_type, 3, "ab")


def known(*refs: UploadRef) -> dict[str, Upload]:
    return dict(handed_over(refs, lambda ref: Path("/data") / ref.upload_id))


def problems(params: dict[str, Any], *refs: UploadRef) -> list[tuple[str, str]]:
    with pytest.raises(TaskPushError) as caught:
        SPEC.validate_params(params, known(*refs))
    assert caught.value.code == "invalid_params"
    return [(problem.loc, problem.message) for problem in caught.value.problems]


def test_the_schema_says_what_is_taken() -> None:
    properties = SPEC.params_schema["properties"]
    assert properties["table"] == {
        "type": "string",
        "format": "taskpush-upload",
        "accept": [".csv", "text/*"],
        "max_bytes": 10,
        "title": "Table",
    }
    assert properties["more"]["items"] == {
        "type": "string",
        "format": "taskpush-upload",
        "accept": ["image/png"],
    }
    assert SPEC.takes_uploads
    assert not OTHER.takes_uploads


def test_an_id_becomes_the_file_and_stays_an_id_in_json() -> None:
    files = known(upload(), upload(TWO, "b.png", "image/png"))
    params = SPEC.validate_params({"table": ONE, "more": [TWO]}, files)
    assert params == {"table": ONE, "more": [TWO], "note": None}
    parsed = SPEC.parse_params(params, files)
    assert parsed.table == files[ONE]
    assert (parsed.table.path, parsed.more[0].name) == (Path("/data") / ONE, "b.png")


def test_an_id_that_stands_for_nothing_is_said_where_it_stands() -> None:
    message = "there is no upload of yours with this id (any more): send the file again"
    assert problems({"table": TWO}, upload()) == [("params.table", message)]
    assert problems({"table": ONE, "more": [TWO], "note": 3}, upload()) == [
        ("params.more.0", message),
        ("params.note", "an upload is named by its id, a text"),
    ]


class Read(BaseModel):
    """Its validator says on which thread it was called."""

    table: Upload
    rows: int = 1
    readers: ClassVar[list[int]] = []

    @field_validator("table")
    @classmethod
    def read(cls, table: Upload) -> Upload:
        cls.readers.append(threading.get_ident())
        return table


async def reading(ctx: TaskContext, params: Read) -> None: ...


@pytest.fixture
def readers() -> Iterator[list[int]]:
    yield Read.readers
    Read.readers.clear()


@pytest.mark.parametrize(("given", "times"), [({"rows": 2}, 1), ({}, 2), ({"rows": 2.0}, 2)])
def test_a_file_is_read_again_only_where_the_params_are_written_anew(
    readers: list[int], given: dict[str, Any], times: int
) -> None:
    spec = Registry().register("reading", reading)
    params = spec.validate_params({"table": ONE, **given}, known(upload()))
    assert orjson.dumps(params) == orjson.dumps({"table": ONE, "rows": int(given.get("rows", 1))})
    assert len(readers) == times


async def test_files_are_read_beside_the_event_loop(readers: list[int], bench: Workbench) -> None:
    """When a task is created, when its place is asked for, and when it is begun."""
    kind = bench.kind(reading)
    audit = AuditTrail(bench.store, bench.clock, bench.folder / "keys.json")
    service = TaskService(
        bench.store, bench.registry, bench.runner, bench.clock, bench.blobs, audit
    )
    shelf = UploadShelf(bench.store, bench.blobs, bench.clock)

    async def content() -> AsyncIterator[bytes]:
        yield b"x"

    kept = await shelf.take(LOCAL, NewUpload("a.csv"), content())
    params = {"table": kept.ref.upload_id, "rows": 2}
    keeper = QueueKeeper(bench.store, bench.registry, bench.clock, bench.telemetry)
    uploads = await shelf.of(LOCAL, bench.registry.require(kind), params)
    await keeper.queue_before(LOCAL, kind, params, uploads, limit=1)
    (record,) = (await service.create(LOCAL, CreateTask(kind=kind, params=params))).records
    assert (await bench.over(record.task_id)).status is Status.COMPLETED
    assert len(readers) == 3
    assert threading.get_ident() not in readers


async def test_a_stop_does_not_wait_for_a_file_that_is_being_read(bench: Workbench) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(BaseModel):
        table: Upload

        @field_validator("table")
        @classmethod
        def read(cls, table: Upload) -> Upload:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(60)
            return table

    async def slow(ctx: TaskContext, params: Slow) -> None: ...

    slow.__annotations__["params"] = Slow
    task_id = await bench.submit(bench.kind(slow), {"table": ONE}, uploads=(upload(),))
    await begun.wait()
    try:
        assert await bench.runner.stop(0.1) == 1
        assert (await bench.record(task_id)).status is Status.INTERRUPTED
    finally:
        go_on.set()


@pytest.mark.parametrize(
    ("name", "media_type", "fits"),
    [
        ("a.CSV", "application/vnd.ms-excel", True),
        ("a.txt", "Text/Plain; charset=utf-8", True),
        ("a.csv.exe", "application/x-dosexec", False),
        ("csv", "textual/thing", False),
    ],
)
def test_a_file_is_taken_by_its_ending_or_its_type(name: str, media_type: str, fits: bool) -> None:
    ref = upload(ONE, name, media_type)
    if fits:
        assert SPEC.validate_params({"table": ONE}, known(ref))
    else:
        (problem,) = problems({"table": ONE}, ref)
        assert problem == ("params.table", f"{name} is {media_type}; expected is .csv or text/*")


def test_a_file_that_is_larger_than_the_param_takes_is_refused() -> None:
    ref = UploadRef(ONE, "a.csv", "text/csv", 11, "ab")
    assert problems({"table": ONE}, ref) == [
        ("params.table", "a.csv has 11 bytes; at most 10 are taken")
    ]


def test_what_names_a_file_of_a_sensitive_param_is_taken_out_of_a_text() -> None:
    spec = Registry().register("private", private)
    record = TaskRecord(
        task_id=ONE,
        kind="private",
        tenant="local",
        owner="ann",
        params={"table": ONE, "note": TWO},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        uploads=(
            UploadRef(ONE, "pay.csv", "text/csv", 3, "abcd"),
            UploadRef(TWO, "b.csv", "text/csv", 3, "cdef"),
        ),
    )
    text = f"pay.csv at /data/{ONE}/abcd.csv is unlike b.csv at /data/{TWO}/cdef.csv"
    shown = f"*** at /data/***/***.csv is unlike b.csv at /data/{TWO}/cdef.csv"
    assert spec.redacted(text, record) == shown


def test_limits_are_said_of_uploads_only() -> None:
    with pytest.raises(TypeError, match="Annotated"):

        class _Wrong(BaseModel):
            files: Annotated[list[Upload], Accepts(".csv")]


@pytest.mark.parametrize("types", [("csv",), ("*",), ("",)])
def test_what_is_no_ending_and_no_type_is_refused(types: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="media type"):
        Accepts(*types)


def test_a_worker_is_told_of_the_same_files() -> None:
    files = known(upload(), upload(TWO))
    assert from_message(to_message(files)) == files


def test_a_handler_can_be_tried_with_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_text("a,b")
    params = Params(table=Upload.of(path))
    assert (params.table.name, params.table.media_type) == ("b.csv", "text/csv")
    assert (params.table.size_bytes, params.table.read_text()) == (3, "a,b")
    with params.table.open() as file:
        assert file.read() == params.table.read_bytes() == b"a,b"
    with pytest.raises(ValidationError, match="expected is image/png"):
        Params(table=params.table, more=[params.table])


def test_without_the_server_an_id_means_nothing() -> None:
    with pytest.raises(ValidationError, match="no upload of yours"):
        Params.model_validate({"table": ONE})
