import assert from "node:assert/strict";
import { test } from "node:test";
import { FeedSession } from "../src/core/feed_session.ts";
import type { Json } from "../src/wire.ts";

function live(after?: string): FeedSession {
  const session = new FeedSession("all", after);
  session.linkUp();
  const request = session.nextRequest();
  session.answered(request?.number ?? 0, { ok: true, feed: "all" });
  return session;
}

function taken(session: FeedSession): unknown[] {
  const items: unknown[] = [];
  for (let item = session.take(); item !== null; item = session.take())
    items.push(item.type === "change" ? [item.task_id, item.task?.status, item.cursor] : item.type);
  return items;
}

const task = (task_id: string, status: string): Json => ({ task_id, status });

test("what is not taken is merged: each task comes once, in its newest state", () => {
  const session = live();
  session.receive("active_tasks", {
    tasks: [task("a", "pending"), task("b", "pending")],
    cursor: "1",
    more: false,
  });
  session.receive("feed_update", { task: task("a", "running"), cursor: "2" });
  session.receive("feed_update", { task: { task_id: "b", deleted: true }, cursor: "3" });
  assert.deepEqual(taken(session), [["a", "running", null], ["b", undefined, "3"], "listed"]);
});

test("after a lost link it asks for what changed since", () => {
  const session = live("0");
  session.receive("task_created", { task: task("a", "pending"), cursor: "7" });
  session.linkDown();
  session.linkUp();
  assert.deepEqual(session.nextRequest()?.payload, { feed: "all", after: "7" });
});

test("a reset says to forget what was told before what follows", () => {
  const session = live("old");
  session.receive("feed_update", { task: task("a", "running"), cursor: "7" });
  session.receive("active_tasks", {
    tasks: [task("b", "running")],
    cursor: "9",
    reset: true,
    more: true,
  });
  assert.deepEqual(taken(session), ["reset", ["b", "running", "9"]]);
});

test("what comes before the answer is an earlier subscription's", () => {
  const session = new FeedSession("all");
  session.linkUp();
  session.nextRequest();
  session.receive("feed_update", { task: task("a", "running"), cursor: "7" });
  assert.deepEqual(taken(session), []);
});

test("the queues are no feed of tasks", () => {
  assert.equal(new FeedSession("queue").failure?.code, "invalid_request");
});
