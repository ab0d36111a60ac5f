"""Whether an owner's files have room, with those that are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from taskpush.core.limits import Limits
from taskpush.errors import TaskPushError
from taskpush.models.uploads import HeldUploads, KeptUpload
from taskpush.store.base import Store


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Account:
    """What an owner has. Each file is counted once: in `held` or among the places."""

    tenant: str
    owner: str
    # No less than what the store has: deletions are not told. None: it was not read yet.
    held: HeldUploads | None = None
    places: list[Place] = field(default_factory=list)
    # Held while the store is asked, and while a file goes there from its place.
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)


class Place:
    """Room for one file on its way; `release` gives back what was not filled."""

    def __init__(self, quota: UploadQuota, account: _Account) -> None:
        self.size_bytes = 0
        self._quota = quota
        self._account = account

    async def counted(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The content; raises `upload_limit` when it takes more room than there is."""
        came_bytes = 0
        async for piece in content:
            came_bytes += len(piece)
            if came_bytes > self.size_bytes:
                await self._quota.claim(self._account, self, came_bytes)
            yield piece

    async def fill(self, keep: Callable[[KeptUpload], Awaitable[None]], upload: KeptUpload) -> None:
        """Have the store `keep` the file, which counts there from then on."""
        account = self._account
        async with account.moving:
            await keep(upload)
            assert account.held is not None  # Since the place was claimed.
            account.held = account.held.plus(upload.ref.size_bytes)
            self.release()

    def release(self) -> None:
        """Take no room any more."""
        if self in self._account.places:
            self._account.places.remove(self)


class UploadQuota:
    """Gives room to files that come, as the limits have it.

    `make_room` removes what has expired, and says of how many files.
    """

    def __init__(
        self, store: Store, limits: Limits, make_room: Callable[[], Awaitable[int]]
    ) -> None:
        self._store = store
        self._limits = limits
        self._make_room = make_room
        # Of the owners whose files are on their way.
        self._accounts: WeakValueDictionary[tuple[str, str], _Account] = WeakValueDictionary()

    async def place(self, tenant: str, owner: str, size_bytes: int) -> Place:
        """Room for a file of at least so many bytes; raises `upload_limit`."""
        account = self._accounts.get((tenant, owner))
        if account is None:
            account = self._accounts[tenant, owner] = _Account(tenant, owner)
        place = Place(self, account)
        await self.claim(account, place, size_bytes)
        return place

    async def claim(self, account: _Account, place: Place, size_bytes: int) -> None:
        """Have a place take so many bytes; raises `upload_limit`, and then it is as it was."""
        if account.held is None or self._refusal(account, place, size_bytes):
            async with account.moving:
                await self._read(account)
                refusal = self._refusal(account, place, size_bytes)
                if refusal and await self._make_room():
                    await self._read(account)
                    refusal = self._refusal(account, place, size_bytes)
                if refusal:
                    raise TaskPushError(refusal, code="upload_limit")
        place.size_bytes = size_bytes
        if place not in account.places:
            account.places.append(place)

    async def _read(self, account: _Account) -> None:
        account.held = await self._store.held_uploads(account.tenant, account.owner)

    def _refusal(self, account: _Account, place: Place, size_bytes: int) -> str | None:
        """What is said when a file of that size has no room; None when it has."""
        assert account.held is not None
        others = [each for each in account.places if each is not place]
        held, limits = account.held, self._limits
        coming_bytes = size_bytes + sum(each.size_bytes for each in others)
        if held.unused + len(others) + 1 > limits.unused_uploads:
            return f"one may have {limits.unused_uploads} uploads that no task uses"
        if held.unused_bytes + coming_bytes > limits.unused_upload_bytes:
            return f"uploads that no task uses may have {limits.unused_upload_bytes} bytes together"
        if held.size_bytes + coming_bytes > limits.owner_upload_bytes:
            return (
                f"all uploads of one owner may have {limits.owner_upload_bytes} bytes together;"
                " those of tasks go when their tasks are deleted"
            )
        return None
