"""Brings what a job says to the server: creates or finds the task, sends, repeats, stays alive."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from taskpush.client.errors import ClientError
from taskpush.client.rest import Answer, Rest
from taskpush.core.backoff import full_jitter_s
from taskpush.models.values import MAX_SAFE_INTEGER
from taskpush.reporter.answers import (
    DEFAULT_LEASE_S,
    Gap,
    Later,
    Over,
    Refused,
    Taken,
    TooLarge,
    Verdict,
    verdict,
)
from taskpush.reporter.backlog import Batch, File, Said
from taskpush.reporter.mailbox import Mailbox, dispose

MERGE_S: Final = 0.1
"""What is said within it travels together."""
HEARTBEAT_S: Final = 2.0
"""A job that says nothing is heard of so often, and learns so soon that it is to stop."""
LONGEST_PAUSE_S: Final = 3.0
"""Between two tries: well below the lease, which begins anew with the server."""
CHUNK_BYTES: Final = 256 * 1024
START: Final = Said("status_change", {"status": "running"})


@dataclass(frozen=True, slots=True)
class Errand:
    """Which task is reported, and by whom."""

    task_id: str
    producer_id: str
    # None: the task exists.
    kind: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    # What else a create takes.
    options: Mapping[str, Any] = field(default_factory=dict)
    # None: its present one.
    attempt: int | None = None


class Events:
    """What is told to the job, on the delivery's thread."""

    def attempt_began(self, attempt: int) -> None:
        """The attempt is known; it is another one when a new one had to be made."""

    def cancel_wanted(self) -> None:
        """Somebody wants the job to stop. Told once."""

    def trouble(self, message: str) -> None:
        """Something keeps reports from arriving, for the moment or for good."""


class _Stopped(Exception):
    """Nothing more can be delivered; says why."""


class Delivery:
    """One task's way to the server. `run` goes on until all is said, or nothing more is taken."""

    def __init__(self, mailbox: Mailbox, rest: Rest, errand: Errand, events: Events) -> None:
        self._mailbox = mailbox
        self._rest = rest
        self._errand = errand
        self._events = events
        self._path = f"/tasks/{errand.task_id}"
        self._attempt = 0
        self._lease_s = DEFAULT_LEASE_S
        self._cancel_told = False
        self._sent_s = float("-inf")
        self._failures = 0
        # What the job was told of last; None when all is well.
        self._trouble: str | None = None
        # Why the last try came to nothing; None when it did not.
        self._failure: str | None = None
        # Whether the server has the task.
        self._begun = False
        # The numbers of events that were put in the place of refused ones.
        self._replaced: set[int] = set()

    async def run(self) -> None:
        """Deliver everything."""
        lost: str | None = None
        try:
            await self._begin(await self._open())
            await self._deliver()
        except _Stopped as stopped:
            lost = str(stopped)
            more = "nothing more" if self._begun else "nothing"
            self._tell(f"{more} of task {self._errand.task_id} is reported: {lost}")
        except asyncio.CancelledError:
            lost = self._undelivered()
            self._tell(f"task {self._errand.task_id}: {lost}")
            raise
        finally:
            self._mailbox.finish(lost)
            await self._rest.close()

    def _undelivered(self) -> str:
        """What has not arrived when the program ends, and why."""
        because = f": {self._failure}" if self._failure else ""
        if not self._begun:
            return f"nothing of it has arrived{because}"
        with self._mailbox.changing() as backlog:
            return (
                f"the program ended before everything had arrived ({backlog.logged} events and"
                f" files are missing){because}"
            )

    # ------------------------------------------------------------ the task

    async def _open(self) -> int:
        """Create the task, or find it; gives the attempt that is to be reported."""
        errand = self._errand
        if errand.kind is not None:
            body = {
                "kind": errand.kind,
                "params": dict(errand.params),
                "task_id": errand.task_id,
                "producer_id": errand.producer_id,
                **errand.options,
            }
            answer = await self._insist(lambda: self._call("POST", "/tasks", body))
            if answer.status < 400:
                return int(answer.problem.get("attempt") or 1)
            if answer.problem.get("code") != "task_id_taken":
                raise _Stopped(f"the server does not take it: {_told(answer)}; the job goes on")
        return errand.attempt or await self._present_attempt()

    async def _present_attempt(self) -> int:
        """The attempt of a task that waits for its producer; a lost one gets another."""
        answer = await self._insist(lambda: self._call("GET", self._path))
        if answer.status in (403, 404):
            # Who may only report cannot look.
            return self._attempt + 1
        snapshot = answer.problem
        status, attempt = snapshot.get("status"), snapshot.get("attempt")
        if answer.status >= 400 or not isinstance(attempt, int):
            raise _Stopped(_told(answer))
        if status == "pending":
            return attempt
        if status != "interrupted":
            raise _Stopped(f"the task is {status} already")
        return await self._next_attempt(attempt)

    async def _next_attempt(self, attempt: int) -> int:
        body = {"attempt": attempt, "producer_id": self._errand.producer_id}
        answer = await self._insist(lambda: self._call("POST", f"{self._path}/retry", body))
        if answer.status >= 400:
            raise _Stopped(_told(answer))
        return int(answer.problem.get("attempt") or attempt + 1)

    async def _begin(self, attempt: int) -> None:
        self._begun = True
        self._attempt = attempt
        self._replaced.clear()
        self._mailbox.begin(START)
        self._events.attempt_began(attempt)

    async def _go_on(self, over: Over) -> None:
        """Take the task up again if it was taken for dead; the job never was.

        Raises `_Stopped` for any other end.
        """
        if over.task_status == "cancelled":
            self._cancel()
        if over.task_status != "interrupted":
            raise _Stopped(over.why)
        answer = await self._insist(lambda: self._call("GET", self._path))
        if answer.problem.get("reason") != "producer_lost":
            raise _Stopped(over.why)
        await self._begin(await self._next_attempt(self._attempt))

    # ------------------------------------------------------------ what is said

    async def _deliver(self) -> None:
        while True:
            item = self._mailbox.next()
            if item is not None:
                await self._send(item)
                continue
            if self._mailbox.closing:
                return
            beat_s = self._sent_s + min(HEARTBEAT_S, self._lease_s / 5)
            await self._mailbox.news(beat_s, self._sent_s + MERGE_S)
            if self._mailbox.next() is None and time.monotonic() >= beat_s:
                await self._send(Batch(1, ()))

    async def _send(self, item: Batch | File) -> None:
        """One try; what was not taken is still the next."""
        found = await self._try(item)
        match found:
            case Taken():
                self._took(item, found)
            case Later():
                await self._wait(found)
            case Gap(expected):
                self._renumber(expected)
            case Refused() | TooLarge():
                self._put_right(item, found)
            case Over():
                await self._go_on(found)

    async def _try(self, item: Batch | File) -> Verdict:
        self._sent_s = time.monotonic()
        who = {"attempt": self._attempt, "producer_id": self._errand.producer_id}
        if isinstance(item, Batch):
            body = {**who, "events": item.numbered()}
            return await self._judged(self._call("POST", f"{self._path}/events", body))
        content = item.source if isinstance(item.source, bytes) else _content(item.source)
        sending = self._rest.send_file(
            "PUT",
            f"{self._path}/artifacts/{item.name}",
            content,
            item.media_type,
            query={name: str(value) for name, value in who.items()},
        )
        return await self._judged(sending)

    def _took(self, item: Batch | File, taken: Taken) -> None:
        self._well()
        self._lease_s = taken.lease_s or self._lease_s
        with self._mailbox.changing() as backlog:
            if isinstance(item, File):
                dispose(backlog.handed_over())
            elif item.events:
                backlog.taken(taken.next_producer_seq or MAX_SAFE_INTEGER)
        if taken.cancel_wanted:
            self._cancel()

    def _cancel(self) -> None:
        if not self._cancel_told:
            self._cancel_told = True
            self._events.cancel_wanted()

    def _renumber(self, expected: int) -> None:
        with self._mailbox.changing() as backlog:
            lost = backlog.go_on_with(expected)
            if lost:
                backlog.say(_note(f"{lost} earlier events were lost by the server"))

    def _put_right(self, item: Batch | File, found: Refused | TooLarge) -> None:
        """Leave out what is refused, and say so; or send less at once."""
        why = found.why if isinstance(found, Refused) else "too large for the server"
        with self._mailbox.changing() as backlog:
            if isinstance(item, File):
                dispose(backlog.handed_over())
                backlog.say(_note(f"artifact {item.name}: {why}; left out"))
                return
            index = found.index if isinstance(found, Refused) else None
            if index is None and len(item.events) > 1:
                backlog.split()
                return
            index = min(index or 0, len(item.events) - 1)
            if not item.events or item.first + index in self._replaced:
                raise _Stopped(why)
            self._replaced.add(item.first + index)
            backlog.replace(index, _instead_of(item.events[index], why))

    # ------------------------------------------------------------ calls

    async def _insist(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Call until there is an answer that another try would not change."""
        while True:
            try:
                answer = await call()
            except ClientError as error:
                await self._wait(Later(str(error)))
                continue
            found = verdict(answer.status, answer.problem, answer.retry_after_s)
            if not isinstance(found, Later):
                if answer.status < 400:
                    self._well()
                return answer
            await self._wait(found)

    async def _judged(self, call: Awaitable[Answer]) -> Verdict:
        try:
            answer = await call
        except ClientError as error:
            return Later(str(error))
        return verdict(answer.status, answer.problem, answer.retry_after_s)

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        return await self._rest.call(method, path, body=body, repeatable=False)

    async def _wait(self, later: Later) -> None:
        """Pause: as long as the server said, or longer with each failure, and by chance."""
        if later.needs_help and self._mailbox.closing:
            raise _Stopped(later.why)
        self._failures += 1
        self._failure = later.why
        if self._trouble != later.why and (self._trouble is None or later.needs_help):
            when = "for the moment" if self._begun else "yet"
            self._tell(
                f"task {self._errand.task_id} is not reported {when}: {later.why};"
                " the job goes on, and what it says is kept"
            )
            self._trouble = later.why
        longest_s = min(LONGEST_PAUSE_S, self._lease_s / 5)
        pause_s = later.after_s + full_jitter_s(self._failures, random.random, cap_s=longest_s)
        await self._mailbox.pause(time.monotonic() + pause_s)

    def _well(self) -> None:
        self._failures = 0
        self._failure = None
        if self._trouble is not None:
            self._trouble = None
            again = "reported again" if self._begun else "reported now"
            self._tell(f"task {self._errand.task_id} is {again}")

    def _tell(self, message: str) -> None:
        self._events.trouble(message)


def _told(answer: Answer) -> str:
    problem = answer.problem
    said = str(problem.get("detail") or problem.get("title") or f"HTTP {answer.status}")
    for each in problem.get("errors") or ():
        said += f"; {each.get('loc')}: {each.get('message')}"
    code = problem.get("code")
    return f"{said} ({code})" if code else said


def _note(message: str) -> Said:
    return Said("log", {"level": "error", "message": message}, len(message) + 100)


def _instead_of(said: Said, why: str) -> Said:
    """What takes the place of an event that the server refused."""
    if said.event_type == "status_change" and said.data.get("status") == "completed":
        error = {"error": f"the result: {why}"[:1000], "error_type": "InvalidResult"}
        return Said("error", {**error, "code": "invalid_result"}, 1200)
    if said.event_type in ("status_change", "error"):
        return Said("error", {"error": f"how it ended was refused: {why}"[:1000]}, 1200)
    return _note(f"{said.event_type}: {why}"[:1000] + "; left out")


async def _content(descriptor: int) -> AsyncIterator[bytes]:
    offset = 0
    while chunk := os.pread(descriptor, CHUNK_BYTES, offset):
        yield chunk
        offset += len(chunk)
