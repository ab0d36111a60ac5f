import assert from "node:assert/strict";
import { test } from "node:test";
import { en } from "../src/i18n/en.ts";
import { zh } from "../src/i18n/zh.ts";

/** Each text by its path, with the names that are filled in. */
function texts(catalogue: object, path = ""): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [name, value] of Object.entries(catalogue)) {
    const here = path ? `${path}.${name}` : name;
    if (typeof value === "string") found.set(here, value.match(/\{\{\w+\}\}/g)?.sort() ?? []);
    else for (const [inner, names] of texts(value, here)) found.set(inner, names);
  }
  return found;
}

test("each language has each text, and fills in the same names", () => {
  assert.deepEqual(texts(zh), texts(en));
});
