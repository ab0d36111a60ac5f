"""Small files that hold what nobody else on the machine may read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

Version = tuple[int, int, int]
"""Changes whenever the file is replaced or written."""
UNREACHABLE: Final[Version] = (0, 0, 0)
"""Of a file in a folder that may not be looked into (any more)."""


def version_of(path: Path) -> Version | None:
    """Which state of the file is there; None when there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return UNREACHABLE
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def private_folder(path: Path) -> None:
    """Make the folder, for its owner alone; one that is there stays as it is."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def exposed_mode(folder: Path) -> str | None:
    """The folder's mode, when it lets others of the machine in; None when it does not.

    It is not changed: somebody may want that its group has a look.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    return f"{mode:04o}" if mode & ~FOLDER_MODE & 0o777 else None


def replace_private(path: Path, content: bytes) -> None:
    """Put `content` in the place of the file, wholly or not at all, also when power is lost."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time read the file and replace it; makes its folder.

    The lock is a file of its own, since the other one is replaced.
    """
    private_folder(path.parent)
    lock = path.with_name(f"{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
