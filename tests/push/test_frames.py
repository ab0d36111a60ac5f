"""Frames are built once per event, and not kept for ever."""

from __future__ import annotations

from taskpush.models.events import EventType
from taskpush.models.task import LoggedEvent
from taskpush.push.frames import FrameCache
from taskpush.push.outbox import Outgoing, Reply


class _Build:
    def __init__(self) -> None:
        self.built = 0

    def __call__(self, item: Outgoing) -> bytes:
        self.built += 1
        return b"<" + item.body + b">"


def _logged(seq: int, size: int = 100) -> LoggedEvent:
    return LoggedEvent("t", 1, seq, "e", EventType.LOG, b"%d" % seq + b"x" * size, False)


def test_an_event_is_framed_once() -> None:
    build = _Build()
    frames = FrameCache(build)
    event = _logged(1)
    assert [frames.of(event) for _ in range(1000)] == [b"<" + event.body + b">"] * 1000
    assert build.built == 1


def test_events_that_are_equal_in_all_but_identity_have_frames_of_their_own() -> None:
    frames = FrameCache(_Build())
    assert frames.of(_logged(1)) != frames.of(_logged(2))


def test_what_is_kept_is_bounded_and_what_is_sent_now_is_kept() -> None:
    build = _Build()
    frames = FrameCache(build, cache_bytes=10_000)
    for seq in range(1000):
        event = _logged(seq)
        assert frames.of(event) is frames.of(event)
    assert build.built == 1000
    assert sum(len(f) for _, f in [*frames._young.values(), *frames._old.values()]) <= 10_000


def test_answers_are_not_kept() -> None:
    frames = FrameCache(_Build())
    assert frames.of(Reply(1, b"{}")) == b"<{}>"
    assert not frames._young
