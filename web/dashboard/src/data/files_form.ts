/** Which files a field takes, and how those chosen stand in the form. Pure. */

import type { Schema } from "./params_form.ts";

/** The `format` of a text that is the id of a file. */
export const UPLOAD_FORMAT = "taskpush-upload";

export interface FileRules {
  isMany: boolean;
  /** Endings and media types, as the `accept` of HTML; empty for any. */
  accept: readonly string[];
  /** Null for what the server takes. */
  maxBytes: number | null;
}

export const NO_FILES: FileRules = { isMany: false, accept: [], maxBytes: null };

/** What a field takes whose schema is that of a file; null for any other. */
export function fileRulesOf(schema: Schema, isMany = false): FileRules | null {
  if (schema.format !== UPLOAD_FORMAT) return null;
  const { accept, max_bytes: maxBytes } = schema;
  return {
    isMany,
    accept: Array.isArray(accept) ? accept.map(String) : [],
    maxBytes: typeof maxBytes === "number" ? maxBytes : null,
  };
}

/** Stands for a file that is not sent, as yet or at all. */
const UNSENT = "-";

/** What stands in the form for the files chosen. */
export function entryOf(files: readonly { uploadId: string | null }[]): string {
  return files.map(({ uploadId }) => uploadId ?? UNSENT).join(" ");
}

/** The ids in an entry. */
export function idsIn(entry: string): string[] {
  return entry.split(" ").filter((word) => word !== "" && word !== UNSENT);
}

/** Whether files were chosen that are not sent. */
export function hasUnsent(entry: string): boolean {
  return entry.split(" ").includes(UNSENT);
}

/** Why a file is not taken; null when it is, as far as can be told here. */
export function misfit(
  file: { name: string; type: string; size: number },
  { accept, maxBytes }: FileRules,
): { code: "wrongType" | "tooLarge"; bytes: number } | null {
  if (accept.length > 0 && file.type !== "" && !accept.some((word) => fits(file, word)))
    return { code: "wrongType", bytes: 0 };
  if (maxBytes !== null && file.size > maxBytes) return { code: "tooLarge", bytes: maxBytes };
  return null;
}

function fits({ name, type }: { name: string; type: string }, word: string): boolean {
  const wanted = word.toLowerCase();
  if (wanted.startsWith(".")) return name.toLowerCase().endsWith(wanted);
  const said = (type.split(";")[0] ?? "").trim().toLowerCase();
  return wanted.endsWith("/*") ? said.startsWith(wanted.slice(0, -1)) : said === wanted;
}
