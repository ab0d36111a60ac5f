"""What should become of tasks, in the words of the protocol: what the whole life is compared with.

No record, no event, no store: for each task a few marks, and one word for each event of its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta

Said = tuple[int, str, object]
"""One event: its attempt, its type, and what tells it from others."""

OVER = ("completed", "failed", "cancelled", "interrupted")
THREE_STRIKES = 3


class Refused(Exception):
    """The command must not take effect; its argument is the code of the answer."""


@dataclass
class Life:
    """One task."""

    kind: str
    priority: int
    max_attempts: int
    # Not before this time.
    due: datetime | None
    status: str = "pending"
    attempt: int = 1
    failures: int = 0
    # Interruptions since the last checkpoint.
    strikes: int = 0
    # The label of its checkpoint.
    saved: str | None = None
    # What was asked of the running attempt: `cancel` or `keep`.
    wish: str | None = None
    # Whether its server or worker took it down, and not somebody's wish.
    lost: bool = False
    log: list[Said] = field(default_factory=list)
    # So many events were trimmed.
    cut: int = 0

    def say(self, event_type: str, what: object) -> None:
        self.log.append((self.attempt, event_type, what))

    def become(self, status: str) -> None:
        self.status, self.wish = status, None
        self.say("status_change", status)

    def begin_again(self) -> None:
        self.attempt += 1
        self.become("pending")


@dataclass
class Model:
    """All tasks, in the order of their creation."""

    lives: dict[str, Life] = field(default_factory=dict)
    # Ids of deleted ones.
    gone: set[str] = field(default_factory=set)
    # By key: the body, and the ids of what was created.
    keys: dict[str, tuple[str, list[str]]] = field(default_factory=dict)

    def copy(self) -> Model:
        return deepcopy(self)

    def queue(self) -> list[str]:
        """Who waits: higher priority first, then by age."""
        waiting = [each for each in self.lives if self.lives[each].status == "pending"]
        return sorted(waiting, key=lambda each: -self.lives[each].priority)

    def running(self) -> list[str]:
        return [each for each in self.lives if self.lives[each].status == "running"]

    # -- commands: each takes effect, or raises `Refused` and changes nothing -----

    def create(self, new: Sequence[tuple[str, Life]], key: str | None, body: str) -> list[str]:
        """Gives the ids of what the caller is told of."""
        if key in self.keys:
            known_body, ids = self.keys[key]
            if body != known_body:
                raise Refused("idempotency_conflict")
            return [each for each in ids if each in self.lives]
        ids = [task_id for task_id, _ in new]
        if len(set(ids)) < len(ids) or any(each in self.lives or each in self.gone for each in ids):
            raise Refused("task_id_taken")
        for task_id, life in new:
            self.lives[task_id] = life
            life.say("status_change", "pending")
        if key is not None:
            self.keys[key] = (body, ids)
        return ids

    def start(self, task_id: str, now: datetime) -> None:
        life = self._in(self._find(task_id), "pending")
        if life.due is not None and now < life.due:
            raise Refused("illegal_transition")
        life.become("running")

    def report(self, task_id: str, attempt: int, said: Sequence[tuple[str, object]]) -> None:
        life = self._in(self._find(task_id, attempt), "running")
        for event_type, what in said:
            life.say(event_type, what)

    def checkpoint(self, task_id: str, attempt: int, label: str) -> None:
        life = self._in(self._find(task_id, attempt), "running")
        life.saved, life.strikes = label, 0
        life.say("checkpoint", label)

    def complete(self, task_id: str, attempt: int) -> None:
        self._in(self._find(task_id, attempt), "running").become("completed")

    def fail(self, task_id: str, attempt: int, again_at: datetime | None) -> None:
        life = self._find(task_id, attempt)
        again = again_at is not None and life.failures + 1 < life.max_attempts
        self._in(life, *(("running",) if again else ("pending", "running")))
        life.failures += 1
        life.say("error", again)
        if again:
            life.due = again_at
            life.begin_again()
        else:
            life.become("failed")

    def cancel(self, task_id: str, attempt: int | None, *, keep: bool) -> None:
        life = self._in(self._find(task_id, attempt), "pending", "running")
        if life.status == "pending":
            life.lost = False
            life.become("interrupted" if keep else "cancelled")
        elif keep and life.wish is None:
            life.wish = "keep"
        elif not keep:
            life.wish = "cancel"

    def stop(self, task_id: str, attempt: int) -> None:
        life = self._in(self._find(task_id, attempt), "running")
        life.lost = False
        life.become("interrupted" if life.wish == "keep" else "cancelled")

    def interrupt(self, task_id: str, attempt: int, *, crashed: bool) -> None:
        life = self._in(self._find(task_id, attempt), "running")
        if life.wish is not None:
            self.stop(task_id, attempt)
            return
        life.strikes += crashed
        if crashed and life.strikes == THREE_STRIKES:
            life.strikes -= 1
            self.fail(task_id, attempt, None)
            return
        life.lost = True
        life.become("interrupted")

    def retry(self, task_id: str, attempt: int | None, *, from_start: bool, by_hand: bool) -> None:
        life = self._in(self._find(task_id, attempt), "failed", "cancelled", "interrupted")
        life.due = None
        if by_hand:
            life.failures = life.strikes = 0
        if from_start:
            life.saved = None
        life.begin_again()

    def delete(self, task_id: str) -> None:
        self._in(self._find(task_id), *OVER)
        del self.lives[task_id]
        self.gone.add(task_id)

    def trim(self, task_id: str, keep_last: int) -> int:
        """Gives how many events are left out now that were there before."""
        life = self._in(self._find(task_id), *OVER)
        before, life.cut = life.cut, max(life.cut, len(life.log) - keep_last)
        return life.cut - before

    # -- what a new server does ---------------------------------------------------

    def settle(self) -> int:
        """Whatever ran is interrupted."""
        running = self.running()
        for task_id in running:
            self.interrupt(task_id, self.lives[task_id].attempt, crashed=True)
        return len(running)

    def resume(self) -> int:
        """What may go on by itself does."""
        found = [
            each
            for each, life in self.lives.items()
            if (life.status, life.kind, life.lost) == ("interrupted", "auto", True)
        ]
        for task_id in found:
            self.retry(task_id, None, from_start=False, by_hand=False)
        return len(found)

    def _find(self, task_id: str, attempt: int | None = None) -> Life:
        life = self.lives.get(task_id)
        if life is None:
            raise Refused("not_found")
        if attempt not in (None, life.attempt):
            raise Refused("stale_attempt")
        return life

    def _in(self, life: Life, *statuses: str) -> Life:
        if life.status not in statuses:
            raise Refused("illegal_transition")
        return life


def later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
