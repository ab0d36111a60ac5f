import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import i18next from "i18next";
import type { FieldError } from "taskpush-client";
import { en } from "../src/i18n/en.ts";
import { problemIn } from "../src/i18n/problems.ts";
import { zh } from "../src/i18n/zh.ts";

/** What a server says, which the Python tests hold against a real one's findings. */
const golden = new URL("../../../tests/wire/problems/fields.json", import.meta.url);
const told = JSON.parse(readFileSync(golden, "utf-8")) as FieldError[];

before(async () => {
  const resources = { en: { translation: en }, zh: { translation: zh } };
  await i18next.init({ resources, lng: "zh", interpolation: { escapeValue: false } });
});

const words = (error: FieldError): string => problemIn(error, i18next.t);

test("each usual mistake has a sentence of the page's own", () => {
  for (const error of told) {
    assert.notEqual(words(error), error.message, error.type ?? "");
    assert.doesNotMatch(words(error), /\{\{/);
  }
});

test("numbers and texts stand in it", () => {
  const said = new Map(told.map((error) => [error.loc, words(error)]));
  assert.equal(said.get("at_most"), "应不大于 10。");
  assert.equal(said.get("long"), "至多 2 个字符。");
  assert.equal(said.get("few"), "至少 2 项，现有 1 项。");
  assert.equal(said.get("one_of"), "应为以下之一：'a'或'b'。");
  assert.equal(said.get("pattern"), "不符合格式 ^[a-z]+$。");
  const ctx = { name: "a.csv", size_bytes: 2048, max_bytes: 1024 };
  const large = { loc: "params.table", message: "a.csv has 2048 bytes", type: "upload_size", ctx };
  assert.equal(words(large), "a.csv 的大小为 2 KiB，至多 1 KiB。");
});

test("what the page has no sentence for, or no numbers, is in the server's words", () => {
  const message = "a file name, not a path";
  assert.equal(words({ loc: "params.file", message, type: "value_error" }), message);
  assert.equal(words({ loc: "params.file", message }), message);
  assert.equal(words({ loc: "params.file", message, type: "less_than_equal", ctx: {} }), message);
  assert.equal(words({ loc: "params.file", message, type: "constructor" }), message);
});
