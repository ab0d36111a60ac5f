"""The audit trail: what is noted of who controls tasks and hands out access, and who may read it.

What changes a task is noted in the transaction that changes it. API keys are made at the command
line, beside the server and its store: their file is itself the record of who made and ended them,
and is read together with the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Final

from taskpush.access.admission import Admission
from taskpush.access.keys import ApiKey, KeyProblem, read_keys
from taskpush.access.policy import demand_admin
from taskpush.access.principal import Principal
from taskpush.access.seal import Seal
from taskpush.clock import Clock
from taskpush.core.lifecycle import Decide, Decision
from taskpush.errors import StoreUnavailable, TaskPushError
from taskpush.models.access import NewToken
from taskpush.models.audit import (
    Action,
    AuditEntry,
    AuditFilter,
    AuditPlace,
    Door,
    PlacedEntry,
    Via,
)
from taskpush.models.task import TaskRecord
from taskpush.store.base import Store

REFUSALS_PER_MIN: Final = 60
"""Refused attempts of one tenant that are noted in a minute: an entry must not cost its cause
nothing and the disk a line, without a bound."""
MAX_TENANTS: Final = 1000
"""Tenants whose refusals are counted at a time."""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What a page of the trail is asked for; None means any. Whose comes from who asks."""

    limit: int
    # A page's `next`.
    after: str | None = None
    task_id: str | None = None
    owner: str | None = None
    action: Action | None = None
    # Inclusive.
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first."""

    entries: Sequence[AuditEntry]
    # Opaque; None at the end of the trail.
    next: str | None


class AuditTrail:
    """Notes what principals do, and shows it to the admins of their tenant.

    `keys_file` is where API keys are kept; it need not be there. `seal` closes places in the
    trail, which are numbered for all tenants together; without one they end with this process.
    """

    def __init__(
        self, store: Store, clock: Clock, keys_file: Path, *, seal: Seal | None = None
    ) -> None:
        self._seal = Seal() if seal is None else seal
        self._store = store
        self._clock = clock
        self._keys_file = keys_file
        self._refusals = _Refusals()

    def entry(
        self, action: Action, principal: Principal, via: Via, detail: str | None = None
    ) -> AuditEntry:
        """What will be noted of an action that is asked for now."""
        return AuditEntry(
            at=self._clock.now(),
            tenant=principal.tenant,
            owner=principal.owner,
            credential=via.credential,
            door=via.door,
            address=via.address,
            action=action,
            detail=detail,
        )

    async def refused(self, entry: AuditEntry, task_id: str, error: TaskPushError) -> None:
        """Note that it was not done; of many in a minute the first ones."""
        if self._refusals.has_room(entry.tenant, entry.at):
            told = {"outcome": error.code, "task_id": task_id}
            await self._store.note(entry.model_copy(update=told), synced=False)

    async def token_issued(
        self, principal: Principal, via: Via, token_id: str, asked: NewToken
    ) -> None:
        """Note that a token was made; synced when this returns."""
        what = f"tag {asked.tag}" if asked.tag is not None else f"feed {asked.feed}"
        rights = ", ".join(asked.rights)
        told = {
            "task_id": asked.task_id,
            "target": f"token:{token_id}",
            "detail": rights if asked.task_id is not None else f"{rights}; {what}",
        }
        entry = self.entry(Action.ISSUE_TOKEN, principal, via)
        await self._store.note(entry.model_copy(update=told))

    async def token_revoked(self, principal: Principal, via: Via, token_id: str) -> None:
        """Note that a token was revoked; synced when this returns."""
        entry = self.entry(Action.REVOKE_TOKEN, principal, via)
        await self._store.note(entry.model_copy(update={"target": f"token:{token_id}"}))

    async def page(self, admission: Admission, query: AuditQuery) -> AuditPage:
        """Entries of the reader's tenant, newest first.

        Raises `forbidden` for who is no admin, unless no access is configured, and
        `invalid_request` for an `after` that no page gave.
        """
        principal = admission.principal
        demand_admin(admission)
        before = None
        if query.after is not None:
            before = AuditPlace.parse(self._seal.open(query.after) or "")
        where = AuditFilter(principal.tenant, query.task_id, query.owner, query.action, query.since)
        noted = await self._store.audit(where, before=before, limit=query.limit + 1)
        found = sorted(
            [*noted, *await self._of_keys(where, before)], reverse=True, key=itemgetter(0)
        )
        page = found[: query.limit]
        more = len(found) > query.limit
        return AuditPage(
            entries=[placed.entry for placed in page],
            next=self._seal.close(str(page[-1].place)) if more else None,
        )

    async def _of_keys(self, where: AuditFilter, before: AuditPlace | None) -> list[PlacedEntry]:
        try:
            keys = await asyncio.to_thread(read_keys, self._keys_file)
        except (KeyProblem, OSError):
            raise StoreUnavailable("the file of the API keys cannot be read") from None
        return [
            placed
            for placed in _of_keys(keys)
            if where.holds(placed.entry) and (before is None or placed.place < before)
        ]


def noted(entry: AuditEntry, decide: Decide) -> Decide:
    """`decide`, with the entry noted when it is accepted, also when it changes nothing."""

    def noting(record: TaskRecord | None) -> Decision:
        decision = decide(record)
        return decision._replace(notes=(entry.about(record or decision.record),))

    return noting


class _Refusals:
    """Counts, for each tenant, what was refused within the minute."""

    def __init__(self) -> None:
        # When its minute began, and how many there were.
        self._counts: dict[str, tuple[datetime, int]] = {}

    def has_room(self, tenant: str, now: datetime) -> bool:
        """Whether one more is noted; counts it then."""
        began, count = self._counts.get(tenant, (now, 0))
        if not 0 <= (now - began).total_seconds() < 60:
            began, count = now, 0
        if count >= REFUSALS_PER_MIN:
            return False
        self._counts.pop(tenant, None)
        if len(self._counts) >= MAX_TENANTS:
            # The one whose last refusal is longest ago.
            del self._counts[next(iter(self._counts))]
        self._counts[tenant] = (began, count + 1)
        return True


def _of_keys(keys: Sequence[ApiKey]) -> Iterator[PlacedEntry]:
    """What the file tells. Numbers below 0 keep its places apart from those of the store."""
    for index, key in enumerate(keys):
        yield _of_key(key, Action.CREATE_KEY, key.created_at, key.created_by, -2 * index - 1)
        if key.revoked_at is not None:
            yield _of_key(key, Action.REVOKE_KEY, key.revoked_at, key.revoked_by, -2 * index - 2)


def _of_key(key: ApiKey, action: Action, at: float, by: str | None, number: int) -> PlacedEntry:
    moment = datetime.fromtimestamp(at, UTC)
    roles = ", ".join(role.value for role in key.roles)
    entry = AuditEntry(
        at=moment,
        tenant=key.tenant,
        owner=None,
        credential=f"user:{by or 'unknown'}",
        door=Door.SHELL,
        address=None,
        action=action,
        target=f"key:{key.id}",
        detail=f"{key.name}, of {key.owner}: {roles}",
    )
    return PlacedEntry(AuditPlace(round(at * 1e6), number), entry)
