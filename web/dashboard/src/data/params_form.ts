/** What a form must ask for, from a kind's JSON Schema; and what was typed, as params. Pure. */

import { type FileRules, fileRulesOf, hasUnsent, idsIn, NO_FILES } from "./files_form.ts";

/** A JSON Schema, as far as it is read here. */
export interface Schema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  maxLength?: number;
  format?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  $ref?: string;
  [keyword: string]: unknown;
}

/** A text that may be longer is given several lines. */
const LINE_CHARS = 1000;

export type FieldType = "text" | "integer" | "number" | "boolean" | "choice" | "json" | "file";

export interface FieldSpec {
  /** Null for a field that holds the params as a whole. */
  name: string | null;
  /** As the server names it in its errors. */
  loc: string;
  label: string;
  description: string;
  type: FieldType;
  isRequired: boolean;
  isNullable: boolean;
  fallback: unknown;
  minimum: number | null;
  maximum: number | null;
  /** A number that it must be more than; `below` is one that it must be less than. */
  above: number | null;
  below: number | null;
  choices: readonly unknown[];
  /** Whether a text may be of several lines. */
  isLong: boolean;
  /** Which files a field of type `file` takes. */
  files: FileRules;
}

/**
 * What stands in a field: the text typed, the index of a choice, whether it is checked, or the
 * files chosen, as `entryOf` has them.
 */
export type Entry = string | boolean;

/** The fields for a kind's params; a schema without named properties gets one for the whole. */
export function fieldsOf(schema: Schema): FieldSpec[] {
  const properties = Object.entries(schema.properties ?? {});
  const takesAny = !!schema.additionalProperties || schema.type !== "object";
  if (properties.length === 0 && takesAny) return [fieldOf(null, schema, true, schema)];
  const required = new Set(schema.required ?? []);
  return properties.map(([name, one]) => fieldOf(name, one, required.has(name), schema));
}

function fieldOf(name: string | null, given: Schema, isRequired: boolean, root: Schema): FieldSpec {
  const { schema, isNullable } = simplified(given, root);
  const files = name === null ? null : filesOf(schema, root);
  const plain = name === null ? "json" : files ? "file" : typeOf(schema);
  // A box that is not checked says no; it cannot say nothing.
  const isChosen = plain === "boolean" && isNullable;
  const type = isChosen ? "choice" : plain;
  return {
    name,
    loc: name === null ? "params" : `params.${name}`,
    label: name === null ? "" : (given.title ?? schema.title ?? name),
    description: given.description ?? schema.description ?? "",
    type,
    isRequired,
    isNullable,
    fallback: given.default ?? schema.default,
    minimum: schema.minimum ?? null,
    // The largest number that travels is a limit of the encoding, of no interest to people.
    maximum:
      schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER
        ? schema.maximum
        : null,
    above: schema.exclusiveMinimum ?? null,
    below: schema.exclusiveMaximum ?? null,
    choices: isChosen ? [true, false] : choicesOf(schema),
    isLong: type === "text" && (schema.maxLength ?? 0) > LINE_CHARS,
    files: files ?? NO_FILES,
  };
}

function choicesOf(schema: Schema): readonly unknown[] {
  return schema.enum ?? ("const" in schema ? [schema.const] : []);
}

function filesOf(schema: Schema, root: Schema): FileRules | null {
  if (schema.type !== "array" || !schema.items) return fileRulesOf(schema);
  return fileRulesOf(followed(schema.items, root), true);
}

/** Follows `$ref`, and takes the null out of "this or null", as optional values are written. */
function simplified(given: Schema, root: Schema): { schema: Schema; isNullable: boolean } {
  const own = followed(given, root);
  const variants = own.anyOf ?? own.oneOf ?? [];
  const others = variants.filter((variant) => variant.type !== "null");
  const [only] = others;
  return {
    schema: others.length === 1 && only ? followed(only, root) : own,
    isNullable: others.length < variants.length,
  };
}

function followed(schema: Schema, root: Schema): Schema {
  if (!schema.$ref?.startsWith("#/")) return schema;
  const target = schema.$ref
    .slice(2)
    .split("/")
    .reduce<unknown>((node, key) => (isObject(node) ? node[key] : undefined), root);
  return isObject(target) ? { ...target, ...schema } : schema;
}

function typeOf(schema: Schema): FieldType {
  if (schema.enum || "const" in schema) return "choice";
  switch (schema.type) {
    case "string":
      return "text";
    case "integer":
    case "number":
    case "boolean":
      return schema.type;
    default:
      return "json";
  }
}

/** What stands in the field at first: the default, or what another task was given. */
export function entryFor(
  field: FieldSpec,
  params: Readonly<Record<string, unknown>> | null,
): Entry {
  let value = field.fallback;
  if (params !== null) value = field.name === null ? params : params[field.name];
  if (field.type === "boolean") return value === true;
  if (field.type === "file") return Array.isArray(value) ? value.join(" ") : String(value ?? "");
  if (field.type === "choice") {
    const index = field.choices.indexOf(value);
    return index < 0 ? "" : String(index);
  }
  if (field.type === "json") {
    if (value === undefined || (value === null && field.isNullable))
      return field.name === null ? "{}" : "";
    return JSON.stringify(value, null, 2);
  }
  return value === undefined || value === null ? "" : String(value);
}

/** A value that can't even be sent; everything else is for the server to judge. */
export type Unreadable =
  | { code: "notNumber" }
  | { code: "notSent" }
  | { code: "notJson"; reason: string };

/** What the fields say: the params, and what cannot be read, by the field's `loc`. */
export function paramsFrom(
  fields: readonly FieldSpec[],
  entries: Readonly<Record<string, Entry>>,
): { params: Record<string, unknown>; problems: Record<string, Unreadable> } {
  const params: Record<string, unknown> = {};
  const problems: Record<string, Unreadable> = {};
  for (const field of fields) {
    const read = readEntry(field, entries[field.loc] ?? "");
    if ("problem" in read) problems[field.loc] = read.problem;
    else if (!("value" in read)) continue;
    else if (field.name !== null) params[field.name] = read.value;
    else if (isObject(read.value)) Object.assign(params, read.value);
    else problems[field.loc] = { code: "notJson", reason: "{ … }" };
  }
  return { params, problems };
}

/** Empty when the field is left out, so that the kind's own default applies. */
type Read = { value: unknown } | { problem: Unreadable } | Record<never, never>;

function readEntry(field: FieldSpec, entry: Entry): Read {
  if (typeof entry === "boolean") return { value: entry };
  if (entry.trim() === "") return readEmpty(field);
  switch (field.type) {
    case "file":
      return readFiles(field, entry);
    case "choice":
      return { value: field.choices[Number(entry)] };
    case "integer":
    case "number":
      return Number.isFinite(Number(entry))
        ? { value: Number(entry) }
        : { problem: { code: "notNumber" } };
    case "json":
      return readJson(entry);
    default:
      return { value: entry };
  }
}

function readFiles({ files }: FieldSpec, entry: string): Read {
  if (hasUnsent(entry)) return { problem: { code: "notSent" } };
  const ids = idsIn(entry);
  return { value: files.isMany ? ids : ids[0] };
}

function readEmpty({ isNullable, type, fallback }: FieldSpec): Read {
  if (isNullable) return { value: null };
  // Emptied on purpose: leaving it out would bring the default back.
  return type === "text" && typeof fallback === "string" ? { value: "" } : {};
}

function readJson(text: string): Read {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { problem: { code: "notJson", reason: String(error) } };
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
