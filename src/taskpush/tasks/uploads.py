"""Files that clients send for params: taken in, handed out, and removed when nobody needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from taskpush.access.policy import demand
from taskpush.access.principal import Principal, Role
from taskpush.clock import Clock
from taskpush.core.limits import DEFAULT_LIMITS, Limits
from taskpush.errors import FieldProblem, InvalidRequest, TaskPushError
from taskpush.ids import canonical_task_id, new_upload_id
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import KeptUpload, UploadRef, check_file_name, ids_in
from taskpush.runner.kind import KindSpec
from taskpush.runner.media_types import is_media_type, type_of
from taskpush.runner.uploads import NO_TYPE, NO_UPLOADS, Uploads, handed_over
from taskpush.store.base import Store
from taskpush.store.blobs import BadBlob, Blobs
from taskpush.tasks.quota import Place, UploadQuota

LIFETIME: Final = timedelta(hours=24)
FORGOTTEN_AT_ONCE: Final = 100
"""Uploads that are removed together: what others write waits for one such commit."""
_UNSAID: Final = frozenset({NO_TYPE, "application/x-www-form-urlencoded"})
"""What programs send that do not know what is in a file, curl among them."""


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What is said of a file before it comes."""

    name: str
    # None: the name decides.
    media_type: str | None = None
    # None when its sender does not know either.
    size_bytes: int | None = None


class UploadShelf:
    """Takes uploads in for their owners, and hands them out to tasks.

    Each belongs to a tenant and an owner, and exists for nobody else. It goes `lifetime` after it
    came unless a task uses it, and with the last task that does.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        clock: Clock,
        *,
        limits: Limits = DEFAULT_LIMITS,
        lifetime: timedelta = LIFETIME,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._lifetime = lifetime
        self._limits = limits
        self._quota = UploadQuota(store, limits, self.forget_expired)
        self._under_way: set[asyncio.Task[KeptUpload]] = set()

    async def take(
        self, principal: Principal, new: NewUpload, content: AsyncIterator[bytes]
    ) -> KeptUpload:
        """Keep a file that comes; when it returns, the file survives power loss.

        Raises `forbidden`, `invalid_request`, `payload_too_large`, `upload_limit`, and whatever
        `content` raises; nothing is kept then.
        """
        demand(principal, Role.CREATE)
        name, media_type = _checked(new)
        size_bytes = new.size_bytes or 0
        if size_bytes > self._limits.upload_bytes:
            limit_bytes = self._limits.upload_bytes
            raise TaskPushError(f"larger than {limit_bytes} bytes", code="payload_too_large")
        place = await self._quota.place(principal.tenant, principal.owner, size_bytes)
        try:
            ref = await self._receive(name, media_type, place.counted(content))
        except BaseException:
            place.release()
            raise
        return await self._see_through(self._add(principal, ref, place))

    async def get(self, principal: Principal, upload_id: str) -> KeptUpload:
        """The upload; raises `upload_not_found` unless it is there for this principal."""
        demand(principal, Role.CREATE)
        upload = await self._kept(principal, upload_id)
        now = self._clock.now()
        if upload is None or not upload.is_usable(principal.tenant, principal.owner, now):
            raise TaskPushError(code="upload_not_found")
        return upload

    async def discard(self, principal: Principal, upload_id: str) -> None:
        """Remove an upload; raises `upload_not_found`, and `upload_in_use` while tasks have it.

        One that has expired is there to be removed, until it is.
        """
        demand(principal, Role.CREATE)
        upload = await self._kept(principal, upload_id)
        if upload is None:
            raise TaskPushError(code="upload_not_found")
        if not await self._forget([upload.ref.upload_id]):
            raise TaskPushError(code="upload_in_use")

    async def of(self, principal: Principal, spec: KindSpec, params: Mapping[str, Any]) -> Uploads:
        """The principal's uploads whose ids stand in params of that kind."""
        ids = set(ids_in(params)) if spec.takes_uploads else set()
        if not ids:
            return NO_UPLOADS
        kept, now = await self._store.uploads(ids), self._clock.now()
        usable = (
            upload.ref
            for upload in kept.values()
            if upload.is_usable(principal.tenant, principal.owner, now)
        )
        return handed_over(usable, self._blobs.upload_path)

    async def forget_expired(self) -> int:
        """Remove what no task has used in time; returns how many there were."""
        removed = 0
        while ids := await self._store.expired_uploads(self._clock.now(), limit=FORGOTTEN_AT_ONCE):
            removed += len(await self._forget(ids))
        return removed

    async def _forget(self, upload_ids: Collection[str]) -> Collection[str]:
        gone = await self._store.forget_uploads(upload_ids)
        await self._blobs.remove_uploads(gone)
        return gone

    async def _kept(self, principal: Principal, upload_id: str) -> KeptUpload | None:
        """The principal's upload, expired or not."""
        canonical = canonical_task_id(upload_id) or ""
        upload = (await self._store.uploads([canonical])).get(canonical)
        mine = upload and (upload.tenant, upload.owner) == (principal.tenant, principal.owner)
        return upload if mine else None

    async def _receive(
        self, name: str, media_type: str, content: AsyncIterator[bytes]
    ) -> UploadRef:
        """Keep what comes; nothing is left of what does not come whole."""
        upload_id = new_upload_id()
        suffix = UploadRef(upload_id, name, media_type, 0, "").suffix
        try:
            blob = await self._blobs.put_upload(upload_id, suffix, content)
        except BadBlob as error:
            raise TaskPushError(str(error), code="payload_too_large") from None
        except asyncio.CancelledError:
            # It may have been kept in the last moment.
            await self._blobs.remove_uploads([upload_id])
            raise
        return UploadRef(upload_id, name, media_type, blob.size_bytes, blob.sha256)

    async def _add(self, principal: Principal, ref: UploadRef, place: Place) -> KeptUpload:
        """Commit what has come; it is removed when that fails."""
        now = self._clock.now()
        upload = KeptUpload(
            ref,
            principal.tenant,
            principal.owner,
            created_at=now,
            expires_at=now + self._lifetime,
        )
        kept = False
        try:
            await place.fill(self._store.keep_upload, upload)
            kept = True
        finally:
            place.release()
            if not kept:
                await self._blobs.remove_uploads([ref.upload_id])
        return upload

    async def _see_through(self, work: Coroutine[Any, Any, KeptUpload]) -> KeptUpload:
        """Await `work`, which goes on when the caller goes away: a file is kept whole or not."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)


async def remove_files(store: Store, blobs: Blobs, deleted: Iterable[TaskRecord]) -> None:
    """Remove the files of tasks that the store has forgotten.

    Artifacts and checkpoints are theirs alone; of their uploads those go that no other task uses.
    """
    records = list(deleted)
    await blobs.remove(*(record.task_id for record in records))
    ids = {ref.upload_id for record in records for ref in record.uploads}
    if ids:
        await blobs.remove_uploads(ids - (await store.uploads(ids)).keys())


def _checked(new: NewUpload) -> tuple[str, str]:
    """Name and media type; raises `invalid_request`."""
    try:
        name = check_file_name(new.name)
    except ValueError as error:
        raise InvalidRequest(str(error), problems=[FieldProblem("name", str(error))]) from None
    said = new.media_type
    plain = "" if said is None else said.partition(";")[0].strip().lower()
    if said is None or plain in _UNSAID:
        return name, type_of(name) or NO_TYPE
    if is_media_type(said):
        return name, said
    if is_media_type(plain):
        # Its parameters are written in another of the ways that there are.
        return name, plain
    raise InvalidRequest("the Content-Type is no media type")
