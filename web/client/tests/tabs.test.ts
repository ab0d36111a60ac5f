import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../src/connection.ts";
import { WatchSession } from "../src/core/session.ts";
import type { Member } from "../src/core/topic.ts";
import { groupOf, sharedBy, type TabGroup, thisBrowser } from "../src/tabs/group.ts";
import { Host, WINDOW } from "../src/tabs/host.ts";
import { guestName, type ToGuest, type ToHost, weightOf } from "../src/tabs/messages.ts";
import { SharedConnection } from "../src/tabs/shared_connection.ts";
import type { Json } from "../src/wire.ts";
import { accepted, logged, status, TASK } from "./envelopes.ts";
import { FakeDoor } from "./fake_door.ts";

const FOR_EVER = {
  firstContactMs: Number.POSITIVE_INFINITY,
  reconnectMs: Number.POSITIVE_INFINITY,
};
// Node has the locks and channels of browsers, within a process.
const browser = {
  locks: navigator.locks,
  channel: (name: string) => new BroadcastChannel(name) as unknown as globalThis.BroadcastChannel,
};

function newGroup(): TabGroup {
  return { browser, name: `test:${crypto.randomUUID()}` };
}

async function until(claim: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 8000; !claim(); ) {
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** One tab that watches the task, through the doors of a server that all share. */
class Tab {
  readonly connection: SharedConnection;
  readonly seqs: unknown[] = [];
  readonly session = new WatchSession(TASK);
  readonly member: Member;

  constructor(group: TabGroup, door: FakeDoor) {
    const made = { patience: FOR_EVER, renewable: false, random: () => 0 };
    this.connection = new SharedConnection({
      group: Promise.resolve(group),
      own: (onStatus) => new Connection({ ...made, doors: [door], onStatus }),
      through: (tab, onStatus) => new Connection({ ...made, doors: [tab], onStatus }),
      onStatus: () => {},
    });
    this.member = { session: this.session, changed: () => this.#take() };
    this.connection.add(this.member);
  }

  async live(door: string): Promise<this> {
    const { connection } = this;
    await until(
      () => connection.status.door === door && connection.status.state === "live",
      `${JSON.stringify(connection.status)} is not live through ${door}`,
    );
    return this;
  }

  leave(): void {
    this.connection.remove(this.member);
  }

  #take(): void {
    for (let item = this.session.take(); item !== null; item = this.session.take())
      this.seqs.push("seq" in item ? item.seq : item.event_type);
  }
}

test("tabs use the connection of one, and each sees everything once", async () => {
  const [group, door] = [newGroup(), new FakeDoor("socketio", [])];
  const first = await new Tab(group, door).live("socketio");
  door.write(logged(1));
  const others = [new Tab(group, door), new Tab(group, door)];
  for (const tab of others) await tab.live("tab");
  assert.equal(door.opened, 1);
  await until(() => others.every((tab) => tab.seqs.length === 1), "the log came");
  door.write(logged(2));
  door.write(status(3, "completed", true));
  for (const tab of [first, ...others]) {
    await until(() => tab.session.over, "all came");
    assert.deepEqual(tab.seqs, [1, 2, 3]);
    tab.leave();
  }
  await until(() => door.closed === 1, "the connection was closed with the last watch");
});

test("when the tab with the connection leaves, another goes on from where it is", async () => {
  const [group, door] = [newGroup(), new FakeDoor("socketio", [])];
  const first = await new Tab(group, door).live("socketio");
  const second = await new Tab(group, door).live("tab");
  const third = await new Tab(group, door).live("tab");
  door.write(logged(1));
  await until(() => third.seqs.length === 1 && second.seqs.length === 1, "it came");
  first.connection.close(Object.assign(new Error("closed"), { code: "closed" }));
  door.write(logged(2));
  await second.live("socketio");
  await third.live("tab");
  door.write(logged(3));
  for (const tab of [second, third]) {
    await until(() => tab.seqs.length === 3, "all came");
    assert.deepEqual(tab.seqs, [1, 2, 3]);
    tab.leave();
  }
});

test("a lost connection is restored by the tab that has it, for all", async () => {
  const [group, door] = [newGroup(), new FakeDoor("socketio", [])];
  const first = await new Tab(group, door).live("socketio");
  const second = await new Tab(group, door).live("tab");
  door.failing = "away";
  door.lose();
  await until(() => second.connection.status.state === "recovering", "it was told");
  door.failing = null;
  door.write(logged(1));
  await second.live("tab");
  await until(() => second.seqs.length === 1 && first.seqs.length === 1, "it came");
  assert.equal(door.opened, 2);
  first.leave();
  second.leave();
});

test("a tab that holds the lock and does not answer loses it", async () => {
  const [group, door] = [newGroup(), new FakeDoor("socketio", [])];
  const robbed = navigator.locks.request(group.name, () => new Promise(() => {}));
  const lost = assert.rejects(robbed, { name: "AbortError" });
  const tab = await new Tab(group, door).live("socketio");
  await lost;
  tab.leave();
});

test("why the server turned the one away, the others are told", async () => {
  const [group, door] = [newGroup(), new FakeDoor("socketio", [])];
  const first = await new Tab(group, door).live("socketio");
  const second = await new Tab(group, door).live("tab");
  door.failing = "dismissed";
  door.lose("dismissed");
  await until(() => second.session.over, "it ended");
  assert.equal(second.session.failure?.code, first.session.failure?.code);
  assert.equal(second.session.failure?.code, "disconnected");
  first.leave();
  second.leave();
});

test("a tab that takes nothing holds a bounded part, and is told when it takes again", async () => {
  const group = newGroup();
  const members = new Set<Member>();
  const flush = (): void => {
    for (const { session } of members) {
      const request = session.nextRequest();
      if (request) session.answered(request.number, accepted(0));
    }
  };
  const connection = {
    status: { state: "live" },
    add: (member: Member) => {
      members.add(member);
      member.session.linkUp();
      flush();
    },
    remove: (member: Member) => void members.delete(member),
    flush,
    wake: () => {},
  };
  let left = 0;
  const host = new Host(group, connection, () => {
    left += 1;
  });
  const calls = browser.channel(group.name);
  const own = browser.channel(guestName(group.name, "g"));
  const heard: ToGuest[] = [];
  own.onmessage = ({ data }: MessageEvent<ToGuest>) => heard.push(data);
  let end = (): void => {};
  const alive = navigator.locks.request(
    guestName(group.name, "g"),
    () =>
      new Promise<void>((resolve) => {
        end = resolve;
      }),
  );
  await until(() => {
    calls.postMessage({ type: "hello", guest: "g", link: 1 });
    return heard.length > 0;
  }, "a welcome");
  const said = (message: Json): void =>
    own.postMessage({ ...message, host: heard[0]?.host, link: 1 } as ToHost);
  said({ type: "subscribe", key: TASK, number: 1, payload: { task_id: TASK } });
  await until(() => heard.some(({ type }) => type === "answer"), "an answer");
  for (let seq = 1; seq <= 3 * WINDOW; seq += 1)
    for (const { session } of members) session.receive("task_update", logged(seq));
  said({ type: "ping", wake: false });
  await until(() => heard.some(({ type }) => type === "pong"), "a pong");
  const weight = heard.reduce((sum, told) => sum + weightOf(told), 0);
  assert.equal(weight, WINDOW);
  assert.ok([...members].every(({ session }) => session.paused));
  assert.ok(!heard.some(({ type }) => type === "down"));
  said({ type: "taken", weight });
  await until(() => heard.some(({ type }) => type === "down"), "word that it has to ask again");
  end();
  await alive;
  await until(() => left === 1, "its end was noticed");
  assert.deepEqual([members.size, host.empty], [0, true]);
  host.close();
  calls.close();
  own.close();
});

test("a picture takes more of what may be on its way than a line", () => {
  const payload = { data: { content: new Uint8Array(160_000) } };
  assert.equal(weightOf({ type: "event", payload }), 10);
  assert.equal(weightOf({ type: "event", payload: logged(1) }), 1);
  assert.equal(weightOf({ type: "pong" }), 0);
});

test("who shares: without a token all, with one only who says so", () => {
  assert.equal(sharedBy({}), "cookies");
  assert.equal(sharedBy({ share: false }), null);
  assert.equal(sharedBy({ token: "k" }), null);
  assert.notEqual(sharedBy({ token: "k", share: true }), sharedBy({ token: "j", share: true }));
  assert.equal(
    sharedBy({ token: () => "k", share: "ann" }),
    sharedBy({ token: () => "j", share: "ann" }),
  );
  assert.notEqual(sharedBy({ share: "ann" }), sharedBy({ token: "ann", share: true }));
  assert.throws(() => sharedBy({ token: () => "k", share: true }), TypeError);
});

test("the name of a group says neither server nor token", async () => {
  const { name } = await groupOf(browser, ["https://jobs.example", "token s3cret"]);
  assert.match(name, /^taskpush:1:[0-9a-f]{64}$/);
  assert.notEqual(name, (await groupOf(browser, ["https://jobs.example", "token other"])).name);
});

test("outside a page nothing is shared", () => {
  assert.equal(thisBrowser(), null);
});
