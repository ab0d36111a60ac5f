"""What all connections of a process share: one of each, above one store."""

from __future__ import annotations

from taskpush.push.dispatch import Dispatcher
from taskpush.push.feed import FeedHub
from taskpush.push.hub import Hub
from taskpush.push.reads import ReplayReader
from taskpush.store.base import Store


class PushPlane:
    """The hubs that events and changes come in by, the reader of what is past, the dispatcher."""

    def __init__(self, store: Store, dispatcher: Dispatcher | None = None) -> None:
        self.store = store
        self.hub = Hub()
        self.feeds = FeedHub(store)
        self.reader = ReplayReader(store)
        self.dispatcher = Dispatcher() if dispatcher is None else dispatcher
        store.listen(self.reader.on_commit)
        store.listen(self.hub.announce)
        store.follow(self.feeds.announce)
