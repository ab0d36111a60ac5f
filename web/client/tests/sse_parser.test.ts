import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser } from "../src/doors/sse_parser.ts";

const STREAM =
  'retry: 870\n\n:\n\nevent: task_update\nid: k3:1\ndata: {"a":\ndata: 1}\n\r\n' +
  "event: resync\r\ndata:{}\r\n\r\nevent: none\n\ndata: plain\n\n";
const EVENTS = [
  { event: "task_update", data: '{"a":\n1}' },
  { event: "resync", data: "{}" },
  { event: "message", data: "plain" },
];

test("it reads events wherever the text was cut", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new SseParser();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size)
      found.push(...parser.push(STREAM.slice(at, at + size)));
    assert.deepEqual(found, EVENTS, `in pieces of ${size}`);
  }
});

test("an event that did not come to its end is none", () => {
  assert.deepEqual(new SseParser().push("event: task_update\ndata: {}\n"), []);
});
