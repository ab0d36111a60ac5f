"""Artifacts, checkpoints and uploads: written aside, synced, renamed, and only then spoken of.

A file is named after its hash, so a retry never overwrites what a URL pins.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import stat
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Sequence,
)
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar
from uuid import uuid4

from taskpush.errors import StoreUnavailable
from taskpush.models.uploads import UploadRef

Result = TypeVar("Result")

MAX_BLOB_BYTES: Final = 1024**3
_PIECE_BYTES: Final = 1024 * 1024


class BadBlob(ValueError):
    """The source cannot be kept: it is too large, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What was kept."""

    sha256: str
    size_bytes: int


class Blobs:
    """The files of one data folder; used by one process at a time, as the store is.

    An artifact may have `max_bytes`, a file that a client sends for params `max_upload_bytes`.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = MAX_BLOB_BYTES,
        max_upload_bytes: int = MAX_BLOB_BYTES,
    ) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes

    async def put(self, task_id: str, source: Path | bytes) -> Blob:
        """Keep a copy of `source`; when it returns, the copy survives power loss.

        Raises `BadBlob` when the source is too large or cannot be read, and `StoreUnavailable`
        when the copy cannot be written; then nothing is left behind. Who is cancelled while
        waiting leaves the copying to end by itself.
        """
        return await asyncio.to_thread(self._put, self._artifacts(task_id), source, self._max_bytes)

    async def put_stream(self, task_id: str, pieces: AsyncIterable[bytes]) -> Blob:
        """As `put`, for content that is still coming; what `pieces` raises is raised."""
        return await self._put_stream(self._artifacts(task_id), pieces, self._max_bytes)

    def path(self, task_id: str, sha256: str) -> Path:
        """Where the content is, if it was kept."""
        return self._artifacts(task_id) / sha256

    async def put_upload(self, upload_id: str, suffix: str, pieces: AsyncIterable[bytes]) -> Blob:
        """As `put_stream`, for a file that no task has as yet.

        Its name ends in `suffix`: there are libraries that ask a name what is in a file.
        """
        folder = self._upload(upload_id)
        return await self._put_stream(folder, pieces, self._max_upload_bytes, suffix)

    def upload_path(self, upload: UploadRef) -> Path:
        """Where the content of an upload is, if it was kept."""
        return (self._upload(upload.upload_id) / f"{upload.sha256}{upload.suffix}").absolute()

    async def remove_uploads(self, upload_ids: Iterable[str]) -> None:
        """Remove the content of uploads; to be called when the store has forgotten them."""
        await asyncio.to_thread(_remove_all, map(self._upload, upload_ids))

    async def upload_ids(self) -> set[str]:
        """The uploads for which anything is kept."""
        return await asyncio.to_thread(_listed, self._root / "uploads")

    async def put_checkpoint(self, task_id: str, source: Path | bytes) -> Blob:
        """As `put`, for what an attempt can be gone on with; it lies apart from artifacts."""
        return await asyncio.to_thread(
            self._put, self._checkpoints(task_id), source, MAX_BLOB_BYTES
        )

    def checkpoint_path(self, task_id: str, sha256: str) -> Path:
        """Where that checkpoint's content is, if it was kept."""
        return self._checkpoints(task_id) / sha256

    async def read_checkpoint(self, task_id: str, sha256: str) -> bytes:
        """The content; raises `BadBlob` when it is gone, or not what was kept."""
        return await asyncio.to_thread(self._read_checkpoint, task_id, sha256)

    async def drop_checkpoints(self, task_id: str, *, but: str | None = None) -> None:
        """Remove the task's checkpoints, all `but` the one with that hash.

        To be called when the task's record does not name the others (any more).
        """
        await asyncio.to_thread(self._drop_checkpoints, task_id, but)

    async def remove(self, *task_ids: str) -> None:
        """Remove all that is kept for the tasks; to be called when the store has forgotten them."""
        await asyncio.to_thread(self._remove, task_ids)

    async def sizes(self, task_ids: Sequence[str]) -> list[int]:
        """How many bytes are kept for each of the tasks."""
        return await asyncio.to_thread(lambda: [self._size(task_id) for task_id in task_ids])

    async def task_ids(self) -> Collection[str]:
        """The tasks for which anything is kept."""
        return await asyncio.to_thread(self._task_ids)

    def spool(self, name: str) -> Path:
        """A folder for what a worker process hands over; whoever asks removes it."""
        return (self._root / "spool" / name).absolute()

    async def sweep(self) -> None:
        """Remove what a killed server left half-written. To be called before the first `put`."""
        await asyncio.to_thread(shutil.rmtree, self._root / "spool", ignore_errors=True)

    def _task_ids(self) -> Collection[str]:
        return _listed(self._root / "artifacts") | _listed(self._root / "checkpoints")

    def _artifacts(self, task_id: str) -> Path:
        return self._root / "artifacts" / task_id

    def _checkpoints(self, task_id: str) -> Path:
        return self._root / "checkpoints" / task_id

    def _upload(self, upload_id: str) -> Path:
        return self._root / "uploads" / upload_id

    def _remove(self, task_ids: Iterable[str]) -> None:
        for task_id in task_ids:
            _remove_all((self._artifacts(task_id), self._checkpoints(task_id)))

    def _size(self, task_id: str) -> int:
        size_bytes = 0
        for folder in (self._artifacts(task_id), self._checkpoints(task_id)):
            # Most tasks have none; a file may go while it is looked at.
            with suppress(OSError), os.scandir(folder) as files:
                size_bytes += sum(file.stat().st_size for file in files)
        return size_bytes

    def _read_checkpoint(self, task_id: str, sha256: str) -> bytes:
        with _opened(self.checkpoint_path(task_id, sha256)) as file:
            try:
                content = file.read()
            except OSError as error:
                raise BadBlob(error.strerror or "cannot be read") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BadBlob("not what was written")
        return content

    def _drop_checkpoints(self, task_id: str, but: str | None) -> None:
        folder = self._checkpoints(task_id)
        for each in folder.iterdir() if folder.is_dir() else ():
            if each.name != but:
                # What stays behind goes with the next one.
                with suppress(OSError):
                    each.unlink()

    async def _put_stream(
        self, folder: Path, pieces: AsyncIterable[bytes], max_bytes: int, suffix: str = ""
    ) -> Blob:
        part: _Part | None = None

        def begin() -> _Part:
            nonlocal part
            part = self._begin(max_bytes)
            return part

        try:
            begun = await _to_the_end(begin)
            async for piece in _gathered(pieces):
                await _to_the_end(_written, begun, piece)
            return await _to_the_end(self._finish, begun, folder, suffix)
        finally:
            if part is not None:
                await _to_the_end(part.discard)

    def _put(self, folder: Path, source: Path | bytes, max_bytes: int) -> Blob:
        with _opened(source) as content:
            part = self._begin(max_bytes)
            try:
                while piece := _read(content):
                    _written(part, piece)
                return self._finish(part, folder)
            finally:
                part.discard()

    def _begin(self, max_bytes: int) -> _Part:
        spool = self.spool("")
        try:
            _make_folder(spool)
            return _Part(spool / f"part-{uuid4().hex}", max_bytes)
        except OSError as error:
            raise _unwritable(error) from error

    def _finish(self, part: _Part, folder: Path, suffix: str = "") -> Blob:
        try:
            return part.keep(folder.absolute(), suffix)
        except OSError as error:
            raise _unwritable(error) from error


class _Part:
    """A file that is being written aside."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._out = path.open("xb")

    def write(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes > self._max_bytes:
            raise BadBlob(f"larger than {self._max_bytes} bytes")
        self._digest.update(piece)
        self._out.write(piece)

    def keep(self, folder: Path, suffix: str) -> Blob:
        """Sync it, and move it to where it belongs."""
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        blob = Blob(self._digest.hexdigest(), self._size_bytes)
        _make_folder(folder)
        self._path.rename(folder / f"{blob.sha256}{suffix}")
        _sync_folder(folder)
        return blob

    def discard(self) -> None:
        """Leave nothing behind of what was not kept."""
        # A full disk fails the close as it failed the write before.
        with suppress(OSError):
            self._out.close()
        self._path.unlink(missing_ok=True)


async def _to_the_end(work: Callable[..., Result], *given: Any) -> Result:
    """Do it in a thread. Who is cancelled is so when it is done: nothing goes on by itself."""
    step = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await asyncio.wait([step])
        raise


def _written(part: _Part, piece: bytes) -> None:
    try:
        part.write(piece)
    except OSError as error:
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"the file cannot be written: {error.strerror}")


async def _gathered(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same content in larger pieces: each is a visit to a thread."""
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if len(waiting) >= _PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _opened(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        # Not to wait for the other end of a pipe.
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise BadBlob(getattr(error, "strerror", None) or "not a path") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BadBlob("not a regular file")
    return os.fdopen(handle, "rb")


def _read(content: BinaryIO) -> bytes:
    try:
        return content.read(_PIECE_BYTES)
    except OSError as error:
        raise BadBlob(error.strerror or "cannot be read") from error


def _remove_all(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _listed(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _make_folder(folder: Path) -> None:
    """Make `folder` and what is above it, each entry synced."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
