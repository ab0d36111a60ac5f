"""The trail's own bounds: what of many refusals is noted, and what the file of keys tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from taskpush.access.admission import NO_ACCESS_CONFIGURED, Admission
from taskpush.access.keys import create_key, revoke_key
from taskpush.access.principal import LOCAL, Principal, Role
from taskpush.clock import ManualClock
from taskpush.errors import Forbidden, NotFound, StoreUnavailable
from taskpush.models.audit import Action, AuditFilter, Door, Via
from taskpush.store.memory.store import MemoryStore
from taskpush.tasks.audit import MAX_TENANTS, REFUSALS_PER_MIN, AuditQuery, AuditTrail
from taskpush.telemetry.bus import Telemetry

VIA = Via("key:1", Door.REST, "192.0.2.1")
ALL = AuditQuery(limit=200)


class _Scene:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(clock=self.clock, telemetry=Telemetry())
        self.keys = folder / "keys.json"
        self.trail = AuditTrail(self.store, self.clock, self.keys)

    async def refuse(self, tenant: str = "local") -> None:
        somebody = Principal(tenant, "ann")
        entry = self.trail.entry(Action.CANCEL, somebody, VIA)
        await self.trail.refused(entry, "0199", NotFound())

    async def count(self, tenant: str = "local") -> int:
        return len(await self.store.audit(AuditFilter(tenant), limit=10_000))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[_Scene]:
    scene = _Scene(tmp_path)
    await scene.store.open()
    yield scene
    await scene.store.close()


async def test_of_many_refusals_in_a_minute_the_first_are_noted(scene: _Scene) -> None:
    for _ in range(REFUSALS_PER_MIN + 10):
        await scene.refuse()
    assert await scene.count() == REFUSALS_PER_MIN
    scene.clock.wind(60)
    await scene.refuse()
    assert await scene.count() == REFUSALS_PER_MIN + 1


async def test_one_tenants_refusals_take_no_room_of_anothers(scene: _Scene) -> None:
    for _ in range(REFUSALS_PER_MIN + 10):
        await scene.refuse("loud")
    await scene.refuse("quiet")
    assert (await scene.count("loud"), await scene.count("quiet")) == (REFUSALS_PER_MIN, 1)


async def test_only_so_many_tenants_are_counted_at_a_time(scene: _Scene) -> None:
    for number in range(MAX_TENANTS + 10):
        await scene.refuse(str(number))
    assert len(scene.trail._refusals._counts) == MAX_TENANTS


async def test_the_keys_of_the_tenant_are_part_of_the_trail(scene: _Scene) -> None:
    at = scene.clock.now().timestamp()
    for name, tenant in (("ci", "local"), ("other", "acme")):
        create_key(
            scene.keys, name, roles=[Role.READ], owner="build", tenant=tenant, now=at, by="eve"
        )
    scene.clock.wind(10)
    await scene.refuse()
    revoke_key(scene.keys, "ci", now=at + 20)
    page = await scene.trail.page(NO_ACCESS_CONFIGURED, ALL)
    told = [(each.action, each.credential, each.detail) for each in page.entries]
    assert told == [
        (Action.REVOKE_KEY, "user:unknown", "ci, of build: read"),
        (Action.CANCEL, "key:1", None),
        (Action.CREATE_KEY, "user:eve", "ci, of build: read"),
    ]
    assert page.next is None


async def test_a_damaged_file_of_keys_is_said_and_not_passed_over(scene: _Scene) -> None:
    scene.keys.write_text("{")
    with pytest.raises(StoreUnavailable):
        await scene.trail.page(NO_ACCESS_CONFIGURED, ALL)


async def test_a_key_for_the_local_owner_is_not_the_open_door(scene: _Scene) -> None:
    with pytest.raises(Forbidden):
        await scene.trail.page(Admission(LOCAL, "key:1"), ALL)
