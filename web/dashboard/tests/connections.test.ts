import assert from "node:assert/strict";
import { test } from "node:test";
import {
  comparedWith,
  ratesBetween,
  type ServerFigures,
  tasksOf,
} from "../src/data/connections.ts";

const reading = (changes: Partial<ServerFigures> = {}): ServerFigures => ({
  started_at: "2026-11-22T10:00:00Z",
  uptime_seconds: 100,
  connections: { doors: { socketio: 1, sse: 0, long_poll: 0 }, inside: 1, limit: 20000 },
  outboxes: { waiting_bytes: 0, waiting_connections: 0, limit_bytes: 1 },
  kinds: [
    { running: 2, waiting: 3 },
    { running: 1, waiting: 0 },
  ],
  delayed: 4,
  events: { log: 10, progress: 20 },
  pushes: 1000,
  loop: { worst_lag_seconds: 0 },
  rss_bytes: 1,
  store: null,
  ...changes,
});

test("rates are what two readings differ by, in the time between them", () => {
  const later = reading({ uptime_seconds: 104, events: { log: 12, progress: 30 }, pushes: 1400 });
  assert.deepEqual(ratesBetween(reading(), later), { events: 3, pushes: 100 });
});

test("there are no rates without a reading before, or across a restart", () => {
  assert.equal(ratesBetween(null, reading()), null);
  assert.equal(ratesBetween(reading(), reading()), null);
  const restarted = reading({ started_at: "2026-11-22T11:00:00Z", uptime_seconds: 104 });
  assert.equal(ratesBetween(reading(), restarted), null);
});

test("those that wait for their time wait too", () => {
  assert.deepEqual(tasksOf(reading()), { running: 3, waiting: 7 });
});

test("a reading is compared with the last one that is not too near", () => {
  const [first, second] = [reading(), reading({ uptime_seconds: 105 })];
  assert.equal(comparedWith(null, first), null);
  assert.equal(comparedWith({ figures: first, before: null }, second), first);
  const soon = reading({ uptime_seconds: 105.2 });
  assert.equal(comparedWith({ figures: second, before: first }, soon), first);
  const restarted = reading({ uptime_seconds: 1 });
  assert.equal(comparedWith({ figures: second, before: first }, restarted), second);
});
