import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../src/data/metrics.ts";

test("a metric that comes later, or not always, leaves gaps", () => {
  const metrics = new Metrics();
  metrics.add(1, { a: 1 });
  metrics.add(2, { b: 5 });
  metrics.add(3, { a: 3 });
  assert.deepEqual(metrics.columns.get("a"), [1, null, 3]);
  assert.deepEqual(metrics.columns.get("b"), [null, 5, null]);
  assert.equal(metrics.newest("b"), 5);
});

test("what a resumed attempt repeats replaces what stood there", () => {
  const metrics = new Metrics();
  for (const i of [1, 2, 3]) metrics.add(i, { a: i });
  metrics.add(2, { a: 20 });
  assert.deepEqual(metrics.iterations, [1, 2]);
  assert.deepEqual(metrics.columns.get("a"), [1, 20]);
});

test("what is put in front counts as if it had come first", () => {
  const said: [number, Record<string, number>][] = [
    [1, { a: 1 }],
    [2, { a: 2, b: 2 }],
    [3, { b: 3 }],
    [2, { a: 20 }],
    [3, { c: 30 }],
  ];
  const inOrder = new Metrics();
  for (const [iteration, values] of said) inOrder.add(iteration, values);
  for (let cut = 0; cut <= said.length; cut += 1) {
    const older = new Metrics();
    const newer = new Metrics();
    for (const [iteration, values] of said.slice(0, cut)) older.add(iteration, values);
    for (const [iteration, values] of said.slice(cut)) newer.add(iteration, values);
    newer.prepend(older);
    assert.deepEqual(newer, inOrder, `cut before ${cut}`);
  }
});
