"""The splice of the stored log and the live stream: exactly the log, in order, whatever happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from taskpush.core.replay import BUFFER_EVENTS, Splice
from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent


def _event(seq: int, *, final: bool = False) -> LoggedEvent:
    return LoggedEvent("t", 1, seq, "e", EventType.LOG, b"{}", final)


def _volatile(rev: int, event_type: EventType = EventType.PROGRESS) -> VolatileEvent:
    return VolatileEvent("t", 1, rev, event_type, b"{}")


class _Reader:
    """A store and a subscription's pump, reduced to the order of what happens."""

    def __init__(self, page_size: int) -> None:
        self.log: list[LoggedEvent] = []
        self.splice = Splice(0)
        self.sent: list[LoggedEvent | VolatileEvent] = []
        self._page_size = page_size
        # A page that was read, but not yet handed over: commits may come in between.
        self._read: tuple[list[LoggedEvent], bool] | None = None

    def commit(self, *, room: bool) -> None:
        self.log.append(_event(len(self.log) + 1))
        due = self.splice.offer(self.log[-1], room=room)
        if due is not None:
            self.sent.append(due)

    def pump(self) -> None:
        if self.splice.live:
            return
        if self._read is None:
            cursor = self.splice.cursor
            page = self.log[cursor : cursor + self._page_size]
            self._read = page, cursor + len(page) == len(self.log)
        else:
            page, end = self._read
            self._read = None
            self.sent += self.splice.replayed(page, end=end, final=False, latest={})

    def settle(self) -> None:
        while not self.splice.live or self._read is not None:
            self.pump()


@given(
    st.lists(st.sampled_from(["commit", "commit", "commit without room", "pump"]), max_size=300),
    st.integers(1, 5),
)
@settings(max_examples=300)
def test_every_order_of_commits_and_reads_sends_exactly_the_log(
    steps: list[str], page_size: int
) -> None:
    reader = _Reader(page_size)
    for step in steps:
        if step == "pump":
            reader.pump()
        else:
            reader.commit(room=step == "commit")
    reader.settle()
    assert reader.sent == reader.log


def test_more_than_the_buffer_holds_is_read_again() -> None:
    splice = Splice(0)
    for seq in range(1, BUFFER_EVENTS * 2 + 1):
        assert splice.offer(_event(seq)) is None
    assert splice.replayed([], end=True, final=False, latest={}) == []
    assert not splice.live


def test_what_was_sent_already_is_not_sent_again() -> None:
    splice = Splice(5)
    splice.replayed([], end=True, final=False, latest={})
    assert splice.offer(_event(5)) is None
    assert splice.live
    assert splice.offer(_event(6)) == _event(6)


def test_a_lost_announcement_leads_back_to_the_store() -> None:
    splice = Splice(1)
    splice.replayed([], end=True, final=False, latest={})
    assert splice.offer(_event(3)) is None
    assert not splice.live


def test_the_newest_volatile_events_come_before_a_final_event() -> None:
    splice = Splice(0)
    log = [_event(1), _event(2, final=True)]
    latest = {EventType.PROGRESS: _volatile(9)}
    assert splice.replayed(log, end=True, final=True, latest=latest) == [
        log[0],
        _volatile(9),
        log[1],
    ]


def test_no_volatile_event_follows_a_final_one_that_was_seen() -> None:
    splice = Splice(2)
    latest = {EventType.PROGRESS: _volatile(9)}
    assert splice.replayed([], end=True, final=True, latest=latest) == []


def test_no_state_of_a_replaced_attempt_follows_its_successor() -> None:
    splice = Splice(0)
    splice.offer_volatile(_volatile(9))
    pending = LoggedEvent("t", 2, 2, "e", EventType.STATUS_CHANGE, b"{}", False)
    log = [_event(1), pending]
    assert splice.replayed(log, end=True, final=False, latest={}) == log


PLACE = _volatile(9, EventType.QUEUE)


def _status(seq: int) -> LoggedEvent:
    return LoggedEvent("t", 1, seq, "e", EventType.STATUS_CHANGE, b"{}", False)


def test_no_place_in_the_queue_follows_the_start() -> None:
    """The task starts between the reading of a page and its being sent."""
    log = [_event(1), _status(2)]
    told_before, stored_before = Splice(0), Splice(0)
    told_before.offer_volatile(PLACE)
    for splice in (told_before, stored_before):
        assert splice.offer(log[1]) is None
    assert told_before.replayed(log, end=True, final=False, latest={}) == log
    stored = {EventType.QUEUE: PLACE}
    assert stored_before.replayed(log[:1], end=True, final=False, latest=stored) == log


def test_a_place_in_the_queue_that_is_told_after_the_last_change_is_sent() -> None:
    splice = Splice(0)
    splice.offer(_status(1))
    splice.offer_volatile(PLACE)
    assert splice.replayed([_status(1)], end=True, final=False, latest={}) == [_status(1), PLACE]


def test_the_newest_of_held_and_stored_volatile_events_is_sent_once() -> None:
    splice = Splice(0)
    for rev in (3, 5, 4):
        assert splice.offer_volatile(_volatile(rev)) is None
    latest = {EventType.PROGRESS: _volatile(2), EventType.STATS: _volatile(1, EventType.STATS)}
    sent = splice.replayed([], end=True, final=False, latest=latest)
    assert sent == [_volatile(5), _volatile(1, EventType.STATS)]
    assert splice.offer_volatile(_volatile(6)) == _volatile(6)


def test_the_lag_is_what_was_committed_while_it_was_not_live() -> None:
    splice = Splice(0)
    assert splice.replayed([], end=True, final=False, latest={}) == []
    assert splice.lag == 0
    for seq in (1, 2, 3):
        splice.offer(_event(seq), room=False)
    assert splice.lag == 3
    splice.replayed([_event(1)], end=False, final=False, latest={})
    assert splice.lag == 2
    splice.replayed([_event(2), _event(3)], end=True, final=False, latest={})
    assert (splice.live, splice.lag) == (True, 0)
