import assert from "node:assert/strict";
import { test } from "node:test";
import { QueueSession } from "../src/core/queue_session.ts";
import type { Json } from "../src/wire.ts";

function live(): QueueSession {
  const session = new QueueSession();
  ask(session);
  return session;
}

function ask(session: QueueSession): void {
  session.linkUp();
  const request = session.nextRequest();
  assert.deepEqual(request?.payload, { feed: "queue" });
  session.answered(request?.number ?? 0, { ok: true, feed: "queue" });
}

const told = (...queues: Json[]): Json => ({ feed: "queue", queues });
const queue = (kind: string, waiting: number): Json => ({ kind, waiting });

test("what changed takes the place of what was known of its kind", () => {
  const session = live();
  session.receive("queue_update", told(queue("a", 1), queue("b", 0)));
  assert.deepEqual(session.take(), [queue("a", 1), queue("b", 0)]);
  session.receive("queue_update", told(queue("b", 2)));
  assert.deepEqual(session.take(), [queue("a", 1), queue("b", 2)]);
  assert.equal(session.take(), null);
});

test("what is not taken is merged", () => {
  const session = live();
  session.receive("queue_update", told(queue("a", 1)));
  session.receive("queue_update", told(queue("a", 2)));
  assert.deepEqual(session.take(), [queue("a", 2)]);
  assert.equal(session.take(), null);
});

test("after a lost link it asks anew, and shows what it knew until then", () => {
  const session = live();
  session.receive("queue_update", told(queue("a", 1), queue("b", 1)));
  session.take();
  session.linkDown();
  assert.equal(session.nextRequest(), null);
  ask(session);
  session.receive("queue_update", told(queue("a", 0), queue("b", 1)));
  assert.deepEqual(session.take(), [queue("a", 0), queue("b", 1)]);
});

test("a refusal that does not pass ends it", () => {
  const session = new QueueSession();
  session.linkUp();
  const number = session.nextRequest()?.number ?? 0;
  session.answered(number, { ok: false, code: "invalid_request", message: "no such feed" });
  assert.equal(session.failure?.code, "invalid_request");
  assert.equal(session.nextRequest(), null);
});
