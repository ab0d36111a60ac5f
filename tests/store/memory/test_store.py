"""The store in memory keeps the promises of the port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from taskpush.clock import ManualClock
from taskpush.store.base import Store
from taskpush.store.memory.store import MemoryStore
from taskpush.telemetry.bus import Telemetry
from tests.store.contract import StoreContract
from tests.store.harness import Harness


class TestMemoryStore(StoreContract):
    """A restart is a close and an open of the same object: it holds what there is."""

    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        kept: list[Store] = []

        def make(clock: ManualClock, telemetry: Telemetry) -> Store:
            if not kept:
                kept.append(MemoryStore(clock=clock, telemetry=telemetry))
            return kept[0]

        harness = Harness(make)
        await harness.store.open()
        yield harness
        await harness.store.close()
