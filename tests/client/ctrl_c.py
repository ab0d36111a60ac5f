"""Ctrl-C, as the terminal sends it: a real signal, which interrupts what blocks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Python's own handler, even where the test run was started with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def press_ctrl_c() -> None:
    """From any thread."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def press_ctrl_c_and(call: Callable[..., Result], *args: object) -> Result:
    """Press it from another thread, while the call is under way or just before."""
    threading.Thread(target=press_ctrl_c).start()
    return call(*args)
