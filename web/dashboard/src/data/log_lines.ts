/** What the log says of a logged event: words of the job as they are, words of ours as codes. */

import type { Status, TaskEvent } from "taskpush-client";
import { formatBytes, formatPairs } from "../format.ts";

export const LEVELS = ["debug", "info", "warning", "error"] as const;
export type Level = (typeof LEVELS)[number];

/**
 * What a line is about; the level itself for what the job logged. `stderr` is no level: many
 * programs write their progress there.
 */
export type Tag = Level | "stderr" | "status" | "iteration" | "artifact" | "checkpoint" | "page";

export interface LogLine {
  /** Unique within the log. */
  key: string;
  timestamp: string;
  tag: Tag;
  level: Level;
  /** Of a `status` line. */
  status?: Status;
  /** Of a `status` line: a code, or what somebody gave as the reason. */
  reason?: string;
  text: string;
  /** Shown when asked for: a traceback. */
  details?: string;
}

/** The line for an event; null for what the log does not show. */
export function lineOf(event: TaskEvent): LogLine | null {
  if (event.seq === null) return null;
  const line = { key: String(event.seq), timestamp: event.timestamp };
  switch (event.event_type) {
    case "status_change": {
      const { status, reason, message } = event.data;
      const said = { status, text: message ?? "", ...(reason && { reason }) };
      return { ...line, tag: "status", level: "info", ...said };
    }
    case "iteration_complete": {
      const text = joined(String(event.data.iteration), formatPairs(event.data.metrics));
      return { ...line, tag: "iteration", level: "info", text };
    }
    case "log": {
      const level = event.data.level ?? "info";
      const { stream, ...others } = event.data.fields ?? {};
      const isStderr = level === "info" && stream === "stderr";
      const fields = isStderr ? others : (event.data.fields ?? {});
      const text = joined(event.data.message, formatPairs(fields));
      return { ...line, tag: isStderr ? "stderr" : level, level, text };
    }
    case "error": {
      const { error, error_type, traceback } = event.data;
      const isNamed = error === error_type || error.startsWith(`${error_type}: `);
      const text = error_type && !isNamed ? `${error_type}: ${error}` : error;
      return {
        ...line,
        tag: "error",
        level: "error",
        text,
        ...(traceback && { details: traceback }),
      };
    }
    case "artifact": {
      const text = `${event.data.name} (${formatBytes(event.data.size_bytes)})`;
      return { ...line, tag: "artifact", level: "info", text };
    }
    case "checkpoint":
      return { ...line, tag: "checkpoint", level: "debug", text: event.data.label ?? "" };
    default:
      return null;
  }
}

/** Which lines are wanted. */
export interface LogFilter {
  /** The least serious level that is shown. */
  level: Level;
  text: string;
}

/** The lines that are wanted, in their order; the same array when all are. */
export function wantedLines(lines: readonly LogLine[], filter: LogFilter): readonly LogLine[] {
  const least = LEVELS.indexOf(filter.level);
  const text = filter.text.trim().toLowerCase();
  if (least === 0 && !text) return lines;
  return lines.filter(
    (line) =>
      LEVELS.indexOf(line.level) >= least &&
      (!text || line.text.toLowerCase().includes(text) || line.tag.includes(text)),
  );
}

/** The log as a text file has it. */
export function logText(lines: readonly LogLine[]): string {
  const rows = lines.map(({ timestamp, tag, status, reason, text, details }) => {
    const said = [status, reason && `(${reason})`, text].filter(Boolean).join(" ");
    return [timestamp, tag, said, details].filter(Boolean).join("\t");
  });
  return rows.map((row) => `${row}\n`).join("");
}

function joined(...parts: string[]): string {
  return parts.filter(Boolean).join(" · ");
}
