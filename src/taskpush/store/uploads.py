"""What becomes of uploads when tasks come and go: decided here for every adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from taskpush.errors import TaskPushError
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import KeptUpload, UploadRef
from taskpush.store.calls import Call, Create, Delete, ForgetUploads, KeepUpload

Find = Callable[[str], KeptUpload | None]
"""The newest state of an upload; None when it does not exist."""


def used(records: Iterable[TaskRecord], find: Find, now: datetime) -> Mapping[str, KeptUpload]:
    """The uploads of new tasks, which use them; raises `invalid_params` when one is gone."""
    found: dict[str, KeptUpload] = {}
    for record in records:
        for ref in record.uploads:
            upload = found.get(ref.upload_id) or find(ref.upload_id)
            if upload is None or not upload.is_usable(record.tenant, record.owner, now):
                raise TaskPushError(f"there is no upload {ref.upload_id}", code="invalid_params")
            found[ref.upload_id] = replace(upload, uses=upload.uses + 1, expires_at=None)
    return found


def given_back(uploads: Iterable[UploadRef], find: Find) -> Mapping[str, KeptUpload | None]:
    """The uploads of a deleted task: those that no other uses go."""
    left: dict[str, KeptUpload | None] = {}
    for ref in uploads:
        upload = find(ref.upload_id)
        if upload is not None:
            last = upload.uses <= 1
            left[ref.upload_id] = None if last else replace(upload, uses=upload.uses - 1)
    return left


def named(calls: Iterable[Call], newest: Callable[[str], TaskRecord | None]) -> Iterable[str]:
    """The uploads that the calls are about; `newest` gives the tasks they delete."""
    for call in calls:
        match call:
            case Create():
                yield from (ref.upload_id for record in call.records for ref in record.uploads)
            case Delete() if record := newest(call.task_id):
                yield from (ref.upload_id for ref in record.uploads)
            case KeepUpload():
                yield call.upload.ref.upload_id
            case ForgetUploads():
                yield from call.upload_ids
