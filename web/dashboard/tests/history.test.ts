import assert from "node:assert/strict";
import { test } from "node:test";
import { type KindDay, totals } from "../src/data/history.ts";

test("kinds are added up, and days on which nothing ended are there too", () => {
  const day = (kind: string): KindDay => ({
    day: "2026-11-21",
    kind,
    completed: 2,
    failed: 1,
    cancelled: 3,
    interrupted: 4,
    median_seconds: null,
    p95_seconds: null,
    median_wait_seconds: null,
  });
  assert.deepEqual(totals([day("a"), day("b")], 2, new Date("2026-11-22T10:00:00Z")), [
    { day: "2026-11-21", completed: 4, failed: 2, other: 14 },
    { day: "2026-11-22", completed: 0, failed: 0, other: 0 },
  ]);
});
