"""The hub: who watches which task in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.store.base import TaskDeleted

GROUP: Final = 64
"""So many are told of an event, then written to, before the next ones are told: what is looked at
for the one is still near for the other, and the first have it while the last have yet to be told.
"""


class Watcher(Protocol):
    """Is told of one task's events as they are committed; must not block, await or raise."""

    def on_logged(self, event: LoggedEvent) -> None: ...

    def on_volatile(self, event: VolatileEvent) -> None: ...

    def on_deleted(self) -> None: ...


class Hub:
    """Hands each committed event to the watchers of its task, at once, in commit order.

    It keeps nothing: whoever attaches sees what is committed from then on, and reads the store
    for what was before.
    """

    def __init__(self, told_some: Callable[[], None]) -> None:
        """`told_some` is called when some of many have been told all there is to tell."""
        self._watchers: dict[str, dict[Watcher, None]] = {}
        self._told_some = told_some
        # How often somebody was told of an event; not of previews, which few ask for.
        self.told = 0

    def __len__(self) -> int:
        """How many tasks are watched."""
        return len(self._watchers)

    def attach(self, task_id: str, watcher: Watcher) -> None:
        """Start telling `watcher`; attaching twice is the same as once."""
        self._watchers.setdefault(task_id, {})[watcher] = None

    def detach(self, task_id: str, watcher: Watcher) -> None:
        """Stop telling `watcher`; does nothing when it is not attached."""
        watchers = self._watchers.get(task_id)
        if watchers is None:
            return
        watchers.pop(watcher, None)
        if not watchers:
            del self._watchers[task_id]

    def watched(self, task_id: str) -> int:
        """How many watch the task."""
        return len(self._watchers.get(task_id, ()))

    def announce(self, events: Sequence[LoggedEvent | VolatileEvent | TaskDeleted]) -> None:
        """Tell of events; the store calls it, after the commit."""
        for event in events:
            watchers = self._watchers.get(event.task_id)
            if watchers is None:
                continue
            # Copies, since a watcher may detach while it is told.
            match event:
                case LoggedEvent():
                    told = tuple(watchers)
                    self.told += len(told)
                    if len(told) > GROUP and event is events[-1]:
                        self._tell_in_groups(event, told)
                    else:
                        for watcher in told:
                            watcher.on_logged(event)
                case VolatileEvent():
                    if event.event_type is not EventType.PREVIEW:
                        self.told += len(watchers)
                    for watcher in tuple(watchers):
                        watcher.on_volatile(event)
                case TaskDeleted():
                    for watcher in tuple(watchers):
                        watcher.on_deleted()

    def _tell_in_groups(self, event: LoggedEvent, watchers: Sequence[Watcher]) -> None:
        for first in range(0, len(watchers), GROUP):
            for watcher in watchers[first : first + GROUP]:
                watcher.on_logged(event)
            self._told_some()
