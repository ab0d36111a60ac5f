import assert from "node:assert/strict";
import { test } from "node:test";
import type { Latest, Status, Summary } from "taskpush-client";
import {
  arranged,
  meanPercentOf,
  NO_FILTERS,
  readFilters,
  writeFilters,
} from "../src/data/filters.ts";

const NOTHING: Latest = { progress: null, queue: null, stats: null };

function task(id: string, status: Status, more: Partial<Summary> = {}): Summary {
  return {
    task_id: id,
    kind: "layout",
    status,
    final: false,
    resumable: false,
    created_by_producer: false,
    attempt: 1,
    created_at: `2026-11-22T14:30:0${id.at(-1)}Z`,
    title: null,
    started_at: null,
    finished_at: null,
    priority: 0,
    run_at: null,
    timeout_s: null,
    max_attempts: 1,
    message: null,
    reason: null,
    error: null,
    tags: [],
    owner: "local",
    latest: NOTHING,
    position: { epoch: "", seq: 0 },
    ...more,
  };
}

const tasks: Summary[] = [
  task("t1", "completed", { title: "Panel Study" }),
  task("t2", "running", { tags: ["night"], latest: { ...NOTHING, progress: progress(40, 9) } }),
  task("t3", "running", { kind: "count", latest: { ...NOTHING, progress: progress(10, 3) } }),
  task("t4", "pending"),
];

function progress(progress_percent: number, eta_seconds: number) {
  return { progress_percent, eta_seconds, elapsed_seconds: 1 };
}

function ids(filters = {}, order: Parameters<typeof arranged>[2] = "created"): string[] {
  return arranged(tasks, { ...NO_FILTERS, ...filters }, order).map(({ task_id }) => task_id);
}

test("the newest come first", () => assert.deepEqual(ids(), ["t4", "t3", "t2", "t1"]));

test("filters go together", () => {
  assert.deepEqual(ids({ text: "panel" }), ["t1"]);
  assert.deepEqual(ids({ status: "running", kind: "layout" }), ["t2"]);
  assert.deepEqual(ids({ tag: "night" }), ["t2"]);
  assert.deepEqual(ids({ text: "T3" }), ["t3"]);
});

test("tasks nobody knows the rest of come after those that end soon", () => {
  assert.deepEqual(ids({}, "remaining"), ["t3", "t2", "t4", "t1"]);
});

test("a completed task is the furthest", () => {
  assert.deepEqual(ids({}, "progress"), ["t1", "t2", "t3", "t4"]);
});

test("what happens stands before what is over", () => {
  assert.deepEqual(ids({}, "status"), ["t3", "t2", "t4", "t1"]);
});

test("filters are in the address and come back from it", () => {
  const filters = { text: "a b&c", status: "failed", kind: "layout", tag: "x.1" } as const;
  const written = writeFilters(filters, "remaining");
  assert.deepEqual(readFilters(new URLSearchParams(written)), { filters, order: "remaining" });
});

test("all tasks, newest first, need no query; what an address makes up is left out", () => {
  assert.equal(writeFilters(NO_FILTERS, "created"), "");
  const read = readFilters(new URLSearchParams("status=toString&order=size&page=2"));
  assert.deepEqual(read, { filters: NO_FILTERS, order: "created" });
});

test("how far tasks are on average leaves out those of which nobody knows", () => {
  assert.equal(meanPercentOf(tasks.filter((one) => one.status === "running")), 25);
  assert.equal(meanPercentOf([task("t5", "running"), task("t6", "completed")]), 100);
  assert.equal(meanPercentOf([task("t5", "running")]), null);
});
