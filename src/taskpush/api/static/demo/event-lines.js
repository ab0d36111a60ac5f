// @ts-check
/** What the log says of a logged event. */

import { capitalise, formatBytes, formatPairs, formatTime } from "./formats.js";

/**
 * @typedef {{tag: string, level: string, text: string, details?: string}} Description
 * @typedef {Description & {time: string, href?: string}} Line
 */

/**
 * Null for event types this page doesn't know.
 * @param {import("./wire.js").Envelope} event
 * @returns {Description | null}
 */
export function describeEvent({ event_type: type, data }) {
  switch (type) {
    case "status_change":
      return { tag: "status", level: "status", text: describeStatusChange(data) };
    case "iteration_complete":
      return { tag: "iteration", level: "info", text: joinParts(data.iteration, data.metrics) };
    case "log":
      return { tag: data.level, level: data.level, text: joinParts(data.message, data.fields) };
    case "error":
      return { tag: "error", level: "error", text: describeError(data), details: data.traceback };
    case "artifact":
      return { tag: "artifact", level: "info", text: `${data.title ?? data.name} (${formatBytes(data.size_bytes)})` };
    case "checkpoint":
      return { tag: "checkpoint", level: "info", text: data.label ?? "saved" };
    default:
      return null;
  }
}

function joinParts(start, pairs) {
  return [start, formatPairs(pairs)].filter(Boolean).join(" · ");
}

function describeError(data) {
  return [`${data.error_type}: ${data.error}`, describeRetry(data)].filter(Boolean).join(" ");
}

function describeStatusChange(data) {
  const reason = data.reason ? `(${data.reason})` : "";
  return [capitalise(data.status), reason, data.message ? `– ${data.message}` : ""].filter(Boolean).join(" ");
}

/** Empty unless the task is tried again after this error. @param {Record<string, any>} error */
export function describeRetry(error) {
  if (!error.will_retry) return "";
  return `It will be tried again${error.retry_at ? ` at ${formatTime(error.retry_at)}` : ""}.`;
}
