"""What those who control a task see and ask of its webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from taskpush.access.policy import demand, may
from taskpush.access.principal import Principal, Role
from taskpush.errors import NotFound
from taskpush.models.commands import Redeliver
from taskpush.models.webhooks import Hooked, LoggedType, ShownWebhook
from taskpush.store.base import Store
from taskpush.tasks.webhooks.delivering import Deliverer


class TaskWebhooks:
    """Reads and repeats deliveries, for a principal, by the policy.

    An address may hold what only those may know who gave it: a reader is shown nothing.
    """

    def __init__(self, store: Store, deliverer: Deliverer) -> None:
        self._store = store
        self._deliverer = deliverer

    async def shown(self, principal: Principal, task_id: str) -> Sequence[ShownWebhook]:
        """The webhooks of the task; raises `Forbidden` and `NotFound`."""
        await self._check(principal, task_id)
        hooked = await self._store.hooked(task_id)
        if hooked is None:
            raise NotFound
        return list(_shown(hooked))

    async def redeliver(
        self, principal: Principal, task_id: str, command: Redeliver
    ) -> Sequence[ShownWebhook]:
        """Send events again; raises `Forbidden` and `NotFound`."""
        await self._check(principal, task_id)
        hooked = await self._deliverer.redeliver(task_id, command.webhook, command.after)
        return list(_shown(hooked))

    async def _check(self, principal: Principal, task_id: str) -> None:
        demand(principal, Role.CONTROL)
        record = await self._store.get(task_id)
        if record is None or not may(principal, Role.CONTROL, record):
            raise NotFound


def _shown(hooked: Hooked) -> list[ShownWebhook]:
    return [
        ShownWebhook(
            webhook=number,
            url=webhook.url,
            events=cast("list[LoggedType]", list(webhook.events)),
            state="gone" if state.gone else "retrying" if state.tries else "waiting",
            seq=state.seq,
            deliveries=list(reversed(state.deliveries)),
        )
        for number, (webhook, state) in enumerate(zip(hooked.webhooks, hooked.states, strict=True))
    ]
