"""What a store promises of the audit trail; part of `StoreContract`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from taskpush.core import lifecycle
from taskpush.core.lifecycle import Decide, Decision
from taskpush.errors import IllegalTransition, NotFound
from taskpush.models.audit import Action, AuditEntry, AuditFilter, AuditPlace, Door
from taskpush.models.events import Status
from taskpush.models.task import TaskRecord
from taskpush.store.base import MAX_FORGOTTEN_ENTRIES
from tests.store.harness import Harness, say, texts_of

LOCAL = AuditFilter(tenant="local")


def entry_of(harness: Harness, action: Action = Action.CANCEL, **fields: Any) -> AuditEntry:
    told: dict[str, Any] = {
        "at": harness.clock.now(),
        "tenant": "local",
        "owner": "ann",
        "credential": "key:1",
        "door": Door.REST,
        "address": "::1",
        "action": action,
    }
    return AuditEntry(**(told | fields))


def noting(decide: Decide, *entries: AuditEntry) -> Decide:
    def noted(record: TaskRecord | None) -> Decision:
        return decide(record)._replace(notes=entries)

    return noted


async def trail(harness: Harness, where: AuditFilter = LOCAL) -> Sequence[AuditEntry]:
    return [placed.entry for placed in await harness.store.audit(where, limit=1000)]


class AuditContract:
    """Entries are there when what they tell of took effect, and stay."""

    async def test_an_entry_is_committed_with_the_decision_that_it_tells_of(
        self, harness: Harness
    ) -> None:
        task = await harness.create_running()
        entry = entry_of(harness).about(task)
        cancel = lifecycle.cancel(None, harness.clock.now())
        await harness.store.write(task.task_id, noting(cancel, entry), synced=True)
        assert await trail(harness) == [entry]
        assert (entry.status, entry.attempt, entry.task_owner) == (Status.RUNNING, 1, "ann")

    async def test_a_decision_that_changes_nothing_is_noted_too(self, harness: Harness) -> None:
        task = await harness.create_running()
        entry = entry_of(harness)
        await harness.store.write(task.task_id, noting(_unchanged, entry), synced=True)
        assert await trail(harness) == [entry]

    async def test_what_was_not_accepted_is_not_noted(self, harness: Harness) -> None:
        task = await harness.create_running()
        deleting = noting(lifecycle.delete(), entry_of(harness))
        with pytest.raises(IllegalTransition):
            await harness.store.delete(task.task_id, deleting)
        with pytest.raises(NotFound):
            await harness.store.write("nobody's", noting(say("x"), entry_of(harness)))
        assert await trail(harness) == []

    async def test_entries_outlive_their_task_and_the_server(self, harness: Harness) -> None:
        task = await harness.create_completed()
        entry = entry_of(harness, Action.DELETE).about(task)
        await harness.store.delete(task.task_id, noting(lifecycle.delete(), entry))
        await harness.reopen()
        assert await trail(harness) == [entry]

    async def test_an_entry_may_stand_by_itself(self, harness: Harness) -> None:
        entries = [entry_of(harness, Action.ISSUE_TOKEN, target=f"token:{n}") for n in range(3)]
        await asyncio.gather(
            *(harness.store.note(entry, synced=bool(n)) for n, entry in enumerate(entries))
        )
        assert await trail(harness) == entries[::-1]

    async def test_a_text_that_cannot_be_kept_fails_what_would_note_it_alone(
        self, harness: Harness
    ) -> None:
        task = await harness.create_running()
        bad = entry_of(harness, owner="\ud800")
        outcomes = await asyncio.gather(
            harness.store.write(task.task_id, noting(say("never"), bad)),
            harness.store.note(bad),
            harness.store.write(task.task_id, say("said")),
            return_exceptions=True,
        )
        assert [type(each) for each in outcomes[:2]] == [type(outcomes[0])] * 2
        assert isinstance(outcomes[0], ValueError)
        assert texts_of(await harness.log(task.task_id)) == ["said"]
        assert await trail(harness) == []

    async def test_the_newest_come_first_and_pages_hold_all_once(self, harness: Harness) -> None:
        entries = []
        for number in range(10):
            entries.append(entry_of(harness, detail=str(number)))
            await harness.store.note(entries[-1], synced=False)
            # Several of one moment, and one from before a clock was set back.
            harness.clock.wind(-0.5 if number == 7 else number % 2)
        found: list[AuditEntry] = []
        before: AuditPlace | None = None
        while page := await harness.store.audit(LOCAL, before=before, limit=3):
            found += [placed.entry for placed in page]
            before = AuditPlace.parse(str(page[-1].place))
            await harness.store.note(entry_of(harness, detail="later"), synced=False)
        expected = sorted(enumerate(entries), key=lambda it: (it[1].at, it[0]), reverse=True)
        assert found == [entry for _, entry in expected]

    async def test_each_filter_leaves_the_entries_that_fit(self, harness: Harness) -> None:
        entries = [
            entry_of(harness, Action.RETRY, task_id="a"),
            entry_of(harness, Action.CANCEL, task_id="b", owner="bob"),
            entry_of(harness, Action.CREATE_KEY, owner=None),
            entry_of(harness, Action.CANCEL, task_id="a", tenant="acme"),
        ]
        for entry in entries:
            await harness.store.note(entry, synced=False)
        harness.clock.wind(60)
        late = entry_of(harness, Action.CANCEL, task_id="a")
        await harness.store.note(late)
        for fields, expected in (
            ({}, [late, *entries[2::-1]]),
            ({"task_id": "a"}, [late, entries[0]]),
            ({"owner": "bob"}, [entries[1]]),
            ({"action": Action.CANCEL}, [late, entries[1]]),
            ({"since": late.at}, [late]),
            ({"tenant": "acme"}, [entries[3]]),
            ({"tenant": "acme", "task_id": "b"}, []),
        ):
            where = AuditFilter(**({"tenant": "local"} | fields))
            assert await trail(harness, where) == expected, fields

    async def test_only_what_is_older_is_forgotten(self, harness: Harness) -> None:
        for tenant in ("local", "acme"):
            await harness.store.note(entry_of(harness, tenant=tenant))
        harness.clock.wind(60)
        kept = entry_of(harness)
        await harness.store.note(kept)
        assert await harness.store.forget_audit(kept.at) == 2
        assert await harness.store.forget_audit(kept.at) == 0
        assert await trail(harness) == [kept]
        assert await trail(harness, AuditFilter(tenant="acme")) == []

    async def test_one_call_forgets_no_more_than_it_may(self, harness: Harness) -> None:
        count = MAX_FORGOTTEN_ENTRIES + 5
        entry = entry_of(harness)
        await asyncio.gather(*(harness.store.note(entry, synced=False) for _ in range(count)))
        later = harness.clock.now() + timedelta(seconds=1)
        assert await harness.store.forget_audit(later) == MAX_FORGOTTEN_ENTRIES
        assert await harness.store.forget_audit(later) == 5


def _unchanged(record: TaskRecord | None) -> Decision:
    assert record is not None
    return Decision(record)
