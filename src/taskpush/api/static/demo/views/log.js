// @ts-check
/** The log's rows, following the newest until somebody scrolls up. */

import { formatNumber } from "../formats.js";
import { LOG_ROWS } from "../watched-task.js";
import { el, outsideLink, part, showText } from "./document.js";

/**
 * @typedef {import("../watched-task.js").Log} Log
 * @typedef {import("../watched-task.js").Line} Line
 */

/** Within this many pixels of its end, the log counts as scrolled to the end. */
const NEAR_PX = 24;

export class LogView {
  /** The log that the rows are of. @type {Log | null} */
  #log = null;
  #drawn = 0;
  #isFollowing = true;

  constructor() {
    this.box = part("log");
    this.box.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.box;
      this.#isFollowing = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    });
  }

  /** @param {Log} log */
  render(log) {
    if (log !== this.#log) this.#reset(log);
    const missing = Math.min(log.total - this.#drawn, LOG_ROWS);
    if (missing === 0) return;
    this.#drawn = log.total;
    this.box.append(...log.lines.slice(-missing).map(createRow));
    while (this.box.childElementCount > LOG_ROWS) this.box.firstElementChild?.remove();
    if (this.#isFollowing) this.box.scrollTop = this.box.scrollHeight;
    const left = log.total - this.box.childElementCount;
    showText(part("log-cut"), left > 0 ? `${formatNumber(left)} older lines are left out here.` : "");
  }

  #reset(log) {
    this.#log = log;
    this.#drawn = 0;
    this.#isFollowing = true;
    this.box.replaceChildren();
  }
}

function createRow(line) {
  const text = line.href ? outsideLink(line.href, line.text) : line.text;
  const body = el("span", { class: "row-text" }, text);
  if (line.details) body.append(el("details", {}, el("summary", {}, "Traceback"), el("pre", {}, line.details)));
  return el("div", { class: `row ${line.level}` },
    el("span", { class: "row-time" }, line.time), el("span", { class: "row-tag" }, line.tag), body);
}
