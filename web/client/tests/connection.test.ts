import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Connection, type ConnectionOptions } from "../src/connection.ts";
import { RETURN_AFTER_MS } from "../src/core/choice.ts";
import { WatchSession } from "../src/core/session.ts";
import type { Json } from "../src/wire.ts";
import { logged, status, TASK } from "./envelopes.ts";
import { FakeDoor } from "./fake_door.ts";

class Scene {
  readonly log: Json[] = [];
  readonly doors = [new FakeDoor("socketio", this.log), new FakeDoor("sse", this.log)] as const;
  readonly states: string[] = [];
  readonly connection: Connection;
  readonly session = new WatchSession(TASK);
  readonly member = { session: this.session, changed: () => {} };

  constructor(options: Partial<ConnectionOptions> = {}) {
    this.connection = new Connection({
      doors: this.doors,
      patience: { firstContactMs: 10_000, reconnectMs: Number.POSITIVE_INFINITY },
      renewable: false,
      random: () => 1,
      onStatus: ({ state, door }) => {
        const told = door ? `${state} ${door}` : state;
        // Told again when only the setback is another.
        if (told !== this.states.at(-1)) this.states.push(told);
      },
      ...options,
    });
  }

  seqs(): unknown[] {
    const found: unknown[] = [];
    for (let item = this.session.take(); item !== null; item = this.session.take())
      found.push("seq" in item ? item.seq : item.event_type);
    return found;
  }
}

/** With a clock that only `pass` moves. */
async function withClock(run: (pass: (ms: number) => Promise<void>) => Promise<void>) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  // Not faked: after it, whatever could go on without the clock has.
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  try {
    await run(async (ms) => {
      await settle();
      for (let passed = 0; passed < ms; passed += 250) {
        mock.timers.tick(Math.min(250, ms - passed));
        await settle();
      }
    });
  } finally {
    mock.timers.reset();
  }
}

test("a network that is gone for a minute is waited for, and costs nothing", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best] = scene.doors;
    scene.connection.add(scene.member);
    await pass(1);
    best.write(logged(1));
    best.failing = "away";
    best.lose();
    scene.log.push(logged(2), logged(3));
    await pass(60_000);
    assert.deepEqual(scene.states, ["recovering", "live socketio", "recovering", "stale"]);
    best.failing = null;
    await pass(15_000);
    best.write(status(4, "completed", true));
    assert.deepEqual(scene.seqs(), [1, 2, 3, 4]);
    assert.deepEqual(scene.states.slice(4), ["live socketio"]);
    assert.equal(scene.doors[1].opened, 0);
    assert.ok(scene.session.over);
  }));

test("who wakes does not sit out the pause", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best] = scene.doors;
    scene.connection.add(scene.member);
    await pass(1);
    best.failing = "away";
    best.lose();
    await pass(60_000);
    best.failing = null;
    await pass(1);
    assert.equal(scene.connection.status.state, "stale");
    scene.connection.wake(true);
    await pass(1);
    assert.equal(scene.connection.status.state, "live");
    scene.connection.wake(false);
    assert.equal(best.checks, 1);
  }));

test("a watch goes back up to a better door, from where it is", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best, second] = scene.doors;
    best.failing = "blocked";
    scene.connection.add(scene.member);
    await pass(1);
    second.write(logged(1));
    await pass(RETURN_AFTER_MS - 1000);
    best.failing = null;
    assert.equal(best.opened, 0);
    await pass(1000);
    best.write(logged(2));
    assert.deepEqual(scene.seqs(), [1, 2]);
    assert.deepEqual(best.asked, [{ epoch: "k3v9", seq: 1 }]);
    assert.deepEqual(scene.states, ["recovering", "live sse", "live socketio"]);
    assert.equal(second.closed, 1);
  }));

test("when the network has changed a better door is tried at once", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best] = scene.doors;
    best.failing = "blocked";
    scene.connection.add(scene.member);
    await pass(1000);
    best.failing = null;
    scene.connection.wake(true);
    await pass(1);
    assert.equal(scene.connection.status.door, "socketio");
  }));

test("a server that was never reached is given up after the patience", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    for (const door of scene.doors) door.failing = "away";
    scene.connection.add(scene.member);
    await pass(9000);
    assert.equal(scene.session.over, false);
    await pass(15_000);
    assert.equal(scene.session.failure?.code, "server_unreachable");
  }));

test("a link that opens when nothing is watched any more is closed", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best] = scene.doors;
    let release = (): void => {};
    best.gate = new Promise((resolve) => {
      release = resolve;
    });
    scene.connection.add(scene.member);
    await pass(1);
    scene.connection.remove(scene.member);
    release();
    await pass(1);
    assert.deepEqual([best.opened, best.closed], [1, 1]);
    assert.equal(scene.connection.status.state, "offline");
    scene.connection.add(scene.member);
    await pass(1);
    assert.equal(scene.connection.status.state, "live");
  }));

test("a better door that opens late is gone back to at once, and tried once", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best, second] = scene.doors;
    let open = (): void => {};
    best.tardy = new Promise((resolve) => {
      open = resolve;
    });
    scene.connection.add(scene.member);
    await pass(1);
    second.write(logged(1));
    assert.deepEqual(scene.states, ["recovering", "live sse"]);
    open();
    await pass(1);
    best.write(logged(2));
    assert.deepEqual(scene.seqs(), [1, 2]);
    assert.deepEqual(best.asked, [{ epoch: "k3v9", seq: 1 }]);
    assert.deepEqual(scene.states, ["recovering", "live sse", "live socketio"]);
    assert.deepEqual([best.opened, best.givenUp, second.closed], [1, 0, 1]);
  }));

test("a door that is late is given up with the connection", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best, second] = scene.doors;
    best.tardy = new Promise(() => {});
    scene.connection.add(scene.member);
    await pass(1);
    assert.equal(scene.connection.status.door, "sse");
    assert.equal(best.givenUp, 0);
    scene.connection.remove(scene.member);
    await pass(1);
    assert.deepEqual([best.givenUp, second.closed], [1, 1]);
  }));

test("a door that is late is given up before it is tried again", () =>
  withClock(async (pass) => {
    const scene = new Scene();
    const [best, second] = scene.doors;
    best.tardy = new Promise(() => {});
    second.failing = "cut";
    scene.connection.add(scene.member);
    await pass(5000);
    assert.ok(best.givenUp >= 1);
    best.tardy = null;
    await pass(10_000);
    assert.deepEqual([scene.connection.status.door, best.opened], ["socketio", 1]);
  }));
