import assert from "node:assert/strict";
import { test } from "node:test";
import type { TaskEvent } from "taskpush-client";
import { type LogLine, lineOf, logText, wantedLines } from "../src/data/log_lines.ts";

const line = (key: string, level: LogLine["level"], text: string): LogLine => ({
  key,
  level,
  text,
  tag: level,
  timestamp: "2026-11-22T14:30:00Z",
});
const lines = [line("1", "debug", "Alpha"), line("2", "info", "beta"), line("3", "error", "alpha")];

test("a level shows what is as serious, or more so", () => {
  const shown = wantedLines(lines, { level: "info", text: "" });
  assert.deepEqual(
    shown.map(({ key }) => key),
    ["2", "3"],
  );
});

test("a search is for letters, large or small, and for words of ours", () => {
  assert.equal(wantedLines(lines, { level: "debug", text: " ALPHA " }).length, 2);
  assert.equal(wantedLines(lines, { level: "debug", text: "error" }).length, 1);
});

test("who wants all lines gets the very array, however long it is", () => {
  assert.equal(wantedLines(lines, { level: "debug", text: "" }), lines);
});

test("as a text the log has a line for each", () => {
  assert.equal(logText(lines.slice(0, 1)), "2026-11-22T14:30:00Z\tdebug\tAlpha\n");
});

const logged = (event_type: string, data: object): TaskEvent =>
  ({
    task_id: "t",
    event_type,
    data,
    timestamp: "2026-11-22T14:30:00Z",
    attempt: 1,
    seq: 1,
    epoch: "e",
  }) as TaskEvent;

test("what a command writes to standard error is told, and is no level", () => {
  const event = logged("log", { level: "info", message: "12 %", fields: { stream: "stderr" } });
  const { tag, level, text } = lineOf(event) ?? line("0", "debug", "");
  assert.deepEqual([tag, level, text], ["stderr", "info", "12 %"]);
});

test("an exception is named once", () => {
  const texts = ["KeyError: 'to'", "no such file"].map(
    (error) => lineOf(logged("error", { error, error_type: "KeyError" }))?.text,
  );
  assert.deepEqual(texts, ["KeyError: 'to'", "KeyError: no such file"]);
});
