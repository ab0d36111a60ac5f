"""What the SQLite store holds open: the lock, five connections, four threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import apsw

from taskpush.errors import StoreUnavailable
from taskpush.models.uploads import KeptUpload
from taskpush.store.base import IdempotencyKey
from taskpush.store.batch import Batch
from taskpush.store.calls import Entry, Stored
from taskpush.store.changes import History
from taskpush.store.sqlite.database import Database, open_database
from taskpush.store.sqlite.lockfile import acquire_lock, release_lock
from taskpush.store.sqlite.reader import Reader
from taskpush.store.sqlite.surveyor import Surveyor
from taskpush.store.sqlite.tails import RecentEvents

Answer = TypeVar("Answer")

AGAIN_S: Final = 0.02
"""Between two interruptions of those who look at many tasks."""

MAX_ROWS_ON_LOOP: Final = 64
"""Some tenths of a millisecond; below it, the way to the thread and back costs more."""


class Files:
    """Made by `open_files`.

    `commit`, `tidy` and `shrink` are called one after the other, never at once: they share a
    connection.
    """

    def __init__(
        self,
        lock: int,
        database: Database,
        *,
        reader: Reader,
        peeker: Reader,
        lister: Reader,
        surveyor: Surveyor,
        writing: ThreadPoolExecutor,
        history: History,
    ) -> None:
        self._lock = lock
        self._database = database
        self._reader = reader
        # For single tasks, on the event loop: some tens of microseconds each.
        self._peeker = peeker
        # For what looks at many tasks, so that nobody who reads one waits for it.
        self._lister = lister
        self._surveyor = surveyor
        self._surveying = ThreadPoolExecutor(1, thread_name_prefix="taskpush-store-survey")
        self._browsing = ThreadPoolExecutor(1, thread_name_prefix="taskpush-store-browse")
        self._writing = writing
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="taskpush-store-read")
        self.last_order = database.last_order()
        self.reserved_rev = database.reserved_rev()
        self.pending = database.pending()
        self.history = history
        self.recent = RecentEvents()

    def load(self, task_ids: Collection[str], keys: Collection[IdempotencyKey]) -> Stored:
        """What is committed of the tasks and the keys; read on the calling thread."""
        with _readable():
            return self._peeker.stored(task_ids, keys)

    def load_uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        """What is committed of the uploads; read on the calling thread."""
        with _readable():
            return self._peeker.uploads(upload_ids)

    def peek(self, task_id: str) -> Entry | None:
        """One committed entry; read on the calling thread."""
        with _readable():
            return self._peeker.entry(task_id)

    async def ask(self, question: Callable[[Reader], Answer]) -> Answer:
        """What `question` says of the file, in the reader thread."""
        with _readable():
            return await asyncio.get_running_loop().run_in_executor(
                self._reading, question, self._reader
            )

    async def browse(self, question: Callable[[Reader], Answer]) -> Answer:
        """What `question` says of a list of tasks, in a thread where it may take its time."""
        with _readable():
            return await asyncio.get_running_loop().run_in_executor(
                self._browsing, question, self._lister
            )

    async def survey(self, question: Callable[[Surveyor], Answer]) -> Answer:
        """What `question` says of all tasks: it may take seconds, and no list waits for it."""
        with _readable():
            return await asyncio.get_running_loop().run_in_executor(
                self._surveying, question, self._surveyor
            )

    async def shrink(self) -> bool:
        """Give back some unused pages, in the writer thread; whether there are more."""
        return await asyncio.get_running_loop().run_in_executor(
            self._writing, self._database.shrink
        )

    async def commit(self, batch: Batch) -> None:
        """Commit: at once what is small and not synced, else in the writer thread."""
        placement = self.recent.place(batch)
        if batch.synced or batch.row_count + placement.row_count > MAX_ROWS_ON_LOOP:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._writing, self._database.commit, batch, placement)
        else:
            self._database.commit(batch, placement)
        self.recent.apply(placement)

    async def tidy(self) -> None:
        """Make a checkpoint when the WAL has grown enough."""
        if self._database.wants_checkpoint:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._writing, self._database.checkpoint)

    async def close(self) -> None:
        """Let the questions about single tasks be answered, then let go of everything.

        Those that look at many tasks are cut short: a server that stops can't wait for them.
        """
        loop = asyncio.get_running_loop()
        try:
            await self._cut_short()
            await loop.run_in_executor(self._reading, self._reader.close)
            await loop.run_in_executor(self._browsing, self._lister.close)
            await loop.run_in_executor(self._surveying, self._surveyor.close)
        finally:
            await loop.run_in_executor(self._writing, self._close_writing)
            self._reading.shutdown()
            self._browsing.shutdown()
            self._surveying.shutdown()
            self._writing.shutdown()

    async def _cut_short(self) -> None:
        looked = asyncio.get_running_loop().run_in_executor(self._surveying, _do_nothing)
        while not looked.done():
            self._lister.interrupt()
            self._surveyor.interrupt()
            # Another one may have been in line.
            await asyncio.wait([looked], timeout=AGAIN_S)

    def _close_writing(self) -> None:
        try:
            self._peeker.close()
            self._database.close()
        finally:
            release_lock(self._lock)


@contextlib.contextmanager
def look_into(path: Path) -> Iterator[Surveyor]:
    """Asks about the tasks of a file that may be open elsewhere, and changes nothing.

    Raises `StoreUnavailable`, also for a file of another version.
    """
    with _openable(), contextlib.closing(Surveyor(path.resolve())) as surveyor:
        surveyor.check()
        yield surveyor


async def open_files(path: Path, epoch: str) -> Files:
    """Open everything in a thread (a long WAL may have to be read), the lock first.

    `epoch` names this opening.

    Raises `StoreLocked` and `StoreUnavailable`.
    """
    writing = ThreadPoolExecutor(1, thread_name_prefix="taskpush-store-write")
    try:
        return await asyncio.get_running_loop().run_in_executor(
            writing, _open, path, epoch, writing
        )
    except BaseException:
        writing.shutdown(wait=False)
        raise


def _open(path: Path, epoch: str, writing: ThreadPoolExecutor) -> Files:
    with contextlib.ExitStack() as stack, _openable():
        # Two names of one file must not give two locks.
        path = path.resolve()
        lock = acquire_lock(path.with_name(f"{path.name}.lock"))
        stack.callback(release_lock, lock)
        database = open_database(path)
        stack.callback(database.close)
        database.settle_recent()
        history = database.begin_era(epoch)
        reader = Reader(path)
        stack.callback(reader.close)
        peeker = Reader(path)
        stack.callback(peeker.close)
        lister = Reader(path)
        stack.callback(lister.close)
        surveyor = Surveyor(path)
        stack.callback(surveyor.close)
        files = Files(
            lock,
            database,
            reader=reader,
            peeker=peeker,
            lister=lister,
            surveyor=surveyor,
            writing=writing,
            history=history,
        )
        stack.pop_all()
        return files


def _do_nothing() -> None:
    """Done when everything before it is."""


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StoreUnavailable("the store cannot be read") from error


@contextlib.contextmanager
def _openable() -> Iterator[None]:
    try:
        yield
    except apsw.NotADBError as error:
        raise StoreUnavailable("the data file is not a database") from error
    except apsw.Error as error:
        raise StoreUnavailable(f"the data file cannot be opened: {error}") from error
    except OSError as error:
        # Its own text would show the path to clients.
        raise StoreUnavailable(f"the data file cannot be opened: {error.strerror}") from error
