"""Which door is tried when: docs/adr/0011."""

from __future__ import annotations

from typing import Any

import pytest

from taskpush.client.doors import DOORS, FIRST_PAUSE_S, HELD_AFTER_S, LONGEST_PAUSE_S, Ladder


def test_the_best_door_is_tried_first_and_the_others_follow_in_order() -> None:
    assert Ladder().candidates() == ["socketio", "sse", "long_poll", "poll"]


def test_the_door_that_worked_last_comes_first_then_what_is_below_it() -> None:
    ladder = Ladder()
    ladder.opened("sse", 0)
    assert ladder.candidates() == ["sse", "long_poll", "poll", "socketio"]


def test_a_door_that_was_not_passed_comes_last() -> None:
    ladder = Ladder()
    ladder.opened("sse", 0)
    assert ladder.candidates(avoid="sse") == ["long_poll", "poll", "socketio", "sse"]


def test_the_best_door_is_used_for_ever() -> None:
    ladder = Ladder()
    ladder.opened("socketio", 0)
    assert ladder.wait_s("socketio", 1000) is None
    assert ladder.better_than("socketio") == ()


def test_the_better_doors_are_tried_again_after_pauses_that_double() -> None:
    ladder = Ladder()
    ladder.opened("long_poll", 100)
    assert ladder.better_than("long_poll") == ("socketio", "sse")
    pauses = []
    now = 100.0
    for _ in range(8):
        wait_s = ladder.wait_s("long_poll", now)
        assert wait_s is not None
        pauses.append(wait_s)
        now += wait_s
        ladder.tried_in_vain(now)
    assert pauses[:4] == [FIRST_PAUSE_S * 2**n for n in range(4)]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_pause_that_is_over_is_not_waited_for() -> None:
    ladder = Ladder()
    ladder.opened("sse", 0)
    assert ladder.wait_s("sse", 10 * FIRST_PAUSE_S) == 0


@pytest.mark.parametrize(("held_s", "pause_s"), [(1, 4 * 30), (HELD_AFTER_S, 30)])
def test_a_better_door_that_does_not_hold_is_not_tried_sooner_each_time(
    held_s: float, pause_s: float
) -> None:
    ladder = Ladder()
    ladder.opened("sse", 0)
    ladder.tried_in_vain(30)
    ladder.opened("socketio", 90)
    ladder.opened("sse", 90 + held_s)
    assert ladder.wait_s("sse", 90 + held_s) == pause_s


def test_what_is_further_down_follows_at_once_when_the_best_door_opens() -> None:
    ladder = Ladder()
    ladder.opened("sse", 0)
    ladder.opened("socketio", 30)
    assert ladder.wait_s("sse", 30) == 0


def test_doors_can_be_left_out_and_ordered() -> None:
    ladder = Ladder(("long_poll", "sse"))
    assert ladder.candidates() == ["long_poll", "sse"]
    assert ladder.better_than("sse") == ("long_poll",)


@pytest.mark.parametrize("doors", [(), ("sse", "sse"), ("websocket",)])
def test_doors_that_are_none_are_refused(doors: Any) -> None:
    with pytest.raises(ValueError, match=", ".join(DOORS)):
        Ladder(doors)
