"""Who is on the roll, and what is told of them to whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from taskpush.access.admission import Admission
from taskpush.access.principal import Principal
from taskpush.models.connections import Transport, WatchDoor, Watched, WatchState
from taskpush.push import roll as rolls
from taskpush.push.dispatch import Dispatcher
from taskpush.push.roll import Roll, Seat

AT = datetime(2026, 11, 22, tzinfo=UTC)
TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f"
OTHER = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e40"


@dataclass
class _Poll:
    """Somebody who waits for a task."""

    admission: Admission
    watching: Watched
    transport: Transport = "polling"


class _Hall:
    """A roll, and those who come."""

    def __init__(self) -> None:
        self.roll = Roll(Dispatcher(), lambda: AT)

    def enter(self, tenant: str = "acme", owner: str = "ann", task_id: str = TASK) -> Seat:
        admission = Admission(Principal(tenant, owner), "key:1")
        poll = _Poll(admission, Watched(WatchState.WAITING, task_id=task_id))
        return self.roll.enter(poll, WatchDoor.LONG_POLL, "192.0.2.7")

    def ids(self, tenant: str = "acme", *, limit: int = 100, **where: str) -> list[str]:
        """Of all pages, each of which must hold no more than it may."""
        found: list[str] = []
        before = None
        while True:
            page = self.roll.page(tenant, limit=limit, before=before, **where)
            assert len(page.connections) <= limit
            found += [each.connection_id for each in page.connections]
            before = page.before
            if before is None:
                return found


def test_the_newest_come_first_and_each_comes_once_however_long_pages_are() -> None:
    hall = _Hall()
    ids = [hall.enter().connection_id for _ in range(7)]
    for limit in (1, 2, 3, 7, 8):
        assert hall.ids(limit=limit) == ids[::-1]


def test_a_page_goes_on_where_the_last_one_ended_whoever_came_and_went_meanwhile() -> None:
    hall = _Hall()
    seats = [hall.enter() for _ in range(6)]
    first = hall.roll.page("acme", limit=2)
    hall.enter()
    for seat in (seats[5], seats[4], seats[3]):
        hall.roll.leave(seat)
    second = hall.roll.page("acme", limit=2, before=first.before)
    assert [each.connection_id for each in second.connections] == [
        seats[2].connection_id,
        seats[1].connection_id,
    ]


def test_one_tenant_is_told_nothing_of_another() -> None:
    hall = _Hall()
    own = hall.enter("acme").connection_id
    hall.enter("zeta", owner="ann")
    assert hall.ids("acme") == [own]
    assert hall.ids("nobody") == []
    assert hall.ids("nobody", owner="ann") == []


def test_a_filter_leaves_the_others_out() -> None:
    hall = _Hall()
    ids = {
        (owner, task_id): hall.enter(owner=owner, task_id=task_id).connection_id
        for owner in ("ann", "bob")
        for task_id in (TASK, OTHER)
    }
    assert hall.ids(owner="bob", limit=1) == [ids["bob", OTHER], ids["bob", TASK]]
    assert hall.ids(task_id=TASK, limit=1) == [ids["bob", TASK], ids["ann", TASK]]
    assert hall.ids(task_id=TASK, owner="ann") == [ids["ann", TASK]]


def test_a_page_looks_at_so_many_only_and_says_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rolls, "MAX_LOOKED_AT", 3)
    hall = _Hall()
    wanted = hall.enter(owner="bob").connection_id
    for _ in range(5):
        hall.enter()
    page = hall.roll.page("acme", limit=10, owner="bob")
    assert (page.connections, page.before is None) == ([], False)
    assert hall.ids(owner="bob") == [wanted]


def test_who_has_left_is_told_and_counted_no_more() -> None:
    hall = _Hall()
    staying, leaving = hall.enter(), hall.enter()
    assert hall.roll.doors == {"socketio": 0, "sse": 0, "long_poll": 2}
    hall.roll.leave(leaving)
    hall.roll.leave(leaving)
    assert len(hall.roll) == hall.roll.doors["long_poll"] == 1
    assert hall.ids() == [staying.connection_id]
    hall.roll.leave(staying)
    assert len(hall.roll) == 0
    assert hall.ids() == []
    assert hall.roll._seats == {}


def test_a_credential_that_replaced_another_is_the_one_that_is_told() -> None:
    hall = _Hall()
    seat = hall.enter()
    poll = seat.guest
    assert isinstance(poll, _Poll)
    poll.admission = replace(poll.admission, credential="key:2")
    (told,) = hall.roll.page("acme", limit=1).connections
    assert (told.credential, told.address, told.since) == ("key:2", "192.0.2.7", AT)
