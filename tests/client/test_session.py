"""One watch as a value: what arrives, what the application sees, what is asked of the server."""

from __future__ import annotations

from typing import Any

import pytest

from taskpush.client.errors import BadAnswer, RequestRefused
from taskpush.client.events import Resync, WatchEvent, WatchItem
from taskpush.client.session import MAX_TRIES, Subscribe, Unsubscribe, WatchSession
from taskpush.models.position import Position
from tests.client.wire import TASK, accepted, logged, resync, snapshot, status, volatile


def asked(session: WatchSession) -> Subscribe:
    request = session.next_request()
    assert isinstance(request, Subscribe)
    return request


def live(answer: dict[str, Any] | None = None, **options: Any) -> WatchSession:
    """A session whose subscription was answered."""
    session = WatchSession(TASK, **options)
    session.link_up()
    session.answered(asked(session).number, answer or accepted(0))
    return session


def taken(session: WatchSession) -> list[WatchItem]:
    items = []
    while (item := session.take()) is not None:
        items.append(item)
    return items


def shown(session: WatchSession) -> list[int | str | None]:
    """What the application sees: seqs, and names of what has none."""
    return [
        item.seq or f"{item.event_type} {item.rev}" if isinstance(item, WatchEvent) else "resync"
        for item in taken(session)
    ]


# ---------------------------------------------------------------- subscribing


@pytest.mark.parametrize(
    ("after", "payload"),
    [
        (None, {"task_id": TASK}),
        ("now", {"task_id": TASK, "after": "now"}),
        (Position(0), {"task_id": TASK}),
        (Position(17, "k3v9"), {"task_id": TASK, "after": {"epoch": "k3v9", "seq": 17}}),
    ],
)
def test_it_asks_for_what_the_application_wants(after: Any, payload: dict[str, Any]) -> None:
    session = WatchSession(TASK, after=after)
    assert session.next_request() is None
    session.link_up()
    request = asked(session)
    assert request.payload == payload
    assert request.failures == 0
    assert session.next_request() is None


def test_it_asks_for_previews_every_time() -> None:
    session = live(previews=True)
    session.update(logged(1))
    session.link_down()
    session.link_up()
    assert asked(session).payload == {
        "task_id": TASK,
        "previews": True,
        "after": {"epoch": "e1", "seq": 1},
    }


def test_it_asks_again_from_the_last_event_after_a_lost_link() -> None:
    session = live()
    for seq in (1, 2, 3):
        session.update(logged(seq))
    session.link_down()
    session.link_up()
    assert asked(session).payload["after"] == {"epoch": "e1", "seq": 3}


def test_watching_from_now_goes_on_from_there_after_a_lost_link() -> None:
    session = live(accepted(40, mode="live"), after="now")
    session.link_down()
    session.link_up()
    assert asked(session).payload["after"] == {"epoch": "e1", "seq": 40}


def test_a_trimmed_log_starts_where_the_answer_says() -> None:
    session = live(accepted(100, head=102) | {"position": {"epoch": "", "seq": 100}})
    session.update(logged(101))
    assert shown(session) == [101]


def test_a_log_that_is_trimmed_while_the_link_is_lost_starts_where_the_next_answer_says() -> None:
    session = live(accepted(100, head=202) | {"position": {"epoch": "", "seq": 100}})
    session.link_down()
    session.link_up()
    request = asked(session)
    assert "after" not in request.payload
    session.answered(
        request.number, accepted(200, head=202) | {"position": {"epoch": "", "seq": 200}}
    )
    session.update(logged(201))
    assert shown(session) == [201]


def test_an_answer_to_an_earlier_request_is_ignored() -> None:
    session = WatchSession(TASK)
    session.link_up()
    first = asked(session)
    session.link_down()
    session.link_up()
    second = asked(session)
    session.answered(first.number, accepted(0))
    assert session.awaits(second.number)


def test_events_before_the_answer_belong_to_an_earlier_subscription() -> None:
    session = WatchSession(TASK)
    session.link_up()
    request = asked(session)
    session.update(logged(1))
    session.update(volatile(1))
    session.answered(request.number, accepted(0))
    session.update(logged(1))
    assert shown(session) == [1]


def test_a_task_that_does_not_exist_yet_is_waited_for() -> None:
    pending = {"ok": True, "task_id": TASK, "mode": "pending", "position": None, "snapshot": None}
    session = live(pending)
    session.update(status(1, "pending"))
    assert shown(session) == [1]


def test_a_task_that_never_comes_into_being_ends_the_watch() -> None:
    session = live({"ok": True, "mode": "pending"})
    session.refused("not_found", "No such task")
    assert session.over
    assert isinstance(session.failure, RequestRefused)
    assert session.failure.code == "not_found"


# ---------------------------------------------------------------- order


def test_duplicates_are_dropped() -> None:
    session = live()
    for seq in (1, 2, 1, 2, 3, 3):
        session.update(logged(seq))
    assert shown(session) == [1, 2, 3]


def test_a_gap_asks_again_and_shows_nothing_until_it_is_closed() -> None:
    session = live()
    for seq in (1, 2, 4, 5):
        session.update(logged(seq))
    assert shown(session) == [1, 2]
    request = asked(session)
    assert request.payload["after"] == {"epoch": "e1", "seq": 2}
    assert request.failures == 0
    session.answered(request.number, accepted(2, head=5))
    for seq in (3, 4, 5):
        session.update(logged(seq))
    assert shown(session) == [3, 4, 5]


def test_a_log_with_a_hole_fails_the_watch_in_the_end_and_is_asked_for_ever_more_slowly() -> None:
    session = live()
    waits = []
    while not session.over:
        session.update(logged(2))
        request = session.next_request()
        if isinstance(request, Subscribe):
            waits.append(request.failures)
            session.answered(request.number, accepted(0, head=2))
    assert isinstance(session.failure, BadAnswer)
    assert waits == [*range(MAX_TRIES - 1)]


def test_stale_volatile_events_are_dropped_by_type() -> None:
    session = live()
    session.update(volatile(5))
    session.update(volatile(4))
    session.update(volatile(5))
    session.update(volatile(3, "stats"))
    session.update(volatile(1, attempt=2))
    assert shown(session) == ["progress 5", "stats 3", "progress 1"]


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("word", ["completed", "failed", "cancelled", "interrupted"])
def test_it_is_over_after_the_event_that_ends_the_task(word: str) -> None:
    session = live()
    session.update(status(1, word))
    session.update(volatile(9))
    session.update(logged(2))
    assert session.over
    assert shown(session) == [1]
    assert (session.status, session.failure) == (word, None)


def test_it_can_go_on_past_an_interruption() -> None:
    session = live(past_interruption=True)
    session.update(status(1, "interrupted"))
    session.update(status(2, "pending"))
    assert not session.over
    assert shown(session) == [1, 2]


def test_an_end_that_a_retry_followed_is_not_the_end() -> None:
    session = live(accepted(0, head=3))
    session.update(status(1, "failed"))
    session.update(status(2, "pending"))
    session.update(status(3, "running"))
    over = [session.over]
    session.update(status(4, "completed"))
    assert [*over, session.over] == [False, True]
    assert shown(session) == [1, 2, 3, 4]


@pytest.mark.parametrize("word", ["completed", "interrupted"])
def test_resuming_at_the_end_is_over_at_once(word: str) -> None:
    session = live(accepted(9, word=word, mode="live"), after=Position(9, "e1"))
    assert session.over
    assert session.status == word
    assert session.take() is None


def test_a_deleted_task_fails_the_watch() -> None:
    session = live()
    session.deleted()
    assert isinstance(session.failure, RequestRefused)


# ---------------------------------------------------------------- resync


def test_a_history_that_was_cut_is_said_and_then_continued() -> None:
    session = live(after=Position(9, "e1"), answer=accepted(9, mode="resync"))
    session.update(logged(10))
    session.resync(resync(4))
    session.update(logged(5, epoch="e2"))
    cut, following = taken(session)
    assert isinstance(cut, Resync)
    assert cut.position == Position(4, "e2")
    assert isinstance(following, WatchEvent)
    assert following.seq == 5


def test_a_link_lost_between_answer_and_resync_asks_from_the_old_position() -> None:
    session = live(after=Position(9, "e1"), answer=accepted(9, mode="resync"))
    session.link_down()
    session.link_up()
    assert asked(session).payload["after"] == {"epoch": "e1", "seq": 9}


def test_retention_may_overtake_in_mid_stream() -> None:
    session = live()
    session.update(logged(1))
    session.resync(resync(50, epoch="e1"))
    session.update(logged(51))
    assert shown(session) == [1, "resync", 51]


def test_a_resync_to_the_end_of_the_task_ends_the_watch() -> None:
    session = live()
    session.resync(resync(7, "completed"))
    assert session.over
    assert shown(session) == ["resync"]


def test_volatile_events_start_over_after_a_resync() -> None:
    session = live()
    session.update(volatile(9, attempt=3))
    session.resync(resync(2))
    session.update(volatile(2, attempt=1))
    assert shown(session) == ["progress 9", "resync", "progress 2"]


# ---------------------------------------------------------------- refusals


def test_a_refusal_ends_the_watch_with_its_code() -> None:
    session = live({"ok": False, "code": "subscription_limit", "message": "at most 128"})
    assert isinstance(session.failure, RequestRefused)
    assert (session.failure.code, session.failure.status) == ("subscription_limit", 429)


def test_a_refusal_for_the_moment_is_asked_again_a_few_times() -> None:
    session = WatchSession(TASK)
    session.link_up()
    for expected in range(MAX_TRIES):
        request = asked(session)
        assert request.failures == expected
        session.answered(request.number, {"ok": False, "code": "store_unavailable"})
    assert isinstance(session.failure, RequestRefused)


def test_an_accepted_subscription_forgets_earlier_refusals() -> None:
    session = WatchSession(TASK)
    session.link_up()
    session.answered(asked(session).number, {"ok": False, "code": "rate_limited"})
    session.answered(asked(session).number, accepted(0))
    session.update(logged(2))
    assert asked(session).failures == 0


def test_the_error_that_repeats_a_refusal_is_not_counted_twice() -> None:
    session = WatchSession(TASK)
    session.link_up()
    session.answered(asked(session).number, {"ok": False, "code": "shutting_down"})
    session.refused("shutting_down", None)
    assert asked(session).failures == 1


@pytest.mark.parametrize(
    "answer",
    [None, "ok", [], {"ok": True, "mode": "replay", "position": 7}, accepted(0) | {"snapshot": {}}],
    ids=str,
)
def test_an_answer_that_is_none_fails_the_watch(answer: Any) -> None:
    session = WatchSession(TASK)
    session.link_up()
    session.answered(asked(session).number, answer)
    assert isinstance(session.failure, BadAnswer)


def test_an_envelope_that_is_none_fails_the_watch() -> None:
    session = live()
    session.update({"task_id": TASK})
    assert isinstance(session.failure, BadAnswer)


def test_the_first_failure_stays() -> None:
    session = live()
    session.deleted()
    session.fail(BadAnswer("later"))
    assert isinstance(session.failure, RequestRefused)


# ---------------------------------------------------------------- slow applications


def test_a_full_session_unsubscribes_and_comes_back_when_half_of_it_was_taken() -> None:
    session = live(capacity=4)
    for seq in range(1, 7):
        session.update(logged(seq))
    assert session.next_request() == Unsubscribe({"task_id": TASK})
    assert session.next_request() is None
    assert [item.seq for item in (session.take(), session.take()) if item] == [1, 2]  # type: ignore[union-attr]  # events only
    request = asked(session)
    assert request.payload["after"] == {"epoch": "e1", "seq": 4}
    session.answered(request.number, accepted(4, head=6))
    session.update(logged(5))
    session.update(logged(6))
    assert shown(session) == [3, 4, 5, 6]


def test_what_does_not_fit_is_sent_again_even_when_it_is_volatile_or_a_resync() -> None:
    session = live(capacity=1)
    session.update(logged(1))
    session.update(volatile(1))
    session.next_request()
    session.take()
    request = asked(session)
    session.answered(request.number, accepted(1))
    session.update(volatile(1))
    assert shown(session) == ["progress 1"]
    session.update(logged(2))
    session.resync(resync(9))
    session.next_request()
    assert shown(session) == [2]
    request = asked(session)
    assert request.payload["after"]["seq"] == 2
    session.answered(request.number, accepted(2, mode="resync"))
    session.resync(resync(9))
    assert shown(session) == ["resync"]


def test_a_full_session_waits_for_the_application_on_a_new_link_too() -> None:
    session = live(capacity=2)
    for seq in (1, 2, 3):
        session.update(logged(seq))
    session.link_down()
    session.link_up()
    assert session.next_request() is None
    taken(session)
    assert asked(session).payload["after"]["seq"] == 2


def test_the_snapshot_of_a_running_task_does_not_end_the_watch() -> None:
    session = live(accepted(3) | {"snapshot": snapshot(3, "running")}, after=Position(3, "e1"))
    assert not session.over
    assert session.status == "running"
