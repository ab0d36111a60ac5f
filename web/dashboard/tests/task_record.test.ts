import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventType, Snapshot, TaskEvent } from "taskpush-client";
import { TaskRecord } from "../src/data/task_record.ts";

// What draws is the browser's; here nothing is drawn.
Object.assign(globalThis, { document: { hidden: false }, requestAnimationFrame: () => 0 });

const POSITION = { epoch: "e", seq: 2 };

function snapshot(more: Partial<Snapshot> = {}): Snapshot {
  return {
    task_id: "t",
    kind: "layout",
    title: null,
    status: "running",
    final: false,
    resumable: false,
    created_by_producer: false,
    attempt: 1,
    created_at: "2026-11-22T14:30:00Z",
    started_at: "2026-11-22T14:30:01Z",
    finished_at: null,
    priority: 0,
    run_at: null,
    timeout_s: null,
    max_attempts: 1,
    tags: [],
    owner: "local",
    message: null,
    reason: null,
    error: null,
    latest: { progress: null, queue: null, stats: null },
    position: POSITION,
    params: {},
    uploads: [],
    metadata: {},
    links: { self: "", events: "", result: "", artifacts: "", cancel: "", retry: "" },
    ...more,
  };
}

function event(type: EventType, data: object, seq: number | null, attempt = 1): TaskEvent {
  const timestamp = `2026-11-22T14:31:${String(seq ?? 0).padStart(2, "0")}Z`;
  const place = seq === null ? { seq, rev: 1 } : { seq, epoch: "e" };
  return { task_id: "t", event_type: type, data, timestamp, attempt, ...place } as TaskEvent;
}

function record(): TaskRecord {
  const made = new TaskRecord("t");
  made.takeSnapshot(snapshot());
  return made;
}

test("the log's past does not turn back a status that a snapshot told", () => {
  const task = record();
  task.takeOlder([
    event("status_change", { status: "pending" }, 1),
    event("status_change", { status: "pending" }, 2),
  ]);
  assert.equal(task.task?.status, "running");
  task.take(event("status_change", { status: "completed", final: true, result: { a: 1 } }, 3));
  assert.equal(task.task?.status, "completed");
  assert.equal(task.task?.finished_at, "2026-11-22T14:31:03Z");
  assert.deepEqual(task.result, { phase: "ready", value: { a: 1 } });
  assert.deepEqual(
    task.milestones.map(({ status }) => status),
    ["pending", "pending", "completed"],
  );
});

test("what an attempt left behind is not the next one's", () => {
  const task = record();
  task.take(event("progress", { progress_percent: 80, elapsed_seconds: 9 }, null));
  task.take(event("status_change", { status: "failed", final: true }, 3));
  task.take(event("status_change", { status: "pending" }, 4, 2));
  assert.equal(task.task?.attempt, 2);
  assert.equal(task.latest.progress, null);
  assert.equal(task.over, false);
});

test("a result that came with no event is missed once the log is read to the snapshot", () => {
  const task = new TaskRecord("t");
  task.takeSnapshot(snapshot({ status: "completed", final: true }));
  assert.equal(task.lacksResult, false);
  task.takeOlder([event("status_change", { status: "completed", result_url: "/r" }, 2)]);
  assert.equal(task.lacksResult, true);
});

test("a result that the last event told is not asked for", () => {
  const task = new TaskRecord("t");
  task.takeSnapshot(snapshot({ status: "completed", final: true }));
  task.takeOlder([event("status_change", { status: "completed", result: 7 }, 2)]);
  assert.deepEqual(task.result, { phase: "ready", value: 7 });
  assert.equal(task.lacksResult, false);
});

test("older events are there when the first one is, or the server has no more of them", () => {
  const task = record();
  assert.equal(task.hasOlder, true);
  task.takeOlder([event("log", { message: "two" }, 2)]);
  assert.equal(task.hasOlder, true);
  task.takeOlder([]);
  assert.equal(task.hasOlder, false);
  task.take(event("log", { message: "three" }, 3));
  assert.deepEqual(
    task.lines.map(({ text }) => text),
    ["two", "three"],
  );
});

test("a resync forgets what was known, and says so", () => {
  const task = record();
  task.take(event("log", { message: "before" }, 3));
  const position = { epoch: "f", seq: 1 };
  task.take({
    event_type: "resync",
    task_id: "t",
    reason: "epoch_unknown",
    snapshot: snapshot({ status: "interrupted", position }),
    position,
  });
  assert.deepEqual(
    task.lines.map(({ tag, text }) => [tag, text]),
    [["page", "resync epoch_unknown"]],
  );
  assert.deepEqual(task.position, position);
  assert.equal(task.over, true);
  task.takeOlder([event("log", { message: "read anew" }, 1)]);
  assert.deepEqual(
    task.lines.map(({ text }) => text),
    ["read anew", "resync epoch_unknown"],
  );
});

test("after a lost connection the log says where it goes on", () => {
  const task = record();
  task.take(event("log", { message: "one" }, 3));
  task.noteLoss();
  task.take(event("log", { message: "two" }, 4));
  assert.deepEqual(
    task.lines.map(({ text }) => text),
    ["one", "reconnected 3", "two"],
  );
});
