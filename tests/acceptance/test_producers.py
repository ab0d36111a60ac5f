"""Producers outside the server: what they say arrives once, in order, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from taskpush.access.principal import Role
from tests.support.keys import Keys
from tests.support.producer import Producer, spawn
from tests.support.server import ServerProcess
from tests.support.watcher import Watcher

NOTICED_WITHIN_S = 20.0


def producing(server: ServerProcess, **parts: Any) -> tuple[str, Producer]:
    """A task that a producer has started."""
    task_id = server.create("render")
    producer = Producer(server.url, task_id, **parts)
    producer.start()
    return task_id, producer


def iterations(log: list[dict[str, Any]]) -> list[int]:
    return [e["data"]["iteration"] for e in log if e["event_type"] == "iteration_complete"]


def statuses(log: list[dict[str, Any]]) -> list[str]:
    return [e["data"]["status"] for e in log if e["event_type"] == "status_change"]


def iteration(i: int) -> tuple[str, dict[str, Any]]:
    return "iteration_complete", {"iteration": i, "metrics": {"noise": 0.5}}


def line(text: str) -> tuple[str, dict[str, Any]]:
    return "log", {"message": text}


def running(server: ServerProcess) -> int:
    """How many tasks of the kind hold a slot, as the queue says it."""
    [queue] = server.call("GET", "/api/queue?kind=render")[1]["items"]
    return int(queue["running"])


def refusal(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_a_task_waits_for_its_producer_and_is_watched_like_any_other(
    shared_server: ServerProcess,
) -> None:
    task_id = shared_server.create("render", scene="quay")
    snapshot = shared_server.call("GET", f"/api/tasks/{task_id}")[1]
    assert (snapshot["status"], snapshot["attempt"]) == ("pending", 1)
    producer = Producer(shared_server.url, task_id)
    answer = producer.say(
        ("status_change", {"status": "running"}),
        ("progress", {"completed": 1, "total": 4, "unit": "frame", "stage": "trace"}),
        ("stats", {"rays": 12}),
        line("textures loaded"),
        iteration(1),
    )
    assert [it and it["seq"] for it in answer["positions"]] == [2, None, None, 3, 4]
    assert (answer["status"], answer["next_producer_seq"]) == ("running", 6)
    producer.say(("progress", {"completed": 2}))
    latest = shared_server.call("GET", f"/api/tasks/{task_id}")[1]["latest"]
    assert latest["stats"]["rays"] == 12
    producer.say(("status_change", {"status": "completed", "result": {"frames": 4}}))
    snapshot = shared_server.wait_over(task_id)
    assert snapshot["status"] == "completed"
    progress = snapshot["latest"]["progress"]
    assert (progress["progress_percent"], progress["stage"]) == (50, "trace")
    assert progress["elapsed_seconds"] > 0
    assert shared_server.call("GET", f"/api/tasks/{task_id}/result")[1]["result"] == {"frames": 4}
    log = shared_server.log_of(task_id)
    assert statuses(log) == ["pending", "running", "completed"]
    assert [e["seq"] for e in log] == [1, 2, 3, 4, 5]
    assert log[-1]["data"]["final"] is True


def test_a_repeated_batch_is_answered_alike_and_seen_once_also_after_a_kill(
    server: ServerProcess,
) -> None:
    task_id, producer = producing(server)
    batch = producer.events(line("a"), ("progress", {"progress_percent": 5.0}), line("b"))
    first = producer.post(batch).json()
    assert producer.post(batch).json() == first
    server.kill()
    server.start()
    assert running(server) == 1
    assert producer.post(batch).json() == first
    # And as a part of a larger one.
    more = producer.post([*batch, *producer.events(line("c"))]).json()
    assert more["positions"][:3] == first["positions"]
    end = producer.events(("status_change", {"status": "completed", "result": {"frames": 1}}))
    over = producer.post(end).json()
    assert running(server) == 0
    server.kill()
    server.start()
    assert producer.post(end).json() == over
    log = server.log_of(task_id)
    assert [e["data"]["message"] for e in log if e["event_type"] == "log"] == ["a", "b", "c"]
    assert statuses(log) == ["pending", "running", "completed"]


@pytest.mark.timeout(120)
def test_an_outage_in_mid_job_costs_the_watchers_nothing(server: ServerProcess) -> None:
    count = 300
    task_id = server.create("render")
    process = spawn(server.url, task_id, count=count, pause_s=0.005)
    try:
        for _ in range(2):
            _until(lambda: len(iterations(server.log_of(task_id))) > 20)
            server.kill()
            server.start()
        assert server.wait_over(task_id)["status"] == "completed"
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    log = server.log_of(task_id)
    assert iterations(log) == list(range(1, count + 1))
    assert [e["seq"] for e in log] == list(range(1, len(log) + 1))
    assert statuses(log) == ["pending", "running", "completed"]


@pytest.mark.timeout(120)
def test_a_killed_producer_is_noticed_and_the_next_attempt_is_anybodys(
    server: ServerProcess,
) -> None:
    task_id = server.create("render")
    process = spawn(server.url, task_id, count=100_000, pause_s=0.05)
    _until(lambda: len(iterations(server.log_of(task_id))) > 3)
    process.kill()
    process.wait()
    killed = time.monotonic()
    snapshot = server.wait_over(task_id)
    assert time.monotonic() - killed < NOTICED_WITHIN_S
    assert (snapshot["status"], snapshot["reason"]) == ("interrupted", "producer_lost")
    ghost = Producer(server.url, task_id, producer_id="spawned")
    assert refusal(ghost.post([])) == (409, "illegal_transition")
    status, _ = server.call("POST", f"/api/tasks/{task_id}/retry")
    assert status == 202
    ghost.seq = 100_000
    assert refusal(ghost.post(ghost.events(line("boo")))) == (409, "stale_attempt")
    second = Producer(server.url, task_id, producer_id="p2", attempt=2)
    second.start()
    second.say(("status_change", {"status": "completed", "result": {"frames": 0}}))
    assert server.wait_over(task_id)["status"] == "completed"


@pytest.mark.timeout(120)
def test_a_lease_is_counted_anew_from_the_start_of_the_server(tmp_path: Path) -> None:
    settings = {"producer_lease_s": "3"}
    with ServerProcess(tmp_path / "data", settings=settings) as server:
        task_id, producer = producing(server)
        server.kill()
        time.sleep(4)  # The outage itself, longer than the lease.
        server.start()
        assert producer.post([]).json()["status"] == "running"
        heard = time.monotonic()
        snapshot = server.wait_over(task_id)
        assert (snapshot["status"], snapshot["reason"]) == ("interrupted", "producer_lost")
        assert time.monotonic() - heard >= 3


def test_two_producers_do_not_mix(shared_server: ServerProcess) -> None:
    task_id, first = producing(shared_server)
    second = Producer(shared_server.url, task_id, producer_id="p2")
    start = ("status_change", {"status": "running"})
    assert refusal(second.post(second.events(start))) == (409, "producer_conflict")
    assert refusal(second.post([])) == (409, "producer_conflict")
    assert refusal(second.put("a.txt", b"mine")) == (409, "producer_conflict")
    first.say(line("undisturbed"))
    gap = first.events(line("lost"), line("later"))[1:]
    answer = first.post(gap)
    assert refusal(answer) == (409, "producer_gap")
    assert answer.json()["expected"] == 3
    late = Producer(shared_server.url, task_id, attempt=2)
    assert refusal(late.post(late.events(start))) == (409, "stale_attempt")
    log = shared_server.log_of(task_id)
    assert [e["data"]["message"] for e in log if e["event_type"] == "log"] == ["undisturbed"]


def test_a_task_that_a_producer_has_created_is_begun_by_no_other(server: ServerProcess) -> None:
    start = ("status_change", {"status": "running"})
    body = {"kind": "render", "producer_id": "p1"}
    task_id = server.call("POST", "/api/tasks", body)[1]["task_id"]
    for attempt in (1, 2):
        server.kill()
        server.start()
        own = Producer(server.url, task_id, producer_id=f"p{attempt}", attempt=attempt)
        other = Producer(server.url, task_id, producer_id="other", attempt=attempt)
        assert refusal(other.post(other.events(start))) == (409, "producer_conflict")
        assert refusal(other.put("a.txt", b"mine")) == (409, "producer_conflict")
        assert refusal(own.post([])) == (409, "illegal_transition")
        own.say(start, ("error", {"error": "no light"}))
        # The next attempt is for whoever has asked for it.
        again = {"producer_id": f"p{attempt + 1}"}
        assert server.call("POST", f"/api/tasks/{task_id}/retry", again)[0] == 202
    assert statuses(server.log_of(task_id)) == ["pending", "running", "failed"] * 2 + ["pending"]


def test_a_cancel_reaches_the_producer_and_the_watchers(
    shared_server: ServerProcess,
) -> None:
    task_id = shared_server.create("render")
    process = spawn(shared_server.url, task_id, count=100_000, pause_s=0.02)
    try:
        _until(lambda: len(iterations(shared_server.log_of(task_id))) > 1)
        assert shared_server.call("POST", f"/api/tasks/{task_id}/cancel")[0] == 202
        assert shared_server.wait_over(task_id)["status"] == "cancelled"
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    log = shared_server.log_of(task_id)
    assert statuses(log) == ["pending", "running", "running", "cancelled"]
    reasons = [e["data"].get("reason") for e in log if e["event_type"] == "status_change"]
    assert reasons[2:] == ["cancelling", "cancelled_by"]


def test_a_failure_is_repeated_as_the_kind_says(shared_server: ServerProcess) -> None:
    task_id, producer = producing(shared_server)
    answer = producer.say(("error", {"error": "no light", "error_type": "Dark"}))
    assert answer["status"] == "pending"
    log = shared_server.log_of(task_id)
    assert log[-2]["data"]["will_retry"] is True
    assert (log[-2]["attempt"], log[-1]["attempt"]) == (1, 2)


def test_a_file_is_streamed_kept_and_announced_once(shared_server: ServerProcess) -> None:
    task_id, producer = producing(shared_server)
    size = 8 * 1024 * 1024
    content = b"x" * size

    def pieces() -> Any:
        for _ in range(8):
            yield content[: size // 8]

    answer = producer.put("frame.png", pieces(), **{"Content-Type": "image/png"})
    assert answer.status_code == 201, answer.text
    said = answer.json()
    assert (said["size_bytes"], said["media_type"]) == (size, "image/png")
    assert answer.headers["Location"] == said["url"]
    assert requests.get(shared_server.url + said["url"], timeout=30).content == content
    again = producer.put("frame.png", content, **{"Content-Type": "image/png"})
    assert (again.status_code, again.json()) == (200, said)
    assert producer.put("frame.png", b"another").status_code == 201
    log = shared_server.log_of(task_id)
    assert [e["data"]["size_bytes"] for e in log if e["event_type"] == "artifact"] == [size, 7]
    # What a producer says beside its files goes on where it was.
    assert producer.say(line("after"))["positions"][0]["seq"] == log[-1]["seq"] + 1
    producer.say(("status_change", {"status": "cancelled"}))
    assert refusal(producer.put("late.txt", b"late")) == (409, "illegal_transition")


def test_who_sends_a_large_file_that_is_not_wanted_reads_why(
    shared_server: ServerProcess,
) -> None:
    producer = Producer(shared_server.url, shared_server.create("render"))
    assert refusal(producer.put("huge.bin", b"x" * 12_000_000)) == (409, "illegal_transition")


def test_only_who_may_report_on_the_task_does(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "data")
    ann, bob = keys.make("ann"), keys.make("bob")
    reader = keys.make("reader", Role.CREATE, Role.READ, Role.CONTROL, owner="ann")
    with ServerProcess(tmp_path / "data") as server:
        body = {"kind": "render", "params": {}}
        task_id = server.call("POST", "/api/tasks", body, token=ann)[1]["task_id"]
        start = ("status_change", {"status": "running"})
        for token, expected in (
            ("", (401, "unauthenticated")),
            (bob, (404, "not_found")),
            (reader, (403, "forbidden")),
        ):
            producer = Producer(server.url, task_id, token=token)
            assert refusal(producer.post(producer.events(start))) == expected
            assert refusal(producer.put("a.txt", b"a")) == expected
        minted = {"task_id": task_id, "rights": ["report"]}
        status, answer = server.call("POST", "/api/tokens", minted, token=ann)
        assert status == 201, answer
        producer = Producer(server.url, task_id, token=answer["token"])
        producer.start()
        assert producer.put("a.txt", b"a").status_code == 201
        other = server.call("POST", "/api/tasks", body, token=ann)[1]["task_id"]
        beside = Producer(server.url, other, token=answer["token"])
        assert refusal(beside.post(beside.events(start))) == (404, "not_found")


async def test_watchers_see_a_producer_live(shared_server: ServerProcess) -> None:
    task_id, producer = producing(shared_server)
    watcher = Watcher(shared_server.port)
    running = asyncio.create_task(watcher.run())
    await watcher.add(task_id)
    await asyncio.to_thread(producer.say, iteration(1), iteration(2))
    end = ("status_change", {"status": "completed", "result": {"frames": 2}})
    await asyncio.to_thread(producer.say, end)
    await watcher.until(lambda w: w.is_over(task_id))
    running.cancel()
    assert iterations([e for e in watcher.received[task_id] if e["seq"]]) == [1, 2]


def _until(holds: Any, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # Another process: there is nothing to await but its answers.
