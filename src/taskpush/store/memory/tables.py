"""What a store in memory holds, and what a commit makes of it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import islice
from operator import itemgetter

from taskpush.models.audit import AuditPlace, PlacedEntry
from taskpush.models.events import EventType
from taskpush.models.feed import Tombstone
from taskpush.models.task import LoggedEvent
from taskpush.models.uploads import KeptUpload
from taskpush.models.webhooks import DeliveryState
from taskpush.store.base import MAX_FORGOTTEN_ENTRIES, IdempotencyKey
from taskpush.store.batch import MAX_FORGOTTEN_KEYS, Batch, Cut, Forgetting
from taskpush.store.calls import Entry, KeptKey, Stored
from taskpush.store.changes import History


class Tables:
    """As of the last commit; only `begin_era` and `commit` change anything."""

    def __init__(self) -> None:
        # In the order of creation.
        self.entries: dict[str, Entry] = {}
        self.logs: dict[str, list[LoggedEvent]] = {}
        # The begins of trimmed logs, as far as they stay.
        self.set_aside: dict[str, list[LoggedEvent]] = {}
        # Tenant and owner of each deleted task.
        self.deleted: dict[str, tuple[str, str]] = {}
        # In the order of their creation, by `IdempotencyKey.name`.
        self.keys: dict[tuple[str, str, str], KeptKey] = {}
        # In the order of changes: what was written of which task.
        self.changed: dict[str, int] = {}
        self.tombstones: list[Tombstone] = []
        # By their places.
        self.audit: list[PlacedEntry] = []
        # How far webhooks have come, and the tasks of which something may be left to deliver.
        self.deliveries: dict[str, tuple[DeliveryState, ...]] = {}
        self.open_webhooks: set[str] = set()
        self.uploads: dict[str, KeptUpload] = {}
        self.last_order = 0
        self.reserved_rev = 0
        self._last_note = 0
        self._forgotten = 0
        # The last change of each era that is over.
        self._eras: dict[str, int] = {}
        # Empty until the first one begins.
        self._era = ""

    def begin_era(self, epoch: str) -> History:
        """What was changed before now; what is changed from now on is told under `epoch`."""
        deletions = [gone.changed for gone in self.tombstones]
        newest = max([*self.changed.values(), *deletions], default=0)
        if self._era:
            self._eras[self._era] = newest
        self._era = epoch
        return History(newest, self._forgotten, deletions, dict(self._eras))

    def load(self, task_ids: Collection[str], keys: Collection[IdempotencyKey]) -> Stored:
        """What there is of the tasks and the keys, and of the tasks created under the keys."""
        kept = {key.name: self.keys[key.name] for key in keys if key.name in self.keys}
        wanted = {*task_ids, *(task_id for key in kept.values() for task_id in key.task_ids)}
        entries = {task_id: self.entries[task_id] for task_id in wanted if task_id in self.entries}
        return Stored(entries, wanted & self.deleted.keys(), kept)

    def load_uploads(self, upload_ids: Collection[str]) -> Mapping[str, KeptUpload]:
        """Those of the uploads that there are."""
        return {each: self.uploads[each] for each in upload_ids if each in self.uploads}

    def commit(self, batch: Batch) -> None:
        """Take the batch over, its parts in the order in which they stand there."""
        self._write_tasks(batch)
        self._write_changes(batch)
        self._keep_keys(batch)
        for cut in batch.cuts:
            self._cut(cut)
        for task_id in batch.deleted:
            self._delete(task_id)
        self._bury(batch)
        self.reserved_rev = batch.reserved_rev or self.reserved_rev
        self._write_audit(batch)
        self._write_deliveries(batch)
        self._write_uploads(batch)

    def _write_tasks(self, batch: Batch) -> None:
        self.entries.update(
            (task_id, _without_preview(entry)) for task_id, entry in batch.entries.items()
        )
        self.last_order = max(
            self.last_order, *(entry.order for entry in batch.entries.values()), 0
        )
        for _, event in batch.events:
            self.logs.setdefault(event.task_id, []).append(event)
        for _, volatile in batch.latest:
            entry = self.entries[volatile.task_id]
            latest = {**entry.record.latest, volatile.event_type: volatile}
            record = replace(entry.record, latest=latest)
            self.entries[volatile.task_id] = Entry(entry.order, record)

    def _write_changes(self, batch: Batch) -> None:
        for task_id, row in sorted(batch.rows.items(), key=lambda item: item[1].changed):
            # Anew, at the end.
            self.changed.pop(task_id, None)
            self.changed[task_id] = row.changed

    def _keep_keys(self, batch: Batch) -> None:
        oldest = list(islice(self.keys.values(), MAX_FORGOTTEN_KEYS))
        for kept in oldest:
            if batch.forget_keys_of is not None and kept.created_at <= batch.forget_keys_of:
                del self.keys[kept.key.name]
        for name, kept in batch.keys.items():
            # Anew, at the end.
            self.keys.pop(name, None)
            self.keys[name] = kept

    def _cut(self, cut: Cut) -> None:
        log = self.logs[cut.entry.record.task_id]
        gone = [event for event in log if event.seq <= cut.through]
        artifacts = [event for event in gone if event.event_type is EventType.ARTIFACT]
        self.set_aside.setdefault(cut.entry.record.task_id, []).extend(artifacts)
        cut.removed_bytes = sum(len(event.body) for event in gone)
        del log[: len(gone)]

    def _delete(self, task_id: str) -> None:
        record = self.entries.pop(task_id).record
        self.changed.pop(task_id, None)
        self.logs.pop(task_id, None)
        self.set_aside.pop(task_id, None)
        self.deleted[task_id] = (record.tenant, record.owner)

    def _bury(self, batch: Batch) -> None:
        self.tombstones += batch.tombstones
        if batch.forget_tombstones is not None:
            self._forgotten = batch.forget_tombstones
            self.tombstones = [gone for gone in self.tombstones if gone.changed > self._forgotten]

    def _write_audit(self, batch: Batch) -> None:
        for note in batch.notes:
            self._last_note += 1
            place = AuditPlace(note.at_us, self._last_note)
            insort(self.audit, PlacedEntry(place, note.entry), key=itemgetter(0))
        for forgetting in batch.forgettings:
            self._forget(forgetting)

    def _forget(self, forgetting: Forgetting) -> None:
        old = bisect_left(self.audit, forgetting.before, key=lambda noted: noted.entry.at)
        forgetting.removed = min(old, MAX_FORGOTTEN_ENTRIES)
        del self.audit[: forgetting.removed]

    def _write_deliveries(self, batch: Batch) -> None:
        self.open_webhooks.update(entry.record.task_id for entry in batch.begun)
        for entry, states, is_open in batch.delivered:
            task_id = entry.record.task_id
            self.deliveries[task_id] = tuple(states)
            (self.open_webhooks.add if is_open else self.open_webhooks.discard)(task_id)
        for task_id in batch.deleted:
            self.deliveries.pop(task_id, None)
            self.open_webhooks.discard(task_id)

    def _write_uploads(self, batch: Batch) -> None:
        for upload_id, upload in batch.uploads.items():
            if upload is None:
                self.uploads.pop(upload_id, None)
            else:
                self.uploads[upload_id] = upload


def _without_preview(entry: Entry) -> Entry:
    """What a disk would have of it."""
    record = entry.record
    if EventType.PREVIEW not in record.latest:
        return entry
    latest = dict(record.latest)
    del latest[EventType.PREVIEW]
    return entry._replace(record=replace(record, latest=latest))
