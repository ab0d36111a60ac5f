"""Whatever a link does, the application sees exactly the log, or is told that it was cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taskpush.client.errors import BadAnswer
from taskpush.client.events import Resync, WatchItem
from taskpush.client.session import MAX_TRIES, Subscribe, Unsubscribe, WatchSession
from tests.client.wire import TASK, accepted, logged, position, resync, status, volatile

EVENTS = 12


@dataclass
class Server:
    """A log, one subscription to it, and a link that misbehaves."""

    session: WatchSession
    log: list[dict[str, Any]]
    epoch: str = "e1"
    # None while nothing is subscribed.
    cursor: int | None = None
    rev: int = 0
    seen: list[WatchItem] = field(default_factory=list)

    def serve(self) -> None:
        """Answer what the session asks."""
        while (request := self.session.next_request()) is not None:
            match request:
                case Unsubscribe():
                    self.cursor = None
                case Subscribe(number, payload):
                    self._subscribe(number, payload.get("after"))

    def _subscribe(self, number: int, after: dict[str, Any] | None) -> None:
        seq = after["seq"] if after else 0
        head = len(self.log)
        valid = seq == 0 or (seq <= head and self.log[seq - 1]["epoch"] == after["epoch"])  # type: ignore[index]  # a seq came with it
        self.cursor = seq if valid else head
        answer = accepted(seq, head=head, mode="replay" if valid else "resync")
        answer["position"] = position(seq, self.log[seq - 1]["epoch"] if 0 < seq <= head else "")
        answer["snapshot"]["position"] = position(head, self.log[-1]["epoch"])
        answer["snapshot"] |= {"status": self._word(), "final": self._word() == "completed"}
        self.session.answered(number, answer)
        if not valid:
            payload = resync(head, self._word())
            payload["position"] = payload["snapshot"]["position"] = answer["snapshot"]["position"]
            self.session.resync(payload)

    def _word(self) -> str:
        return str(self.log[-1]["data"].get("status", "running"))

    def deliver(self, count: int) -> None:
        for _ in range(count):
            if self.cursor is not None and self.cursor < len(self.log):
                self.cursor += 1
                self.session.update(self.log[self.cursor - 1])

    def repeat(self, back: int) -> None:
        if self.cursor:
            self.session.update(self.log[max(0, self.cursor - back - 1)])

    def swap(self, _: int) -> None:
        if self.cursor is not None and self.cursor + 1 < len(self.log):
            self.session.update(self.log[self.cursor + 1])
            self.session.update(self.log[self.cursor])
            self.cursor += 2

    def lose(self, count: int) -> None:
        if self.cursor is not None:
            self.cursor = min(len(self.log), self.cursor + count)

    def cut(self, _: int) -> None:
        self.session.link_down()
        self.cursor = None
        self.session.link_up()

    def publish(self, back: int) -> None:
        self.rev += 1
        if self.cursor is not None:
            self.session.update(volatile(max(1, self.rev - back)))

    def take(self, count: int) -> None:
        for _ in range(count):
            if (item := self.session.take()) is not None:
                self.seen.append(item)

    def restore(self, keep: int) -> None:
        """The server comes back with an older copy of its log, which then goes on otherwise."""
        if self.epoch == "e1":
            self.cut(0)
            self.epoch = "e2"
            self.log[keep:] = log_of("e2", keep + 1)

    def finish(self) -> None:
        """Behave until the watch is over, beginning with a new link.

        Events lost at the end of a link that goes on would only show with the next one.
        """
        self.cut(0)
        for _ in range(20 * EVENTS):
            self.serve()
            self.deliver(EVENTS)
            self.take(EVENTS)
            if self.session.over:
                break
        else:
            raise AssertionError("the watch does not end")
        self.take(2 * EVENTS)


def log_of(epoch: str, first: int) -> list[dict[str, Any]]:
    body = [logged(seq, text=f"{epoch} {seq}", epoch=epoch) for seq in range(first, EVENTS)]
    return [*body, status(EVENTS, "completed", epoch=epoch)]


MISCHIEF: list[Callable[[Server, int], None]] = [
    Server.deliver,
    Server.repeat,
    Server.swap,
    Server.lose,
    Server.cut,
    Server.publish,
    Server.take,
]

steps = st.lists(st.tuples(st.sampled_from(MISCHIEF), st.integers(0, 5)), max_size=60)
capacities = st.sampled_from([1, 3, 1000])


def bearable(
    script: list[tuple[Callable[[Server, int], None], int]],
) -> list[tuple[Callable[[Server, int], None], int]]:
    """The script without those holes that would make the session give the server up."""
    holes = [at for at, (act, _) in enumerate(script) if act in {Server.swap, Server.lose}]
    unbearable = set(holes[MAX_TRIES - 1 :])
    return [step for at, step in enumerate(script) if at not in unbearable]


def watched(script: list[tuple[Callable[[Server, int], None], int]], capacity: int) -> Server:
    server = Server(WatchSession(TASK, capacity=capacity), log_of("e1", 1))
    server.session.link_up()
    for act, size in bearable(script):
        server.serve()
        act(server, size)
        if server.session.over:
            break
    server.finish()
    return server


def seqs_of(items: list[WatchItem]) -> list[dict[str, Any]]:
    return [item.raw for item in items if not isinstance(item, Resync) and item.seq is not None]


def revs_rise(items: list[WatchItem]) -> bool:
    revs = [item.rev for item in items if not isinstance(item, Resync) and item.rev is not None]
    return revs == sorted(set(revs))


@given(script=steps, capacity=capacities)
def test_the_application_sees_exactly_the_log(
    script: list[tuple[Callable[[Server, int], None], int]], capacity: int
) -> None:
    server = watched(script, capacity)
    assert server.session.failure is None
    assert seqs_of(server.seen) == server.log
    assert revs_rise(server.seen)


def test_a_server_that_leaves_a_hole_again_and_again_is_given_up() -> None:
    server = Server(WatchSession(TASK, capacity=10), log_of("e1", 1))
    server.session.link_up()
    for _ in range(MAX_TRIES):
        assert server.session.failure is None
        server.serve()
        server.swap(0)
    assert isinstance(server.session.failure, BadAnswer)


@given(before=steps, keep=st.integers(1, EVENTS - 2), after=steps, capacity=capacities)
def test_a_log_that_was_restored_from_an_older_copy_is_never_continued_silently(
    before: list[tuple[Callable[[Server, int], None], int]],
    keep: int,
    after: list[tuple[Callable[[Server, int], None], int]],
    capacity: int,
) -> None:
    old = log_of("e1", 1)
    server = watched([*before, (Server.restore, keep), *after], capacity)
    assert server.session.failure is None
    cuts = [at for at, item in enumerate(server.seen) if isinstance(item, Resync)]
    if cuts:
        (at,) = cuts
        cut = server.seen[at]
        assert isinstance(cut, Resync)
        first = seqs_of(server.seen[:at])
        assert first == old[: len(first)]
        assert seqs_of(server.seen[at:]) == server.log[cut.position.seq :]
    else:
        # Nothing of what was lost had been seen, or all of the old log had.
        assert seqs_of(server.seen) in (server.log, old)
