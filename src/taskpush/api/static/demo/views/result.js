// @ts-check
/** What the task returned: its top level readable, the whole as JSON. */

import { formatNumber, formatValue } from "../formats.js";
import { byId, el, part, setText, showText } from "./document.js";

/** @typedef {import("../watched-task.js").Result} Result */

export class ResultView {
  /** @type {Result | null} */
  #drawn = null;

  /** @param {Result} result */
  render(result) {
    if (result === this.#drawn) return;
    this.#drawn = result;
    const { value } = result;
    const isReadable = isRecord(value);
    const details = byId("result-details", HTMLDetailsElement);
    part("result").hidden = result.phase === "unknown";
    showText(part("result-state"), describeResult(result));
    part("result-values").replaceChildren(...(isReadable ? createPairs(value) : []));
    details.hidden = value === null || typeof value !== "object";
    details.open = !isReadable;
    setText(part("result-json"), details.hidden ? "" : shorten(JSON.stringify(value, null, 2)));
  }
}

function describeResult({ phase, value, problem }) {
  if (phase === "loading") return "Fetching the result…";
  if (phase === "failed") return `The result can't be shown: ${problem}`;
  if (phase === "unknown") return "";
  if (value === null) return "The task returned nothing.";
  return typeof value === "object" ? "" : formatValue(value);
}

function createPairs(values) {
  return Object.entries(values).flatMap(([name, value]) => [
    el("dt", {}, name),
    el("dd", {}, shorten(formatValue(value), 500)),
  ]);
}

function isRecord(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** @param {string} text */
export function shorten(text, limit = 100_000) {
  return text.length > limit ? `${text.slice(0, limit)}\n… ${formatNumber(text.length - limit)} more characters` : text;
}
