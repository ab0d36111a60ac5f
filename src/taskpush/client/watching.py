"""A watch as its reader has it, and what it is a watch of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from taskpush.client.errors import ClientError
from taskpush.client.session import Subscribe, Unsubscribe

Item_co = TypeVar("Item_co", covariant=True)


class Session(Protocol[Item_co]):
    """What is watched, as a value that knows neither the link nor the clock."""

    failure: ClientError | None

    @property
    def key(self) -> str: ...

    @property
    def farewell(self) -> dict[str, Any]: ...

    @property
    def subscription(self) -> Mapping[str, Any]: ...

    @property
    def over(self) -> bool: ...

    def take(self) -> Item_co | None: ...

    def next_request(self) -> Subscribe | Unsubscribe | None: ...

    def awaits(self, number: int) -> bool: ...

    def link_up(self) -> None: ...

    def link_down(self) -> None: ...

    def answered(self, number: int, answer: object) -> None: ...

    def receive(self, name: str, payload: dict[str, Any]) -> None: ...

    def fail(self, error: ClientError) -> None: ...


class Keeper(Protocol):
    """What keeps watches connected."""

    def flush(self, watch: Watch[Any]) -> None: ...

    def remove(self, watch: Watch[Any]) -> None: ...


class Watch(Generic[Item_co]):
    """An asynchronous iterator over one session's items; ends when the session is over.

    Raises what ended the session when that was an error.
    """

    def __init__(self, session: Session[Item_co], keeper: Keeper) -> None:
        self.session = session
        self.changed = asyncio.Event()
        # How often in a row its subscription was lost before anything came.
        self.cuts = 0
        self._keeper = keeper

    def __aiter__(self) -> Watch[Item_co]:
        return self

    async def __anext__(self) -> Item_co:
        while True:
            item = self.session.take()
            if item is not None:
                self._keeper.flush(self)
                return item
            if self.session.failure is not None:
                raise self.session.failure
            if self.session.over:
                raise StopAsyncIteration
            self.changed.clear()
            await self.changed.wait()

    def close(self) -> None:
        """Stop watching; closing twice is the same as once."""
        self._keeper.remove(self)
