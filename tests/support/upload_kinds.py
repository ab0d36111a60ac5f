"""Kinds that take files, in each style."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import BaseModel

from taskpush import Accepts, Sensitive, TaskContext, TaskPush, Upload

push = TaskPush()


class Params(BaseModel):
    """One file that has to be a table, others of any sort, and one that few may see."""

    table: Annotated[Upload, Accepts(".csv", "text/csv", max_bytes=2_000_000)]
    more: list[Upload] = []
    contract: Annotated[Upload | None, Sensitive] = None
    fail: bool = False


class Seen(BaseModel):
    """What a handler has found of a file."""

    name: str
    media_type: str
    size_bytes: int
    suffix: str
    same: bool


def _seen(upload: Upload) -> Seen:
    with upload.open() as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Seen(
        name=upload.name,
        media_type=upload.media_type,
        size_bytes=upload.size_bytes,
        suffix=upload.path.suffix,
        same=digest == upload.sha256,
    )


def _all(params: Params) -> list[Seen]:
    if params.fail:
        raise RuntimeError("asked to")
    return [_seen(upload) for upload in (params.table, *params.more)]


@push.task("read_async")
async def read_async(ctx: TaskContext, params: Params) -> list[Seen]:
    return _all(params)


@push.task("read_thread")
def read_thread(ctx: TaskContext, params: Params) -> list[Seen]:
    return _all(params)


@push.task("read_process", process=True)
def read_process(ctx: TaskContext, params: Params) -> list[Seen]:
    return _all(params)
