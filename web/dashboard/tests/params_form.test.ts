import assert from "node:assert/strict";
import { test } from "node:test";
import { misfit } from "../src/data/files_form.ts";
import { entryFor, fieldsOf, paramsFrom, type Schema } from "../src/data/params_form.ts";

const schema: Schema = {
  type: "object",
  required: ["bom"],
  properties: {
    bom: { type: "string", title: "Bom File", description: "A bill of materials" },
    steps: { type: "integer", default: 20, minimum: 1, maximum: 2000 },
    largest: { type: "integer", maximum: Number.MAX_SAFE_INTEGER },
    mode: { $ref: "#/$defs/Mode", default: "slow" },
    limit: { anyOf: [{ type: "number" }, { type: "null" }], default: null },
    loud: { type: "boolean", default: true },
    extra: { type: "array", default: [1] },
    step: { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 },
  },
  $defs: { Mode: { enum: ["fast", "slow"] } },
};
const fields = fieldsOf(schema);
const defaults = Object.fromEntries(fields.map((field) => [field.loc, entryFor(field, null)]));

test("each property is a field of its type, with its range and choices", () => {
  assert.deepEqual(
    fields.map(({ name, type }) => [name, type]),
    [
      ["bom", "text"],
      ["steps", "integer"],
      ["largest", "integer"],
      ["mode", "choice"],
      ["limit", "number"],
      ["loud", "boolean"],
      ["extra", "json"],
      ["step", "number"],
    ],
  );
  assert.deepEqual([fields[1]?.minimum, fields[1]?.maximum], [1, 2000]);
  assert.equal(fields[2]?.maximum, null);
  assert.deepEqual([fields[7]?.minimum, fields[7]?.above, fields[7]?.below], [null, 0, 1]);
  assert.deepEqual(fields[3]?.choices, ["fast", "slow"]);
  assert.equal(fields[0]?.isRequired, true);
});

test("what is left empty is left out, so that the kind's own default applies", () => {
  assert.deepEqual(paramsFrom(fields, defaults), {
    params: { steps: 20, mode: "slow", limit: null, loud: true, extra: [1] },
    problems: {},
  });
});

test("what cannot be read is said with its field, and everything else is for the server", () => {
  const entries = { ...defaults, "params.steps": "-1", "params.limit": "x", "params.extra": "[" };
  const { params, problems } = paramsFrom(fields, entries);
  assert.equal(params.steps, -1);
  assert.deepEqual(problems["params.limit"], { code: "notNumber" });
  assert.equal(problems["params.extra"]?.code, "notJson");
});

test("another task's params stand in the fields", () => {
  const given = { bom: "b.json", steps: 3, mode: "fast", limit: 1.5, loud: false, extra: [] };
  const entries = Object.fromEntries(fields.map((field) => [field.loc, entryFor(field, given)]));
  assert.deepEqual(paramsFrom(fields, entries), { params: given, problems: {} });
});

test("a schema that names no properties is one field of JSON", () => {
  const [whole] = fieldsOf({ type: "object", additionalProperties: { type: "integer" } });
  assert.ok(whole);
  assert.deepEqual([whole.name, whole.loc, whole.type], [null, "params", "json"]);
  assert.deepEqual(paramsFrom([whole], { params: '{"to": 3}' }).params, { to: 3 });
  assert.equal(paramsFrom([whole], { params: "[1]" }).problems.params?.code, "notJson");
});

test("a kind that takes nothing has no fields", () => {
  assert.deepEqual(fieldsOf({ type: "object", properties: {}, additionalProperties: false }), []);
});

const withFiles = fieldsOf({
  type: "object",
  required: ["table"],
  properties: {
    table: { $ref: "#/$defs/Table" },
    more: { type: "array", items: { type: "string", format: "taskpush-upload" }, default: [] },
    note: {
      anyOf: [{ type: "string", format: "taskpush-upload" }, { type: "null" }],
      default: null,
    },
  },
  $defs: {
    Table: { type: "string", format: "taskpush-upload", accept: [".csv"], max_bytes: 9 },
  },
});

test("a file is a field of its own, one or many, with what it takes", () => {
  assert.deepEqual(
    withFiles.map(({ name, type, files, isNullable }) => [name, type, files, isNullable]),
    [
      ["table", "file", { isMany: false, accept: [".csv"], maxBytes: 9 }, false],
      ["more", "file", { isMany: true, accept: [], maxBytes: null }, false],
      ["note", "file", { isMany: false, accept: [], maxBytes: null }, true],
    ],
  );
});

test("files stand in the params by their ids, and only when all have been sent", () => {
  const [table, more, note] = withFiles.map(({ loc }) => loc) as [string, string, string];
  assert.deepEqual(paramsFrom(withFiles, { [table]: "u1", [more]: "u2 u3", [note]: "" }), {
    params: { table: "u1", more: ["u2", "u3"], note: null },
    problems: {},
  });
  const unsent = paramsFrom(withFiles, { [table]: "-", [more]: "u2 -" });
  assert.deepEqual(unsent.problems, { [table]: { code: "notSent" }, [more]: { code: "notSent" } });
  const given = { table: "u1", more: ["u2"], note: null };
  const entries = Object.fromEntries(withFiles.map((one) => [one.loc, entryFor(one, given)]));
  assert.deepEqual(paramsFrom(withFiles, entries), { params: given, problems: {} });
});

test("what a file is not taken for is told before it is sent", () => {
  const rules = { isMany: false, accept: [".csv", "image/*"], maxBytes: 9 };
  const file = (name: string, type: string, size = 1) => ({ name, type, size });
  assert.equal(misfit(file("a.CSV", "application/vnd.ms-excel"), rules), null);
  assert.equal(misfit(file("a", "image/png"), rules), null);
  // Nobody knows what it is: the server says.
  assert.equal(misfit(file("a", ""), rules), null);
  assert.equal(misfit(file("a.txt", "text/plain"), rules)?.code, "wrongType");
  assert.deepEqual(misfit(file("a.csv", "text/csv", 10), rules), { code: "tooLarge", bytes: 9 });
});

test("a yes or no that may be left open is a choice, and stays open", () => {
  const maybe = { anyOf: [{ type: "boolean" }, { type: "null" }], default: null };
  const [field] = fieldsOf({ type: "object", properties: { maybe } });
  assert.ok(field);
  assert.deepEqual([field.type, field.choices, field.isNullable], ["choice", [true, false], true]);
  const read = (entry: string) => paramsFrom([field], { [field.loc]: entry }).params;
  assert.deepEqual(read(String(entryFor(field, null))), { maybe: null });
  assert.deepEqual(read(String(entryFor(field, { maybe: false }))), { maybe: false });
  assert.deepEqual(read(String(entryFor(field, { maybe: true }))), { maybe: true });
});

test("a text that may be long has several lines", () => {
  const text = (maxLength?: number): Schema => ({
    type: "string",
    ...(maxLength && { maxLength }),
  });
  const properties = { short: text(), line: text(1000), page: text(1001) };
  assert.deepEqual(
    fieldsOf({ type: "object", properties }).map(({ isLong }) => isLong),
    [false, false, true],
  );
});
