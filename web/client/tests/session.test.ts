import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_TRIES, type WatchOptions, WatchSession } from "../src/core/session.ts";
import { accepted, logged, progress, snapshot, status, TASK } from "./envelopes.ts";

function live(options: WatchOptions = {}, answer = accepted(0)): WatchSession {
  const session = new WatchSession(TASK, options);
  session.linkUp();
  answerWith(session, answer);
  return session;
}

function answerWith(session: WatchSession, answer: unknown): void {
  const request = session.nextRequest();
  assert.ok(request);
  session.answered(request.number, answer);
}

function taken(session: WatchSession): (number | string)[] {
  const items: (number | string)[] = [];
  for (let item = session.take(); item !== null; item = session.take())
    items.push(item.event_type === "resync" || item.seq === null ? item.event_type : item.seq);
  return items;
}

test("it gives what comes in order, and drops what it has seen", () => {
  const session = live();
  for (const seq of [1, 2, 2, 1, 3]) session.receive("task_update", logged(seq));
  assert.deepEqual(taken(session), [1, 2, 3]);
  assert.deepEqual(session.position, { epoch: "k3v9", seq: 3 });
});

test("after a lost link it asks from the last event it let through", () => {
  const session = live();
  session.receive("task_update", logged(1));
  session.linkDown();
  session.receive("task_update", logged(2));
  session.linkUp();
  const after = { epoch: "k3v9", seq: 1 };
  assert.deepEqual(session.nextRequest()?.payload, { task_id: TASK, after });
  assert.deepEqual(taken(session), [1]);
});

test("a gap is asked for again, and a hole in the log ends the watch", () => {
  const session = live();
  for (let tries = 1; tries < MAX_TRIES; tries += 1) {
    session.receive("task_update", logged(2));
    answerWith(session, accepted(0));
  }
  assert.equal(session.over, false);
  session.receive("task_update", logged(2));
  assert.equal(session.failure?.code, "bad_answer");
  assert.deepEqual(taken(session), []);
});

test("what arrives before the answer belongs to an earlier subscription", () => {
  const session = new WatchSession(TASK);
  session.linkUp();
  const request = session.nextRequest();
  session.receive("task_update", logged(1));
  session.answered((request?.number ?? 0) + 1, accepted(0));
  session.receive("task_update", logged(1));
  assert.deepEqual(taken(session), []);
});

test("a resync replaces what was known, and the watch goes on from its position", () => {
  const session = live({ after: { epoch: "gone", seq: 9 } }, { ok: true, mode: "resync" });
  session.receive("task_update", logged(10));
  const position = { epoch: "k3v9", seq: 4 };
  session.receive("resync", { task_id: TASK, reason: "x", snapshot: snapshot(4), position });
  session.receive("task_update", logged(5));
  assert.deepEqual(taken(session), ["resync", 5]);
});

test("a log whose beginning nobody named begins with its first event", () => {
  const session = live({}, { ...accepted(0, snapshot(60)), position: null });
  session.receive("task_update", logged(57));
  session.receive("task_update", logged(58));
  assert.deepEqual(taken(session), [57, 58]);
});

test("a final event ends it, but not one that a retry followed", () => {
  const session = live({}, accepted(0, snapshot(4)));
  session.receive("task_update", logged(1));
  session.receive("task_update", status(2, "failed", true));
  assert.equal(session.over, false);
  session.receive("task_update", status(3, "pending"));
  session.receive("task_update", status(4, "completed", true));
  session.receive("task_update", logged(5));
  assert.equal(session.over, true);
  assert.deepEqual(taken(session), [1, 2, 3, 4]);
  assert.equal(session.status, "completed");
});

test("resumed at the final event it is over at once", () => {
  const after = { epoch: "k3v9", seq: 7 };
  const session = live({ after }, accepted(7, snapshot(7, "completed")));
  assert.equal(session.over, true);
  assert.equal(session.failure, null);
});

test("a final event of another history does not end it", () => {
  const after = { epoch: "k3v9", seq: 7 };
  const session = live({ after }, accepted(7, snapshot(7, "completed", "other")));
  assert.equal(session.over, false);
});

test("an interrupted task ends it unless it was asked to go on", () => {
  for (const pastInterruption of [false, true]) {
    const session = live({ pastInterruption });
    session.receive("task_update", status(1, "interrupted"));
    assert.equal(session.over, !pastInterruption);
  }
});

test("of volatile events it gives those that are newer, attempt before rev", () => {
  const session = live();
  for (const [rev, attempt] of [
    [5, 1],
    [5, 1],
    [4, 1],
    [1, 2],
    [6, 1],
  ] as const)
    session.receive("task_update", progress(rev, attempt));
  assert.deepEqual(taken(session), ["progress", "progress"]);
});

test("previews are given to whoever asked for them", () => {
  const preview = { ...progress(1), event_type: "preview", data: { media_type: "a", content: "" } };
  for (const previews of [false, true]) {
    const session = live({ previews });
    session.receive("task_update", { ...preview });
    assert.deepEqual(taken(session), previews ? ["preview"] : []);
  }
});

test("an application that takes nothing pauses it, and loses nothing", () => {
  const session = live({ capacity: 4 });
  for (let seq = 1; seq <= 6; seq += 1) session.receive("task_update", logged(seq));
  assert.equal(session.paused, true);
  assert.equal(session.nextRequest(), null);
  assert.deepEqual(taken(session), [1, 2, 3, 4]);
  answerWith(session, accepted(4));
  for (const seq of [5, 6]) session.receive("task_update", logged(seq));
  assert.deepEqual(taken(session), [5, 6]);
});

test("a refusal for the moment is tried again, so many times; another one is the end", () => {
  const session = live();
  const passing = { ok: false, code: "rate_limited", message: "slow down" };
  session.linkDown();
  session.linkUp();
  for (let tries = 1; tries < MAX_TRIES; tries += 1) answerWith(session, passing);
  assert.equal(session.over, false);
  answerWith(session, passing);
  assert.equal(session.failure?.code, "rate_limited");
  const other = new WatchSession(TASK);
  other.linkUp();
  answerWith(other, { ok: false, code: "not_found", message: "No such task" });
  assert.equal(other.failure?.code, "not_found");
});

test("a deleted task, and an answer that is none, fail it", () => {
  const deleted = live();
  deleted.receive("task_deleted", { task_id: TASK });
  assert.equal(deleted.failure?.code, "not_found");
  const odd = live();
  odd.receive("task_update", { ...logged(1), data: "none" });
  assert.equal(odd.failure?.code, "bad_answer");
});

test("types and fields that it does not know pass", () => {
  const session = live();
  session.receive("task_update", logged(1, { event_type: "weather", data: { sun: true }, x: 1 }));
  const item = session.take();
  assert.equal(item?.event_type as string, "weather");
  assert.deepEqual(item && "data" in item ? item.data : null, { sun: true });
});
