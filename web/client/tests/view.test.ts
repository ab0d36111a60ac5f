import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, shown, UNKNOWN } from "../src/core/view.ts";
import { readEvent, readResync, type WatchItem } from "../src/wire.ts";
import { logged, progress, snapshot, status, TASK } from "./envelopes.ts";

const view = (...items: WatchItem[]) => items.reduce(shown, UNKNOWN);
const event = readEvent;

test("it shows the newest of everything", () => {
  const task = view(event(status(1, "pending")), event(status(2, "running")), event(progress(7)));
  assert.equal(task.status, "running");
  assert.equal(task.progress?.progress_percent, 7);
  const failure = logged(3, { event_type: "error", data: { error: "no room" } });
  const failed = shown(shown(task, event(failure)), event(status(4, "failed", true)));
  assert.deepEqual([failed.status, failed.final, failed.error], ["failed", true, "no room"]);
});

test("another attempt begins with nothing of the one before", () => {
  const task = view(
    event(progress(90)),
    event(status(2, "failed", true)),
    event(status(3, "pending")),
  );
  assert.deepEqual([task.status, task.final, task.progress], ["pending", false, null]);
});

test("a resync puts its snapshot in the place of everything", () => {
  const position = { epoch: "k3v9", seq: 4 };
  const latest = { progress: null, queue: null, stats: null };
  const now = { ...snapshot(4, "completed"), latest };
  const resync = readResync({ task_id: TASK, snapshot: now, position });
  const task = view(event(progress(90)), resync);
  assert.deepEqual([task.status, task.final, task.progress], ["completed", true, null]);
});

test("seconds are told in the two units that matter", () => {
  const told = [0.4, 59, 61, 3599, 3600, 7500].map(duration);
  assert.deepEqual(told, ["0 s", "59 s", "1 min 1 s", "59 min 59 s", "1 h 0 min", "2 h 5 min"]);
});
