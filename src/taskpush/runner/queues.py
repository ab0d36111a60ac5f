"""Who is next: the waiting tasks of one kind, and those whose time has not come."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from taskpush.runner.kind import KindSpec
from taskpush.runner.policy import Key
from taskpush.store.base import Waiting


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A task in line. Lowest first: by higher priority, then by the order of announcement."""

    rank: tuple[int, int]
    task_id: str
    # Of a kind with a `concurrency_key`: None until it was made from the task.
    key: Key | None = field(default=None, compare=False)


@dataclass(slots=True)
class Slot:
    """A place to run in, and who has it."""

    entry: Entry
    # The key that it occupies; None while it occupies none.
    key: Key | None = None


class KindQueue:
    """The waiting tasks of one kind: as many as the store holds pending, so bounded by it."""

    def __init__(self, spec: KindSpec) -> None:
        self.spec = spec
        self._entries: list[Entry] = []
        self._running = 0
        self._busy: set[Key] = set()
        # By key, those found to wait for it. While there are any, the key is busy or another
        # entry with it is in line: whoever leaves the key sends the next one there.
        self._behind: defaultdict[Key, list[Entry]] = defaultdict(list)

    def put(self, entry: Entry) -> None:
        """Let it wait."""
        heapq.heappush(self._entries, entry)

    def next(self) -> Slot | None:
        """Take out who is next, if a slot is free for it."""
        while self._entries and self._running < self.spec.concurrency:
            entry = heapq.heappop(self._entries)
            slot = Slot(entry)
            if entry.key is None or self.occupy(slot, entry.key):
                self._running += 1
                return slot
        return None

    def occupy(self, slot: Slot, key: Key) -> bool:
        """Take the key, or put who has the slot behind those that wait for it."""
        if key in self._busy:
            entry = Entry(slot.entry.rank, slot.entry.task_id, key)
            heapq.heappush(self._behind[key], entry)
            return False
        slot.key = key
        self._busy.add(key)
        return True

    def leave(self, slot: Slot) -> None:
        """The slot is free, and so is its key."""
        self._running -= 1
        if slot.key is None:
            return
        self._busy.discard(slot.key)
        if behind := self._behind.get(slot.key):
            self.put(heapq.heappop(behind))
            if not behind:
                del self._behind[slot.key]


class Delays:
    """Tasks whose time has not come, earliest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Waiting]] = []

    def put(self, run_at: datetime, order: int, task: Waiting) -> None:
        """Keep it until `run_at`; `order` is its own among all tasks."""
        heapq.heappush(self._heap, (run_at, order, task))

    def due(self, now: datetime) -> Sequence[tuple[int, Waiting]]:
        """Take out those whose time has come, each with its order."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            _, order, task = heapq.heappop(self._heap)
            found.append((order, task))
        return found

    def due_in_s(self, now: datetime) -> float | None:
        """Seconds until the first; None when there is none."""
        return (self._heap[0][0] - now).total_seconds() if self._heap else None

    def clear(self) -> None:
        """Forget all."""
        self._heap.clear()
