import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { formatBytes, formatDay, formatDuration, formatEstimate, formatIn } from "../src/format.ts";

afterEach(() => formatIn("en"));

test("times and sizes are written in the language of the page", () => {
  assert.deepEqual([4, 65, 7800, 200_000].map(formatDuration), [
    "4 s",
    "1 min 05 s",
    "2 h 10 min",
    "2 d 7 h",
  ]);
  assert.equal(formatBytes(46), "46 bytes");
  assert.equal(formatDay("2026-11-22"), "Nov 22");
  formatIn("zh");
  assert.deepEqual([4, 65, 7800, 200_000].map(formatDuration), [
    "4 秒",
    "1 分 05 秒",
    "2 小时 10 分",
    "2 天 7 小时",
  ]);
  assert.equal(formatBytes(46), "46 字节");
  assert.equal(formatDay("2026-11-22"), "11月22日");
});

test("an estimate is no more exact than a second", () => {
  assert.deepEqual([0.2, 9.93, 61.4].map(formatEstimate), ["1 s", "10 s", "1 min 01 s"]);
});
