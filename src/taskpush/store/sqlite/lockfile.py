"""One process at a time: a lock that the kernel lets go of when its holder ends, however."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from taskpush.errors import StoreLocked


def acquire_lock(path: Path) -> int:
    """Take the lock and give the descriptor that holds it; raises `StoreLocked` when it is taken.

    The file stays when the lock is released: removing it would let two processes hold a lock each,
    on two files of one name.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
    except BlockingIOError:
        holder = _holder(descriptor)
        os.close(descriptor)
        raise StoreLocked(f"another server{holder} has this data folder open") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def release_lock(descriptor: int) -> None:
    """Let the next one in."""
    os.close(descriptor)


def _holder(descriptor: int) -> str:
    # For people only; the holder may be about to write it.
    with contextlib.suppress(ValueError):
        return f" (process {int(os.read(descriptor, 20))})"
    return ""
