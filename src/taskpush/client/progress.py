"""A bar for one task: in terminals, and in notebooks."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from taskpush.client.events import WatchItem

_OVER: Final = ("completed", "failed", "cancelled", "interrupted")


class Display(Protocol):
    """Shows how far a task is."""

    def show(self, item: WatchItem) -> None:
        """Show what the item changes. Any thread may call this, one at a time."""
        ...


@contextmanager
def displayed(kind: str, *, wanted: bool = True) -> Iterator[Display]:
    """What fits the place where the program runs, from now to the end of the block.

    To be entered by the thread that asks for it: a notebook shows it below that thread's cell.
    """
    if not wanted:
        yield Nothing()
    elif in_notebook():
        yield NotebookBar(kind)
    else:
        with _terminal_bar(kind) as bar:
            yield bar


def in_notebook() -> bool:
    """Whether IPython runs this as a notebook's kernel."""
    # Nobody who has not loaded it runs in it.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Nothing:
    """Shows nothing."""

    def show(self, item: WatchItem) -> None:
        pass


class NotebookBar:
    """A bar of HTML, which the browser draws: it needs no widgets."""

    def __init__(self, kind: str) -> None:
        # Only there where a notebook runs.
        from IPython import display  # type: ignore[import-not-found]

        self._html = display.HTML
        self._state = Progress(kind)
        self._handle = display.display(self._html(as_html(self._state)), display_id=True)

    def show(self, item: WatchItem) -> None:
        if self._state.take(item):
            self._handle.update(self._html(as_html(self._state)))


class Progress:
    """How far a task is, by what its events say."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.text = "waiting"
        # None while nobody knows how much there is to do.
        self.percent: float | None = None
        # None while there is no estimate.
        self.eta_s: float | None = None
        self.over = False

    def take(self, item: WatchItem) -> bool:
        """Note what the item says; False when that changes nothing."""
        data = item.data
        match item.event_type:
            case "progress":
                self.percent = _number(data.get("progress_percent"))
                self.eta_s = _number(data.get("eta_seconds"))
                self.text = _line(data.get("stage") or data.get("message") or "running")
            case "queue":
                self.text = f"queue position {data.get('position')}"
            case "status_change" | "resync":
                self.text = _line(data.get("status"))
                self.over = self.text in _OVER
                self.eta_s = None
                if self.text == "completed":
                    self.percent = 100.0
            case _:
                return False
        return True


def as_html(state: Progress) -> str:
    """The bar as HTML; nothing that a job says is taken for markup."""
    value = "" if state.percent is None else f' value="{state.percent:.1f}"'
    if state.percent is None and state.over:
        value = ' value="0"'
    percent = "" if state.percent is None else f" {state.percent:.0f} %"
    left = "" if state.eta_s is None else f", {state.eta_s:.0f} s left"
    said = html.escape(f"{state.text}{left}")
    return f'{html.escape(state.kind)} <progress max="100"{value}></progress>{percent} {said}'


@contextmanager
def _terminal_bar(kind: str) -> Iterator[Display]:
    # Only those who want a bar pay for loading it.
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.fields[kind]}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as shown:
        bar = shown.add_task("waiting", total=None, kind=kind)

        class Bar:
            state = Progress(kind)

            def show(self, item: WatchItem) -> None:
                if self.state.take(item):
                    percent = self.state.percent
                    left = "" if self.state.eta_s is None else f", {self.state.eta_s:.0f} s left"
                    shown.update(
                        bar,
                        total=None if percent is None and not self.state.over else 100.0,
                        completed=percent or 0.0,
                        description=f"{self.state.text}{left}",
                    )

        yield Bar()


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _line(value: object) -> str:
    """What a job says, on one line and without what would steer a terminal."""
    return "".join(each for each in " ".join(str(value).split()) if each.isprintable())
