"""Loops that drive progress: `ctx.track`, which also answers to the names that tqdm's callers use.

Imports no asyncio: worker processes start with this module.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sized,
)
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self

from typing_extensions import TypeVar

from taskpush.core.progress import ITERATION, BadReport, ProgressReport, ProgressState
from taskpush.models.values import is_safe_number
from taskpush.runner.sendable import glimpse, plain

Item = TypeVar("Item", default=Any)

IGNORED: Final = frozenset(
    {
        "ascii",
        "bar_format",
        "colour",
        "delay",
        "disable",
        "dynamic_ncols",
        "file",
        "gui",
        "leave",
        "lock_args",
        "maxinterval",
        "miniters",
        "mininterval",
        "ncols",
        "nrows",
        "position",
        "smoothing",
        "unit_divisor",
        "unit_scale",
        "write_bytes",
    }
)
"""What tqdm's callers say of a bar's looks: watchers see progress their own way."""
_PLAIN_UNITS: Final = frozenset({None, "it", "iteration"})


class Progressed:
    """How far the task is: what was reported, and the loop that is counting."""

    def __init__(self, offer: Callable[[], Awaitable[None]], *, resumed: bool) -> None:
        self._offer = offer
        # Replaced as a whole, never changed: another thread may be reading it.
        self.reported = ProgressState(resumed=resumed)
        # None unless a loop drives progress.
        self._loop: Track[Any] | None = None

    @property
    def shown(self) -> ProgressState:
        """The state with the running loop in it."""
        state, loop = self.reported, self._loop
        if loop is None:
            return state
        try:
            return state.advance(loop.report())
        except BadReport:  # the loop is still below what was shown before it
            return state

    def begin(self, loop: Track[Any]) -> bool:
        """Let the loop drive progress, unless another one does."""
        if self._loop is None:
            self._loop = loop
        return self._loop is loop

    def offer(self) -> Awaitable[None]:
        """Have the newest state published."""
        return self._offer()

    def end(self, loop: Track[Any]) -> None:
        """Keep what the loop has shown."""
        if self._loop is loop:
            self.reported = self.shown
            self._loop = None


class Reporter(Protocol):
    """What a loop says beside its progress: the context."""

    def progress(self, *, message: str | None) -> Awaitable[None]: ...

    def stats(self, **values: object) -> Awaitable[None]: ...

    def log(self, message: str) -> Awaitable[None]: ...

    def leave_out(self, call: str, problems: list[str]) -> None: ...


class Track(Generic[Item]):
    """An iterable that shows how far it is gone through, or a count that is updated by hand.

    Made by `ctx.track`. Of the methods, only `async for` needs to be awaited; the others take
    effect at once, also in `async def` handlers.
    """

    def __init__(
        self,
        iterable: Iterable[Item] | AsyncIterable[Item] | None,
        *,
        total: float | None,
        initial: float,
        unit: str | None,
        description: str | None,
        progressed: Progressed,
        reporter: Reporter,
        pulse: Callable[[], Awaitable[None]],
    ) -> None:
        self.total = total
        # How many are done; may be set, as tqdm's `n`.
        self.n: float = initial
        self.initial = initial
        self.unit = unit
        self.desc = description
        self._iterable = iterable
        self._progressed = progressed
        self._reporter = reporter
        self._pulse = pulse
        self._begun = False
        self._drives = False

    def __iter__(self) -> Iterator[Item]:
        if self._iterable is None or isinstance(self._iterable, AsyncIterable):
            raise TypeError("there is nothing that `for` could go through")
        try:
            self._begin()
            for item in self._iterable:
                yield item
                self.update()
        finally:
            self.close()

    def __aiter__(self) -> AsyncIterator[Item]:
        if self._iterable is None:
            raise TypeError("there is nothing to go through")
        self._begin()
        return _Turns(self, aiter(_asynchronous(self._iterable)))

    def __len__(self) -> int:
        if self.total is not None:
            return int(self.total)
        iterable: object = self._iterable
        return len(iterable) if isinstance(iterable, Sized) else 0

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, n: float = 1) -> Awaitable[None]:
        """Count `n` more."""
        step: object = plain(n)
        if isinstance(step, int | float) and is_safe_number(step):
            self.n += step
        else:
            self._reporter.leave_out("track", [f"update: {glimpse(n)} is no number"])
        return self.refresh()

    def refresh(self) -> Awaitable[None]:
        """Show what was set."""
        self._begin()
        return self._progressed.offer() if self._drives else self._pulse()

    def reset(self, total: float | None = None) -> None:
        """Count from the start again; what is shown stays until it is passed."""
        self.n = self.initial
        self.total = self.total if total is None else total
        self.refresh()

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        """Say what it is about, as the progress message."""
        self.desc = desc
        self._begin()
        if self._drives:
            self._reporter.progress(message=desc or "")

    set_description_str = set_description

    def set_postfix(
        self,
        ordered_dict: Mapping[str, object] | None = None,
        refresh: bool = True,
        **values: object,
    ) -> None:
        """Set figures of the task, as `ctx.stats` does."""
        self._reporter.stats(**{**(ordered_dict or {}), **values})

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Set the figure called `postfix` to a text."""
        self._reporter.stats(postfix=s)

    def write(self, s: str, **_: object) -> None:
        """Write a line into the task's log."""
        self._reporter.log(s)

    def close(self) -> None:
        """Count no more."""
        self._progressed.end(self)
        self._drives = False

    def report(self) -> ProgressReport:
        """How far it is."""
        unit = ITERATION if self.unit in _PLAIN_UNITS else self.unit
        return ProgressReport(done=self.n, total=self.total, unit=unit, initial=self.initial)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        self._drives = self._progressed.begin(self)
        if self._drives:
            self._reporter.progress(message=self.desc)


class _Turns(AsyncIterator[Item]):
    """What `async for` holds while it goes through a `Track`.

    No async generator: when the loop is left early, that would be closed at some later turn of
    the event loop, and until then nothing else could drive progress.
    """

    def __init__(self, track: Track[Item], items: AsyncIterator[Item]) -> None:
        self._track = track
        self._items = items
        self._took = False

    async def __anext__(self) -> Item:
        if self._took:
            await self._track.update()
        try:
            item = await anext(self._items)
        except BaseException:
            self._track.close()
            raise
        self._took = True
        return item

    def __del__(self) -> None:
        self._track.close()


async def _asynchronous(
    iterable: Iterable[Item] | AsyncIterable[Item],
) -> AsyncIterator[Item]:
    if isinstance(iterable, AsyncIterable):
        async for item in iterable:
            yield item
    else:
        for item in iterable:
            yield item
