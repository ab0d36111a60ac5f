import assert from "node:assert/strict";
import { test } from "node:test";
import type { EventType, TaskEvent } from "taskpush-client";
import { TaskLog } from "../src/data/task_log.ts";

const SAID: [EventType, object][] = [
  ["status_change", { status: "pending" }],
  ["status_change", { status: "running" }],
  ["iteration_complete", { iteration: 1, metrics: { a: 1 } }],
  ["artifact", { name: "x", size_bytes: 1, url: "/1" }],
  ["artifact", { name: "y", size_bytes: 1, url: "/2" }],
  ["checkpoint", {}],
  ["error", { error: "no", error_type: "ValueError" }],
  ["status_change", { status: "failed", final: true }],
  ["status_change", { status: "pending" }],
  ["status_change", { status: "running" }],
  ["artifact", { name: "x", size_bytes: 2, url: "/3" }],
  ["error", { error: "again", error_type: "ValueError" }],
  ["log", { message: "over" }],
];
const EVENTS = SAID.map(([event_type, data], index) => {
  const seq = index + 1;
  const timestamp = `2026-11-22T14:30:${String(seq).padStart(2, "0")}Z`;
  return { task_id: "t", event_type, data, timestamp, attempt: 1, seq, epoch: "e" } as TaskEvent;
});

function logOf(events: readonly TaskEvent[]): TaskLog {
  const log = new TaskLog(events[0]?.seq ?? 1);
  for (const event of events) log.add(event);
  return log;
}

test("a past that is read page by page, backwards, adds up to the same as one that was watched", () => {
  for (const page of [1, 2, 3, 5, EVENTS.length]) {
    const log = new TaskLog(EVENTS.length + 1);
    while (log.first > 1)
      log.prepend(logOf(EVENTS.slice(Math.max(0, log.first - 1 - page), log.first - 1)));
    assert.deepEqual(log, logOf(EVENTS), `pages of ${page}`);
  }
});

test("an error stands until the next attempt runs", () => {
  assert.equal(logOf(EVENTS.slice(0, 8)).error?.error, "no");
  assert.equal(logOf(EVENTS.slice(0, 10)).error, null);
  assert.equal(logOf(EVENTS).error?.error, "again");
});
