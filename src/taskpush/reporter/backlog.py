"""What a job has said and the server has not taken yet: bounded, merged, numbered. No I/O.

Logged events keep their order and are kept until the server has taken them; of volatile ones only
the newest of each type. They get their numbers when a batch is made, and a batch that was not
answered is sent again as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from taskpush.models.producing import MAX_BATCH

MAX_EVENTS: Final = 10_000
MAX_BYTES: Final = 8 * 1024 * 1024
"""So much waits at most, together with what was sent and is not answered."""
BATCH_BYTES: Final = 256 * 1024
FREED: Final = 0.1
"""The share that is freed when there is no room: so often, and no oftener, it is looked for."""
REMEMBERED_EVENTS: Final = 1_000
REMEMBERED_BYTES: Final = 512 * 1024
"""So much that was taken is kept, for a server that lost its newest events with the power."""
MAX_FILES: Final = 100
"""So many files wait at most: the job needs descriptors, too."""
OVERHEAD_BYTES: Final = 100
"""What an event takes in a batch besides its data."""

VOLATILE: Final = frozenset({"progress", "stats", "preview"})
_GIVEN_UP: Final = ("log", "iteration_complete")
"""What is left out when there is no room, the first of these first."""


@dataclass(frozen=True, slots=True)
class Said:
    """One event, as it travels, but for its number."""

    event_type: str
    data: Mapping[str, Any]
    size_bytes: int = OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class File:
    """A file to hand over, in its place among the events."""

    name: str
    media_type: str
    # An open file's descriptor, or the content.
    source: int | bytes

    @property
    def size_bytes(self) -> int:
        """What it takes of the memory."""
        return len(self.source) if isinstance(self.source, bytes) else OVERHEAD_BYTES


@dataclass(slots=True)
class Missing:
    """Stands where events were left out because there was no room."""

    lines: int = 0
    iterations: int = 0
    size_bytes: int = 2 * OVERHEAD_BYTES

    def said(self) -> Said:
        """The line that says so."""
        parts = [
            f"{count} {what}{'' if count == 1 else 's'}"
            for count, what in ((self.lines, "log line"), (self.iterations, "iteration"))
            if count
        ]
        verb = "is" if self.lines + self.iterations == 1 else "are"
        message = f"{' and '.join(parts)} {verb} missing here: more was said than could be kept"
        fields = {"missing_lines": self.lines, "missing_iterations": self.iterations}
        data = {"level": "warning", "message": message, "fields": fields}
        return Said("log", data, self.size_bytes)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are sent together; the first has the number `first`."""

    first: int
    events: tuple[Said, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1

    def numbered(self) -> list[dict[str, Any]]:
        """The events as they travel."""
        return [
            {"producer_seq": number, "event_type": said.event_type, "data": said.data}
            for number, said in enumerate(self.events, self.first)
        ]


def _itself(said: Said) -> Said:
    return said


Read = Callable[[], Said]


class Backlog:
    """What waits, what is under way, and a little of what was taken."""

    def __init__(self, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._waiting: deque[Said | File | Missing] = deque()
        self._waiting_bytes = 0
        # How to read the newest state of each type; of what was put back, the state itself.
        self._states: dict[str, Read] = {}
        # The last of all; None while the job goes on.
        self._end: Said | None = None
        # None unless a batch was made that is not answered.
        self._flight: Batch | None = None
        self._taken: deque[tuple[int, Said]] = deque()
        self._taken_bytes = 0
        self._next_seq = 1
        self._batch_bytes = BATCH_BYTES
        # How many events were left out for want of room.
        self.left_out = 0

    # ------------------------------------------------------------ what the job says

    @property
    def ended(self) -> bool:
        """Whether the job has said how it ended: nothing follows."""
        return self._end is not None

    def say(self, said: Said) -> None:
        """A logged event."""
        self._add(said)

    def show(self, event_type: str, read: Read) -> None:
        """There is a newer volatile state; it is read when it is sent."""
        self._states[event_type] = read

    def hand_over(self, file: File) -> bool:
        """A file; False when there is no room for it."""
        files = sum(isinstance(entry, File) for entry in self._waiting)
        if files >= MAX_FILES or file.size_bytes > self._max_bytes * (1 - FREED):
            return False
        self._add(file)
        return True

    def end(self, said: Said) -> None:
        """How the attempt ended; the first word holds."""
        if self._end is None:
            self._end = said

    # ------------------------------------------------------------ what is sent

    @property
    def empty(self) -> bool:
        """Whether the server has taken everything."""
        return not (self._flight or self._waiting or self._states or self._end is not None)

    @property
    def waiting(self) -> int:
        """How much there is to send."""
        return len(self._waiting) + len(self._states) + (self._end is not None)

    @property
    def logged(self) -> int:
        """How many logged events and files the server has not taken."""
        flight = self._flight.events if self._flight is not None else ()
        under_way = [said for said in flight if said.event_type not in VOLATILE]
        ending = self._end is not None and self._end not in under_way
        return len(under_way) + len(self._waiting) + ending

    def next(self) -> Batch | File | None:
        """What is to be sent now, the same until it is answered; None when nothing is."""
        if self._flight is None and self._waiting and isinstance(self._waiting[0], File):
            return self._waiting[0]
        if self._flight is None:
            self._flight = self._batch()
        return self._flight

    def taken(self, expected: int) -> None:
        """The server has taken the batch, and says which number it expects next."""
        flight = self._flight
        assert flight is not None
        self._flight = None
        self._next_seq = flight.last + 1
        for numbered in enumerate(flight.events, flight.first):
            self._remember(*numbered)
        if flight.events[-1] is self._end:
            self._end = None
            self.over()
        elif expected < self._next_seq:
            self.go_on_with(expected)

    def handed_over(self) -> File:
        """The server has the file, or it is given up."""
        file = self._waiting.popleft()
        assert isinstance(file, File)
        self._waiting_bytes -= file.size_bytes
        return file

    def go_on_with(self, expected: int) -> int:
        """The server lost events, or another numbering holds: number anew from there.

        Gives how many events are lost for good.
        """
        self._put_back()
        again = [(number, said) for number, said in self._taken if number >= expected]
        oldest = again[0][0] if again else self._next_seq
        self._requeue(said for _, said in again if said.event_type not in VOLATILE)
        for _ in again:
            self._taken_bytes -= self._taken.pop()[1].size_bytes
        self._next_seq = expected
        return max(0, oldest - expected)

    def begin_anew(self, start: Said) -> None:
        """Another attempt begins: number from 1, and say first that it runs."""
        self._put_back()
        self._taken.clear()
        self._taken_bytes = 0
        self._next_seq = 1
        self._requeue([start])

    def replace(self, index: int, said: Said) -> None:
        """Say something else in the place of one event of the batch, which was refused."""
        flight = self._flight
        assert flight is not None
        events = list(flight.events)
        if events[index] is self._end:
            self._end = said
        events[index] = said
        self._flight = Batch(flight.first, tuple(events))

    def split(self) -> None:
        """The batch was too large, though it has several events: make smaller ones."""
        flight = self._flight
        assert flight is not None
        size_bytes = sum(said.size_bytes for said in flight.events)
        self._batch_bytes = max(1, min(self._batch_bytes, size_bytes) // 2)
        self._put_back()

    def over(self) -> Sequence[File]:
        """Nothing is sent any more; gives the files that were not handed over."""
        files = [each for each in self._waiting if isinstance(each, File)]
        self._waiting.clear()
        self._waiting_bytes = 0
        self._states.clear()
        self._flight = None
        self._end = None
        return files

    # ------------------------------------------------------------ how

    def _add(self, entry: Said | File) -> None:
        self._waiting.append(entry)
        self._waiting_bytes += entry.size_bytes
        if len(self._waiting) > self._max_events or self._waiting_bytes > self._max_bytes:
            self._make_room()

    def _batch(self) -> Batch | None:
        events: list[Said] = []
        room = self._batch_bytes
        while self._waiting and len(events) < MAX_BATCH - len(VOLATILE) - 1:
            entry = self._waiting[0]
            if isinstance(entry, File) or (events and entry.size_bytes > room):
                break
            self._waiting.popleft()
            self._waiting_bytes -= entry.size_bytes
            room -= entry.size_bytes
            events.append(entry.said() if isinstance(entry, Missing) else entry)
        events += self._newest(room if events else None)
        if not self._waiting and not self._states and self._end is not None:
            events.append(self._end)
        return Batch(self._next_seq, tuple(events)) if events else None

    def _newest(self, room: int | None) -> Iterable[Said]:
        """The newest states, as far as there is room; None: one at least."""
        for event_type in list(self._states):
            if room is not None and room <= 0:
                return
            said = self._states.pop(event_type)()
            room = (self._batch_bytes if room is None else room) - said.size_bytes
            yield said

    def _put_back(self) -> None:
        flight, self._flight = self._flight, None
        if flight is None:
            return
        for said in flight.events:
            if said.event_type in VOLATILE:
                self._states.setdefault(said.event_type, partial(_itself, said))
        self._requeue(
            said
            for said in flight.events
            if said.event_type not in VOLATILE and said is not self._end
        )

    def _requeue(self, events: Iterable[Said]) -> None:
        kept = list(events)
        self._waiting.extendleft(reversed(kept))
        self._waiting_bytes += sum(said.size_bytes for said in kept)

    def _remember(self, number: int, said: Said) -> None:
        self._taken.append((number, said))
        self._taken_bytes += said.size_bytes
        while len(self._taken) > REMEMBERED_EVENTS or self._taken_bytes > REMEMBERED_BYTES:
            self._taken_bytes -= self._taken.popleft()[1].size_bytes

    def _make_room(self) -> None:
        """Leave out the oldest log lines, and say in their place how many; then iterations."""
        for event_type in _GIVEN_UP:
            if len(self._waiting) > self._max_events or self._waiting_bytes > self._max_bytes:
                self._leave_out(event_type)

    def _leave_out(self, event_type: str) -> None:
        too_many = len(self._waiting) - int(self._max_events * (1 - FREED))
        too_much = self._waiting_bytes - int(self._max_bytes * (1 - FREED))
        kept: deque[Said | File | Missing] = deque()
        gap: Missing | None = None
        for entry in self._waiting:
            if isinstance(entry, Missing):
                gap = self._joined(gap, entry, kept)
                continue
            wanted = too_many > 0 or too_much > 0
            if wanted and isinstance(entry, Said) and entry.event_type == event_type:
                too_many, too_much = too_many - 1, too_much - entry.size_bytes
                one = Missing(event_type == "log", event_type != "log")
                gap = self._joined(gap, one, kept)
                self.left_out += 1
            else:
                kept.append(entry)
        self._waiting = kept
        self._waiting_bytes = sum(entry.size_bytes for entry in kept)

    @staticmethod
    def _joined(gap: Missing | None, more: Missing, kept: deque[Said | File | Missing]) -> Missing:
        """One line for all that is missing, where the first of it was."""
        if gap is None:
            kept.append(more)
            return more
        gap.lines += more.lines
        gap.iterations += more.iterations
        return gap
