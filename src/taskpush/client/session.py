"""One watch of one task, as a value: what arrives goes in, what the application sees comes out.

No I/O, no clock. The owner tells of the link, of answers and of events, sends what
`next_request` asks for, and hands out what `take` gives. Promise 1 is kept here: the items are
the log from the position on, without a gap, a duplicate or a change of order, or they say
`Resync`. Source of the rules: protocol sections 1 and 2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Literal

from taskpush.client.errors import BadAnswer, ClientError, RequestRefused
from taskpush.client.events import Resync, WatchEvent, WatchItem, parse_position
from taskpush.errors import CODES
from taskpush.models.position import START, Position

CAPACITY: Final = 1024
"""Items held for an application that does not take them."""
MAX_TRIES: Final = 8
"""Refusals for the moment, or gaps at the same place, in a row, before the watch fails."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Send `subscribe` with `payload`, and pass the answer on together with `number`."""

    number: int
    payload: Mapping[str, Any]
    # How many in a row came to nothing: to be sent after a wait that grows with it.
    failures: int


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Send `unsubscribe` with `payload`; the answer says nothing."""

    payload: Mapping[str, Any]


class _Phase(Enum):
    OFFLINE = auto()
    # There is a link, and a subscription has to be asked for.
    IDLE = auto()
    # It was asked for. What still arrives belongs to an earlier subscription.
    ASKED = auto()
    # The answer said `resync`, which has not come yet.
    CUT = auto()
    LIVE = auto()
    OVER = auto()


class WatchSession:
    """The state of one watch across any number of links.

    `after` None means the retained log from its start. The watch is over after the event that
    ends the task for good (`final`), and also after `interrupted`, since nothing executes the
    task then, unless `past_interruption`.
    """

    def __init__(
        self,
        task_id: str,
        *,
        after: Position | Literal["now"] | None = None,
        past_interruption: bool = False,
        previews: bool = False,
        capacity: int = CAPACITY,
    ) -> None:
        self.task_id = task_id
        # Last logged event that was let through; None until the server has said where it starts.
        self.position = after if isinstance(after, Position) else None
        # Newest status that was seen; None until one was.
        self.status: str | None = None
        # Why the watch ended before the task did; None when it did not.
        self.failure: ClientError | None = None
        self._from_now = after == "now"
        self._past_interruption = past_interruption
        self._previews = previews
        self._capacity = capacity
        self._phase = _Phase.OFFLINE
        self._items: deque[WatchItem] = deque()
        self._number = 0
        self._unsubscribe_due = False
        # Seq of the log's head as the server last told: earlier ends were followed by a retry.
        self._head = 0
        self._newest: dict[str, tuple[int, int]] = {}
        self._gaps = 0
        self._refusals = 0

    @property
    def key(self) -> str:
        """What its events are found by on a connection."""
        return self.task_id

    @property
    def farewell(self) -> dict[str, Any]:
        """Payload of `unsubscribe`."""
        return {"task_id": self.task_id}

    @property
    def subscription(self) -> dict[str, Any]:
        """Payload of `subscribe`, as things are."""
        payload: dict[str, Any] = {"task_id": self.task_id}
        if self._previews:
            payload["previews"] = True
        if self.position is None:
            return payload | ({"after": "now"} if self._from_now else {})
        if not self.position.epoch:
            # No event was let through yet, and where the log begins may have changed.
            return payload
        return payload | {"after": {"epoch": self.position.epoch, "seq": self.position.seq}}

    # ------------------------------------------------------------ out

    def take(self) -> WatchItem | None:
        """The next item for the application; None when there is none (yet: see `over`)."""
        return self._items.popleft() if self._items else None

    @property
    def over(self) -> bool:
        """Whether nothing more will arrive; items may still wait to be taken."""
        return self._phase is _Phase.OVER

    def next_request(self) -> Subscribe | Unsubscribe | None:
        """What has to be sent now, each once; None when nothing has."""
        if self._unsubscribe_due:
            self._unsubscribe_due = False
            return Unsubscribe(self.farewell)
        if self._phase is not _Phase.IDLE or len(self._items) > self._capacity // 2:
            return None
        self._phase = _Phase.ASKED
        self._number += 1
        return Subscribe(self._number, self.subscription, max(self._gaps - 1, self._refusals))

    def awaits(self, number: int) -> bool:
        """Whether the answer to that request is still missing."""
        return self._phase is _Phase.ASKED and self._number == number

    # ------------------------------------------------------------ the link

    def link_up(self) -> None:
        """A link is there."""
        if self._phase is _Phase.OFFLINE:
            self._phase = _Phase.IDLE

    def link_down(self) -> None:
        """The link is gone, and what was asked over it with it."""
        self._unsubscribe_due = False
        if self._phase is not _Phase.OVER:
            self._phase = _Phase.OFFLINE

    # ------------------------------------------------------------ in

    def answered(self, number: int, answer: object) -> None:
        """The server answered request `number`."""
        if not self.awaits(number):
            return
        if not isinstance(answer, dict):
            self.fail(BadAnswer("the server answered subscribe with something else"))
        elif answer.get("ok") is not True:
            self._refuse(str(answer.get("code")), _text(answer.get("message")))
        else:
            self._guarded(self._accept, answer)

    def receive(self, name: str, payload: dict[str, Any]) -> None:
        """An event about this task arrived."""
        match name:
            case "task_update":
                self.update(payload)
            case "resync":
                self.resync(payload)
            case "task_deleted":
                self.deleted()
            case "error":
                self.refused(str(payload.get("code")), str(payload.get("message") or ""))

    def update(self, envelope: object) -> None:
        """A `task_update` of this task arrived."""
        if self._phase is _Phase.LIVE:
            self._guarded(self._let_through, envelope)

    def resync(self, payload: object) -> None:
        """A `resync` of this task arrived."""
        if self._phase in (_Phase.LIVE, _Phase.CUT):
            self._guarded(self._start_anew, payload)

    def refused(self, code: str, message: str | None) -> None:
        """An `error` about this task arrived: the server ended the subscription."""
        # While an answer is awaited it repeats what an earlier answer said.
        if self._phase is _Phase.LIVE:
            self._refuse(code, message)

    def deleted(self) -> None:
        """The task was deleted."""
        self.fail(RequestRefused("not_found", detail="The task was deleted"))

    def fail(self, error: ClientError) -> None:
        """End the watch, unless it is over."""
        if self._phase is not _Phase.OVER:
            self.failure = error
            self._phase = _Phase.OVER

    # ------------------------------------------------------------ how

    def _guarded(self, take_in: Callable[[Any], None], raw: object) -> None:
        try:
            take_in(raw)
        except BadAnswer as error:
            self.fail(error)

    def _accept(self, answer: Mapping[str, Any]) -> None:
        self._refusals = 0
        if answer.get("mode") == "resync":
            self._phase = _Phase.CUT
            return
        self._phase = _Phase.LIVE
        if self.position is None or not self.position.epoch:
            position = answer.get("position")
            self.position = START if position is None else parse_position(position)
        self._note_snapshot(answer.get("snapshot"))

    def _let_through(self, envelope: object) -> None:
        event = WatchEvent.parse(envelope)
        if event.seq is None:
            self._take_volatile(event)
        else:
            self._take_logged(event, event.seq)

    def _take_volatile(self, event: WatchEvent) -> None:
        order = (event.attempt, event.rev or 0)
        if order > self._newest.get(event.event_type, (0, 0)) and self._keep(event):
            self._newest[event.event_type] = order

    def _take_logged(self, event: WatchEvent, seq: int) -> None:
        last = self.position.seq if self.position else 0
        if seq <= last:
            return
        if seq > last + 1:
            self._report_gap(last, seq)
        elif self._keep(event):
            self._gaps = 0
            self.position = event.position
            if event.event_type == "status_change":
                self._note_status(event.data.get("status"), event.is_final, at=seq)

    def _report_gap(self, last: int, seq: int) -> None:
        """Ask again from the last position; a log that has a hole there fails the watch."""
        self._gaps += 1
        self._phase = _Phase.IDLE
        if self._gaps >= MAX_TRIES:
            self.fail(BadAnswer(f"after event {last} the server sends {seq}, again and again"))

    def _start_anew(self, payload: object) -> None:
        item = Resync.parse(payload)
        if not self._keep(item):
            return
        self._phase = _Phase.LIVE
        self._gaps = 0
        self.position = item.position
        # A log that was restored from an older copy may go on with lower attempts.
        self._newest.clear()
        self._note_snapshot(item.snapshot)

    def _keep(self, item: WatchItem) -> bool:
        """Hold the item, or pause: what is not held comes again after the last position."""
        if len(self._items) < self._capacity:
            self._items.append(item)
            return True
        self._phase = _Phase.IDLE
        self._unsubscribe_due = True
        return False

    def _note_snapshot(self, snapshot: object) -> None:
        if not isinstance(snapshot, dict):
            return
        self._head = parse_position(snapshot.get("position")).seq
        if self.position is not None and self.position.seq >= self._head:
            self._note_status(
                snapshot.get("status"), snapshot.get("final") is True, at=self.position.seq
            )

    def _note_status(self, status: object, final: bool, *, at: int) -> None:
        self.status = _text(status)
        stops = final or (status == "interrupted" and not self._past_interruption)
        if stops and at >= self._head:
            self._phase = _Phase.OVER

    def _refuse(self, code: str, message: str | None) -> None:
        self._refusals += 1
        if is_passing(code) and self._refusals < MAX_TRIES:
            self._phase = _Phase.IDLE
        else:
            self.fail(RequestRefused(code, detail=message))


def is_passing(code: str) -> bool:
    """Whether the server refuses for the moment only."""
    known = CODES.get(code)
    return code in {"rate_limited", "connection_limit"} or (
        known is not None and known.status >= 500
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
