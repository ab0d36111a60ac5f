// @ts-check
/** What a form must ask for, from a kind's JSON Schema. */

/**
 * @typedef {import("./wire.js").Schema} Schema
 * @typedef {"text" | "integer" | "number" | "boolean" | "choice" | "json"} FieldType
 * @typedef {{name: string | null, loc: string, label: string, help: string, type: FieldType,
 *   isRequired: boolean, isNullable: boolean, fallback: any, schema: Schema, choices: any[]}} FieldSpec
 *   `name` is null for a field that holds the params as a whole.
 */

/**
 * The fields for a kind's params; a schema without named properties gets one field for the whole.
 * @param {Schema} schema
 * @returns {FieldSpec[]}
 */
export function describeFields(schema) {
  const properties = Object.entries(schema.properties ?? {});
  const isFree = properties.length === 0 && (schema.additionalProperties || schema.type !== "object");
  if (isFree) return [describeField(null, { title: "Parameters", ...schema }, true, schema)];
  const required = new Set(schema.required ?? []);
  return properties.map(([name, property]) => describeField(name, property, required.has(name), schema));
}

/** @returns {FieldSpec} */
function describeField(name, property, isRequired, root) {
  const { schema, isNullable } = simplify(property, root);
  const type = name === null ? "json" : fieldType(schema);
  return {
    name,
    loc: name === null ? "params" : `params.${name}`,
    label: property.title ?? schema.title ?? name ?? "",
    help: describeHelp(property.description ?? schema.description ?? "", describeRange(schema, type)),
    type,
    isRequired,
    isNullable,
    fallback: property.default ?? schema.default,
    schema,
    choices: schema.enum ?? ("const" in schema ? [schema.const] : []),
  };
}

/** Follows `$ref` and takes the null out of "this or null", which is how optional values are written. */
function simplify(property, root) {
  const own = followReference(property, root);
  /** @type {Schema[]} */
  const variants = own.anyOf ?? own.oneOf ?? [];
  const others = variants.filter((variant) => variant.type !== "null");
  const isNullable = others.length < variants.length;
  return { schema: others.length === 1 ? followReference(others[0], root) : own, isNullable };
}

/** @returns {Schema} */
function followReference(schema, root) {
  if (!schema.$ref?.startsWith("#/")) return schema;
  const path = schema.$ref.slice(2).split("/");
  const target = path.reduce((/** @type {any} */ node, /** @type {string} */ key) => node?.[key], root);
  return { ...target, ...schema };
}

/** @returns {FieldType} */
function fieldType(schema) {
  if (schema.enum || "const" in schema) return "choice";
  if (schema.type === "string") return "text";
  return ["integer", "number", "boolean"].includes(schema.type) ? schema.type : "json";
}

function describeRange(schema, type) {
  const { minimum, maximum } = schema;
  if (type === "json") return "Written as JSON.";
  // The largest number that travels is a limit of the encoding, of no interest to people.
  const hasMaximum = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (minimum !== undefined && hasMaximum) return `From ${minimum} to ${maximum}.`;
  if (minimum !== undefined) return `At least ${minimum}.`;
  return hasMaximum ? `At most ${maximum}.` : "";
}

function describeHelp(description, range) {
  const sentence = /[^.!?:]$/.test(description) && range ? `${description}.` : description;
  return [sentence, range].filter(Boolean).join(" ");
}
