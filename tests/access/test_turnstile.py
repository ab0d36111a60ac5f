"""How many connections there may be, and that none is counted that has gone."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from taskpush.access.admission import NO_ACCESS_CONFIGURED, Admission
from taskpush.access.principal import Principal, Scope
from taskpush.access.turnstile import Place, Turnstile, network_of
from taskpush.clock import ManualClock
from taskpush.core.limits import Allowance, Limits
from taskpush.errors import ConnectionLimit, ServerFull, TaskPushError
from taskpush.telemetry.bus import Telemetry
from taskpush.telemetry.events import LimitReached, TelemetryEvent

HERE, ANN_AT, BOB_AT = "127.0.0.1", "192.0.2.1", "192.0.2.2"
ANN = Admission(Principal("acme", "ann"), "key:1")
BOB = Admission(Principal("acme", "bob"), "key:2")
OTHER_ANN = Admission(Principal("zeta", "ann"), "key:3")
ANNS_OTHER_KEY = Admission(Principal("acme", "ann"), "key:4")


def scope(address: str | None) -> dict[str, Any]:
    return {"client": None if address is None else (address, 1234)}


def token(number: int) -> Admission:
    """What a browser of Ann's has."""
    return Admission(Principal("acme", "ann", scope=Scope(tag="t")), f"token:{number}")


class Door:
    """A turnstile, and what it said."""

    def __init__(self, limits: Limits) -> None:
        self.said: list[TelemetryEvent] = []
        self.clock = ManualClock()
        self.turnstile = Turnstile(limits, Telemetry(self.said.append), self.clock.monotonic)

    def enter(self, address: str | None, admission: Admission | None = None) -> Place:
        return self.turnstile.enter(scope(address), admission)

    def answer(self, address: str | None, admission: Admission | None = None) -> str:
        try:
            self.enter(address, admission)
        except TaskPushError as error:
            return error.code if error.retry_after_s else f"{error.code} without a time"
        return "in"


STRANGERS = Limits(
    connections=5, connections_per_address=Allowance(2), connections_per_principal=Allowance(2)
)
ALL = Limits(
    connections=5,
    connections_per_address=Allowance(2, local_too=True),
    connections_per_principal=Allowance(2, local_too=True),
)
NONE = Limits(
    connections=5,
    connections_per_address=Allowance(None),
    connections_per_principal=Allowance(None),
)


@pytest.mark.parametrize(
    ("limits", "come", "last"),
    [
        # By address.
        (STRANGERS, [(ANN_AT, None)] * 3, "connection_limit"),
        (STRANGERS, [(ANN_AT, None)] * 2 + [(BOB_AT, None)], "in"),
        (STRANGERS, [(HERE, None)] * 5, "in"),
        (STRANGERS, [(None, None)] * 5, "in"),
        (ALL, [(HERE, None)] * 3, "connection_limit"),
        (ALL, [(HERE, None), ("::1", None), (None, None)], "connection_limit"),
        (NONE, [(ANN_AT, None)] * 5, "in"),
        (STRANGERS, [(f"2001:db8::{n}", None) for n in range(3)], "connection_limit"),
        (STRANGERS, [(f"2001:db8:0:{n}::1", None) for n in range(3)], "in"),
        (STRANGERS, [(f"::ffff:{ANN_AT}", None)] * 2 + [(ANN_AT, None)], "connection_limit"),
        (STRANGERS, [("somebody", None)] * 3, "connection_limit"),
        # By principal.
        (STRANGERS, [(ANN_AT, ANN), (BOB_AT, ANN), (HERE, ANN)], "connection_limit"),
        (STRANGERS, [(ANN_AT, ANN), (BOB_AT, ANN), (HERE, ANNS_OTHER_KEY)], "connection_limit"),
        (STRANGERS, [(ANN_AT, ANN), (BOB_AT, ANN), (HERE, BOB)], "in"),
        (STRANGERS, [(ANN_AT, ANN), (BOB_AT, ANN), (HERE, OTHER_ANN)], "in"),
        (STRANGERS, [(HERE, token(1))] * 3, "connection_limit"),
        (STRANGERS, [(HERE, token(1))] * 2 + [(HERE, token(2))], "in"),
        (STRANGERS, [(HERE, token(1))] * 2 + [(HERE, ANN)], "in"),
        (STRANGERS, [(HERE, NO_ACCESS_CONFIGURED)] * 5, "in"),
        (NONE, [(ANN_AT, ANN)] * 5, "in"),
        # All together.
        (STRANGERS, [(HERE, None)] * 6, "server_full"),
        (NONE, [(f"192.0.2.{n}", None) for n in range(6)], "server_full"),
    ],
)
def test_who_would_be_one_too_many_is_told_to_come_back(
    limits: Limits, come: list[tuple[str | None, Admission | None]], last: str
) -> None:
    door = Door(limits)
    answers = [door.answer(*one) for one in come]
    assert answers == ["in"] * (len(come) - 1) + [last]
    assert len(door.turnstile) == answers.count("in")


def test_who_leaves_makes_room_once() -> None:
    door = Door(STRANGERS)
    first, _ = door.enter(ANN_AT, ANN), door.enter(ANN_AT, ANN)
    first.leave()
    first.leave()
    first.give_back()
    assert len(door.turnstile) == 1
    assert [door.answer(ANN_AT, ANN) for _ in range(2)] == ["in", "connection_limit"]


def test_who_is_refused_as_somebody_takes_no_place() -> None:
    door = Door(STRANGERS)
    places = [door.enter(HERE, ANN) for _ in range(2)]
    assert door.answer(BOB_AT, ANN) == "connection_limit"
    assert len(door.turnstile) == 2
    for place in places:
        place.leave()
    assert (len(door.turnstile), door.turnstile.counted) == (0, 0)


def test_a_place_may_be_claimed_after_somebody_gave_it_back() -> None:
    door = Door(STRANGERS)
    place = door.enter(HERE)
    for admission in (ANN, BOB, ANN):
        place.claim(admission)
        place.give_back()
    assert [door.answer(HERE, ANN) for _ in range(3)] == ["in", "in", "connection_limit"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_nothing_is_counted_when_all_have_gone(seed: int) -> None:
    random, door = Random(seed), Door(Limits(20, Allowance(6), Allowance(4)))
    inside: list[Place] = []
    for _ in range(2_000):
        admission = random.choice([None, ANN, BOB, OTHER_ANN, NO_ACCESS_CONFIGURED, token(1)])
        try:
            match random.randrange(4):
                case 0 | 1:
                    inside.append(door.enter(random.choice([HERE, ANN_AT, BOB_AT]), admission))
                case 2 if inside:
                    inside.pop(random.randrange(len(inside))).leave()
                case 3 if inside and admission is not None:
                    random.choice(inside).claim(admission)
        except (ConnectionLimit, ServerFull):
            pass
        assert len(door.turnstile) == len(inside) <= 20
    for place in inside:
        place.leave()
    assert (len(door.turnstile), door.turnstile.counted) == (0, 0)


def test_the_log_says_a_few_times_that_a_limit_was_reached() -> None:
    door = Door(STRANGERS)
    for _ in range(1_000):
        door.answer(ANN_AT)
    assert door.said == [LimitReached("connection_limit", f"from {ANN_AT}", 2)] * 3
    door.clock.wind(10)
    for _ in range(1_000):
        door.answer(ANN_AT)
    assert len(door.said) == 4


@pytest.mark.parametrize(
    ("client", "counted_by"),
    [
        (None, "this machine"),
        (("127.8.9.1", 1), "this machine"),
        (("::1", 1), "this machine"),
        (("::ffff:127.0.0.1", 1), "this machine"),
        (("203.0.113.9", 1), "203.0.113.9"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
    ],
)
def test_an_address_is_counted_by_what_one_subscriber_has(client: Any, counted_by: str) -> None:
    assert network_of({"client": client}) == counted_by
