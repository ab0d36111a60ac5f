"""Who is told of an event when, where many watch."""

from __future__ import annotations

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent, VolatileEvent
from taskpush.push.hub import GROUP, Hub


def _logged(seq: int) -> LoggedEvent:
    return LoggedEvent("t", 1, seq, "e", EventType.LOG, b"%d" % seq, False)


class _Watchers:
    """Notes who is told what, and when the hub says that some know everything."""

    def __init__(self, count: int) -> None:
        self.happened: list[tuple[int, int] | str] = []
        self.hub = Hub(lambda: self.happened.append("told some"))
        for number in range(count):
            self.hub.attach("t", _Watcher(self.happened, number))


class _Watcher:
    def __init__(self, happened: list[tuple[int, int] | str], number: int) -> None:
        self._happened = happened
        self._number = number

    def on_logged(self, event: LoggedEvent) -> None:
        self._happened.append((self._number, event.seq))

    def on_volatile(self, event: VolatileEvent) -> None:
        self._happened.append((self._number, event.rev))

    def on_deleted(self) -> None: ...


def test_of_many_the_first_may_be_written_to_while_the_last_have_yet_to_be_told() -> None:
    watchers = _Watchers(2 * GROUP + 1)
    watchers.hub.announce([_logged(1)])
    told = [(number, 1) for number in range(2 * GROUP + 1)]
    assert watchers.happened == [
        *told[:GROUP],
        "told some",
        *told[GROUP:-1],
        "told some",
        told[-1],
        "told some",
    ]


def test_nobody_is_written_to_who_will_be_told_more() -> None:
    watchers = _Watchers(GROUP + 1)
    watchers.hub.announce([_logged(1), _logged(2)])
    first, last = ([(number, seq) for number in range(GROUP + 1)] for seq in (1, 2))
    assert watchers.happened == [*first, *last[:GROUP], "told some", last[-1], "told some"]


def test_few_wait_for_the_round_and_so_does_a_state_since_another_may_follow_at_once() -> None:
    few, many = _Watchers(GROUP), _Watchers(GROUP + 1)
    few.hub.announce([_logged(1)])
    many.hub.announce([VolatileEvent("t", 1, 1, EventType.PROGRESS, b"{}")])
    assert "told some" not in (*few.happened, *many.happened)


def test_what_is_told_is_counted_but_not_previews_which_few_ask_for() -> None:
    watchers = _Watchers(3)
    watchers.hub.announce([_logged(1), _logged(2)])
    for event_type in (EventType.PROGRESS, EventType.PREVIEW):
        watchers.hub.announce([VolatileEvent("t", 1, 1, event_type, b"{}")])
    assert watchers.hub.told == 9
    assert len(watchers.hub) == 1
