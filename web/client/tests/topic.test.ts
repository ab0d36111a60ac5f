import assert from "node:assert/strict";
import { test } from "node:test";
import { WatchSession } from "../src/core/session.ts";
import { type Member, Topic } from "../src/core/topic.ts";
import type { Json } from "../src/wire.ts";
import { accepted, logged, snapshot, TASK } from "./envelopes.ts";

class Server {
  readonly topic = new Topic(TASK);
  readonly head: number;

  constructor(head: number) {
    this.head = head;
  }

  add(options: ConstructorParameters<typeof WatchSession>[1] = {}): WatchSession {
    const session = new WatchSession(TASK, options);
    this.topic.add({ session, changed: () => {} }, true);
    return session;
  }

  /** Answer what is asked, and replay, until nothing more is asked. */
  settle(): Json[] {
    const asked: Json[] = [];
    for (let wish = this.topic.next(); wish !== null; wish = this.topic.next()) {
      assert.notEqual(wish, "unsubscribe");
      const { subscribe, by } = wish as {
        subscribe: { number: number; payload: Json };
        by: Member;
      };
      asked.push(subscribe.payload);
      const after = (subscribe.payload.after as { seq: number } | undefined)?.seq ?? 0;
      this.topic.answered(by, subscribe.number, accepted(after, snapshot(this.head)));
      for (let seq = after + 1; seq <= this.head; seq += 1)
        this.topic.receive("task_update", logged(seq));
    }
    return asked;
  }
}

function seqs(session: WatchSession): unknown[] {
  const found: unknown[] = [];
  for (let item = session.take(); item !== null; item = session.take())
    found.push("seq" in item ? item.seq : item.event_type);
  return found;
}

test("two who watch the same from different places each see it once and whole", () => {
  const server = new Server(6);
  const [first, late] = [server.add(), server.add({ after: { epoch: "k3v9", seq: 4 } })];
  server.settle();
  server.topic.receive("task_update", logged(7));
  assert.deepEqual(seqs(first), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(seqs(late), [5, 6, 7]);
});

test("whoever asks late moves the cursor, and nobody loses anything by it", () => {
  const server = new Server(3);
  const first = server.add();
  server.settle();
  server.topic.linkDown();
  server.topic.linkUp();
  const second = server.add({ after: { epoch: "k3v9", seq: 1 } });
  server.settle();
  assert.deepEqual(seqs(first), [1, 2, 3]);
  assert.deepEqual(seqs(second), [2, 3]);
});

test("a resync that an answer announced goes to whoever asked", () => {
  const server = new Server(3);
  const well = server.add();
  server.settle();
  const astray = server.add({ after: { epoch: "gone", seq: 9 } });
  const wish = server.topic.next() as { subscribe: { number: number }; by: Member };
  server.topic.answered(wish.by, wish.subscribe.number, { ok: true, mode: "resync" });
  const position = { epoch: "k3v9", seq: 3 };
  server.topic.receive("resync", { task_id: TASK, snapshot: snapshot(3), position });
  assert.deepEqual(seqs(well), [1, 2, 3]);
  assert.deepEqual(seqs(astray), ["resync"]);
  server.topic.receive("resync", { task_id: TASK, snapshot: snapshot(9), position });
  assert.deepEqual(seqs(well), ["resync"]);
});

test("a refusal, which ends the subscription of all, makes the others ask again", () => {
  const server = new Server(2);
  const first = server.add();
  server.settle();
  const other = server.add({ after: { epoch: "k3v9", seq: 1 } });
  const wish = server.topic.next() as { subscribe: { number: number }; by: Member };
  const refusal = { ok: false, code: "forbidden", message: "no" };
  server.topic.answered(wish.by, wish.subscribe.number, refusal);
  assert.equal(other.failure?.code, "forbidden");
  assert.deepEqual(server.settle(), [{ task_id: TASK, after: { epoch: "k3v9", seq: 2 } }]);
  assert.equal(first.failure, null);
});

test("once one wants previews the subscription has them, whoever asks next", () => {
  const server = new Server(1);
  server.add({ previews: true });
  server.add();
  assert.deepEqual(
    server.settle().map((payload) => payload.previews),
    [true, true],
  );
});

test("only when everybody is paused the link is told to send nothing", () => {
  const server = new Server(0);
  const sessions = [server.add({ capacity: 2 }), server.add({ capacity: 4 })];
  server.settle();
  for (const seq of [1, 2, 3]) server.topic.receive("task_update", logged(seq));
  assert.equal(server.topic.next(), null);
  for (const seq of [4, 5]) server.topic.receive("task_update", logged(seq));
  assert.equal(server.topic.next(), "unsubscribe");
  assert.equal(server.topic.next(), null);
  assert.deepEqual(sessions.map(seqs), [
    [1, 2],
    [1, 2, 3, 4],
  ]);
});
