"""Looking back: what became of a principal's tasks, and how good the estimates were."""

from __future__ import annotations

from typing import Final

from taskpush.access.policy import may_see_all, readable
from taskpush.access.principal import Principal
from taskpush.errors import Forbidden
from taskpush.models.stats import KindDay, KindEstimates, Stats, StoreSize
from taskpush.runner.registry import Registry
from taskpush.store.base import Store, TaskFilter
from taskpush.store.daystats import DayStats
from taskpush.tasks.queueing.keeper import QueueKeeper

MAX_DAYS: Final = 366


class History:
    """Statistics of what the store holds, for a principal, by the policy."""

    def __init__(self, store: Store, registry: Registry, keeper: QueueKeeper) -> None:
        self._store = store
        self._registry = registry
        self._keeper = keeper

    async def stats(self, principal: Principal, *, kind: str | None, days: int) -> Stats:
        """The last `days` days, today included, of one kind or all.

        A kind that is not registered any more has its history too, but no estimates. Raises
        `forbidden`.
        """
        reach = readable(principal, kind=kind)
        # They are not counted by tag, and all of them are more than such a token is for.
        if reach.tag is not None:
            raise Forbidden("the token is for other tasks")
        where = TaskFilter(tenant=reach.tenant, owner=reach.owner, kind=reach.kind)
        daily = await self._store.daily(where, days)
        names = [spec.name for spec in self._registry.kinds() if kind in {None, spec.name}]
        return Stats(
            days=[_kind_day(each) for each in daily],
            estimates=[
                KindEstimates(kind=name, accuracy=self._keeper.accuracy(principal, name))
                for name in names
            ],
            store=await self._size() if may_see_all(principal) else None,
        )

    async def _size(self) -> StoreSize:
        usage = await self._store.usage()
        return StoreSize(
            tasks=usage.tasks,
            events=usage.events,
            bytes=usage.bytes,
            unused_bytes=usage.unused_bytes,
        )


def _kind_day(stats: DayStats) -> KindDay:
    ended = stats.completed + stats.failed
    return KindDay(
        day=stats.day,
        kind=stats.kind,
        completed=stats.completed,
        failed=stats.failed,
        cancelled=stats.cancelled,
        interrupted=stats.interrupted,
        failure_rate=round(stats.failed / ended, 4) if ended else None,
        median_seconds=stats.median_s,
        p95_seconds=stats.p95_s,
        median_wait_seconds=stats.median_wait_s,
    )
