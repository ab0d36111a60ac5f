import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { renewInTime } from "../src/doors/renewal.ts";

/** What was shown, and when, by credentials that live so long each. */
async function shownWithin(
  ms: number,
  livesMs: (token: string) => number | null,
  renew: (count: number) => Promise<string>,
): Promise<[string, number][]> {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
  try {
    const shown: [string, number][] = [];
    let count = 0;
    const authenticate = async (token: string) => {
      shown.push([token, Date.now()]);
      const lives = livesMs(token);
      const expires_at = lives === null ? null : new Date(lives).toISOString();
      return { ok: true, expires_at };
    };
    const stop = renewInTime("first", () => renew(++count), authenticate);
    for (let passed = 0; passed < ms; passed += 1000) {
      for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      mock.timers.tick(1000);
    }
    stop();
    return shown;
  } finally {
    mock.timers.reset();
  }
}

test("a token is replaced a minute before it ends, and each that follows", async () => {
  const ends: Record<string, number> = { first: 600_000, next1: 1_200_000, next2: 1_800_000 };
  const shown = await shownWithin(
    1_300_000,
    (token) => ends[token] ?? 0,
    async (count) => `next${count}`,
  );
  assert.deepEqual(shown, [
    ["first", 0],
    ["next1", 540_000],
    ["next2", 1_140_000],
  ]);
});

test("a token that lives for seconds is replaced when a fifth of its time is left", async () => {
  const ends: Record<string, number> = { first: 10_000, next1: 3_600_000 };
  const shown = await shownWithin(
    20_000,
    (token) => ends[token] ?? 0,
    async (count) => `next${count}`,
  );
  assert.deepEqual(shown, [
    ["first", 0],
    ["next1", 8000],
  ]);
});

test("an application that has no newer one yet, or fails, is asked again", async (context) => {
  context.mock.method(console, "warn", () => {});
  const shown = await shownWithin(
    100_000,
    (token) => (token === "newer" ? 10_000_000 : 100_000),
    async (count) => {
      if (count === 1) return "first";
      if (count === 2) throw new Error("away");
      return "newer";
    },
  );
  assert.deepEqual(shown, [
    ["first", 0],
    ["first", 80_000],
    ["newer", 95_000],
  ]);
});

test("one that does not end is left alone", async () => {
  const shown = await shownWithin(
    10_000_000,
    () => null,
    async () => "next",
  );
  assert.deepEqual(shown, [["first", 0]]);
});
