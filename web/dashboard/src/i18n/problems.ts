/** What the server says of a wrong field, in the language of the page. */

import type { TFunction } from "i18next";
import type { FieldError } from "taskpush-client";
import { formatBytes } from "../format.ts";
import { en } from "./en.ts";

type Sentence = keyof typeof en.invalid;

/** By what the server calls it, which mostly is Pydantic's name. */
const SENTENCES: ReadonlyMap<string, Sentence> = new Map(
  Object.entries<Sentence>({
    missing: "missing",
    extra_forbidden: "extra",
    int_type: "integer",
    int_parsing: "integer",
    int_parsing_size: "integer",
    int_from_float: "integer",
    float_type: "number",
    float_parsing: "number",
    decimal_type: "number",
    decimal_parsing: "number",
    finite_number: "finite",
    string_type: "text",
    bool_type: "boolean",
    bool_parsing: "boolean",
    list_type: "list",
    tuple_type: "list",
    set_type: "list",
    frozen_set_type: "list",
    dict_type: "object",
    model_type: "object",
    model_attributes_type: "object",
    dataclass_type: "object",
    date_type: "date",
    date_parsing: "date",
    date_from_datetime_parsing: "date",
    date_from_datetime_inexact: "date",
    datetime_type: "dateTime",
    datetime_parsing: "dateTime",
    datetime_from_date_parsing: "dateTime",
    timezone_aware: "dateTime",
    time_type: "time",
    time_parsing: "time",
    uuid_type: "uuid",
    uuid_parsing: "uuid",
    url_type: "url",
    url_parsing: "url",
    url_scheme: "url",
    greater_than: "above",
    greater_than_equal: "atLeast",
    less_than: "below",
    less_than_equal: "atMost",
    multiple_of: "multiple",
    string_too_short: "shortText",
    string_too_long: "longText",
    too_short: "shortList",
    too_long: "longList",
    string_pattern_mismatch: "pattern",
    literal_error: "choice",
    enum: "choice",
    upload_type: "uploadType",
    upload_size: "uploadSize",
    upload_unknown: "uploadUnknown",
    upload_id: "uploadId",
    no_params: "noParams",
    too_many_bytes: "bytes",
  }),
);

/** The sentence for it; the server's own words where there is none, or not what it is filled with. */
export function problemIn({ type, message, ctx }: FieldError, t: TFunction): string {
  const sentence = SENTENCES.get(type ?? "");
  if (sentence === undefined) return message;
  const wanted = en.invalid[sentence].match(/(?<=\{\{)\w+/g) ?? [];
  const given = ctx ?? {};
  if (!wanted.every((name) => name in given)) return message;
  const filled = wanted.map((name) => [name, worded(name, given[name], t)]);
  return t(`invalid.${sentence}`, Object.fromEntries(filled));
}

function worded(name: string, value: unknown, t: TFunction): string {
  if (name.endsWith("_bytes") && typeof value === "number") return formatBytes(value);
  if (name !== "expected") return String(value);
  // `'a', 'b' or 'c'`, and of files `.csv or text/csv`.
  const between = String(value).startsWith("'") ? /(?<=') or (?=')/g : / or /g;
  return String(value).replaceAll(between, t("invalid.or"));
}
