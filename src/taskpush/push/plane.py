"""What all connections of a process share: one of each, above one store."""

from __future__ import annotations

from taskpush.access.seal import Seal
from taskpush.push.dispatch import Dispatcher
from taskpush.push.feed import FeedHub
from taskpush.push.hub import Hub
from taskpush.push.outbox import OUTBOX_BYTES
from taskpush.push.reads import ReplayReader
from taskpush.store.base import Store


class PushPlane:
    """The hubs that events and changes come in by, the reader of what is past, the dispatcher.

    `outbox_bytes` is what may wait for one connection; what may wait for all is the dispatcher's.
    `seal` closes the cursors of feeds; without one they end with this process.
    """

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher | None = None,
        *,
        outbox_bytes: int = OUTBOX_BYTES,
        seal: Seal | None = None,
    ) -> None:
        self.store = store
        self.outbox_bytes = outbox_bytes
        self.dispatcher = Dispatcher() if dispatcher is None else dispatcher
        self.hub = Hub(self.dispatcher.flush_early)
        self.feeds = FeedHub(store, seal=seal)
        self.reader = ReplayReader(store)
        store.listen(self.reader.on_commit)
        store.listen(self.hub.announce)
        store.follow(self.feeds.announce)
