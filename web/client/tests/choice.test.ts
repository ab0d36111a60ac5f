import assert from "node:assert/strict";
import { test } from "node:test";
import { fullJitterMs } from "../src/core/backoff.ts";
import { DoorChoice, HELD_AFTER_MS, RETURN_AFTER_MS, RETURN_CAP_MS } from "../src/core/choice.ts";

function opened(index: number, now = 0): DoorChoice {
  const choice = new DoorChoice(4);
  choice.opened(index, now);
  choice.proven();
  return choice;
}

test("it begins with the best door, and goes on with the one that worked", () => {
  const choice = new DoorChoice(4);
  assert.deepEqual(choice.candidates, [0, 1, 2, 3]);
  choice.opened(1, 0);
  choice.proven();
  choice.lost(false, 1000);
  assert.deepEqual(choice.candidates, [1, 2, 3]);
});

test("a door that is blocked is left at once, one that only lost its server is kept", () => {
  const choice = opened(0);
  choice.lost(false, 10);
  assert.equal(choice.index, 0);
  choice.lost(true, 20);
  assert.equal(choice.index, 1);
});

test("two links in a row that nothing came over make it step down", () => {
  const choice = new DoorChoice(2);
  for (const index of [0, 1]) {
    choice.opened(0, 0);
    choice.lost(false, 1);
    assert.equal(choice.index, index);
  }
});

test("below the last door there is none", () => {
  const choice = opened(3);
  choice.lost(true, 10);
  assert.deepEqual(choice.candidates, [3]);
});

test("better doors are tried after a pause that doubles up to ten minutes", () => {
  const choice = opened(2, 1000);
  let now = 1000;
  for (const pause of [30, 60, 120, 240, 480, 600, 600].map((seconds) => seconds * 1000)) {
    assert.equal(choice.returnIn(now), pause);
    now += pause;
    assert.equal(choice.returnIn(now), 0);
    choice.stayed(now);
  }
  assert.deepEqual(choice.better, [0, 1]);
  assert.equal(choice.returnIn(now), RETURN_CAP_MS);
});

test("when the network has changed they are due at once", () => {
  const choice = opened(1);
  choice.networkChanged(5);
  assert.equal(choice.returnIn(5), 0);
  const best = opened(0);
  best.networkChanged(5);
  assert.equal(best.returnIn(5), Number.POSITIVE_INFINITY);
});

test("a better door that does not hold is tried later than one that held for a minute", () => {
  for (const [held, pause] of [
    [HELD_AFTER_MS - 1, 2 * RETURN_AFTER_MS],
    [HELD_AFTER_MS, RETURN_AFTER_MS],
  ] as const) {
    const choice = opened(1);
    choice.opened(0, RETURN_AFTER_MS);
    choice.proven();
    const lostAt = RETURN_AFTER_MS + held;
    choice.lost(true, lostAt);
    assert.equal(choice.index, 1);
    assert.equal(choice.returnIn(lostAt), pause);
  }
});

test("waits are anything below a bound that doubles up to 15 s, and none after no failure", () => {
  assert.equal(
    fullJitterMs(0, () => 1),
    0,
  );
  assert.deepEqual(
    [1, 2, 3, 7, 99].map((n) => fullJitterMs(n, () => 1)),
    [250, 500, 1000, 15000, 15000],
  );
  assert.equal(
    fullJitterMs(5, () => 0.5),
    2000,
  );
});
