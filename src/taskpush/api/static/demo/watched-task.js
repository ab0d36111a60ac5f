// @ts-check
/**
 * What the page knows of one task, and how a snapshot or an event changes it.
 *
 * Nothing here knows of sockets or of the document: envelopes go in, state stands in fields.
 */

import { addressOf } from "./addresses.js";
import { describeEvent } from "./event-lines.js";
import { formatTime } from "./formats.js";

/**
 * @typedef {import("./wire.js").Envelope} Envelope
 * @typedef {import("./wire.js").Position} Position
 * @typedef {import("./wire.js").Snapshot} Snapshot
 * @typedef {import("./event-lines.js").Line} Line
 * @typedef {{iteration: number, metrics: Record<string, number>}} Point
 * @typedef {{lines: Line[], total: number}} Log `lines` are the newest of `total`.
 * @typedef {any} Artifact The event's data; its url made absolute.
 * @typedef {{phase: "unknown" | "loading" | "ready" | "failed", value: any, problem: string}} Result
 */

export const LOG_ROWS = 2000;

export class WatchedTask {
  /** @type {"loading" | "pending" | "watching" | "refused" | "deleted"} */
  phase = "loading";
  /** Why it is refused. */
  problem = "";
  /** The last logged event seen; null before the first subscription. @type {Position | null} */
  cursor = null;
  /** Up to here a snapshot told the status; older events only add to the history. */
  knownSeq = 0;

  kind = "";
  /** @type {string | null} */
  title = null;
  /** @type {Record<string, any> | null} */
  params = null;
  /** Empty until a snapshot or an event told it. */
  status = "";
  isFinal = false;
  isResumable = false;
  message = "";
  attempt = 1;
  /** @type {string | null} */
  startedAt = null;
  /** @type {string | null} */
  finishedAt = null;
  /** @type {Record<string, any> | null} */
  error = null;
  /** @type {Result} */
  result = { phase: "unknown", value: null, problem: "" };
  isCancelAsked = false;
  cancelProblem = "";

  /** Newest data of each volatile event type. @type {Record<string, Record<string, any>>} */
  latest = {};
  /** Newest (attempt, rev) of each volatile event type. @type {Map<string, [number, number]>} */
  revisions = new Map();
  /** @type {Point[]} */
  points = [];
  /** @type {Map<string, Artifact>} */
  artifacts = new Map();
  /** @type {Log} */
  log = { lines: [], total: 0 };

  /** @param {string} taskId @param {string} base Of the server whose events these are. */
  constructor(taskId, base) {
    this.taskId = taskId;
    this.base = base;
  }

  /** What an earlier attempt left; the status change that follows tells the rest. */
  #beginAttempt(attempt) {
    this.attempt = attempt;
    this.result = { phase: "unknown", value: null, problem: "" };
    this.latest = {};
    this.isCancelAsked = false;
    this.cancelProblem = "";
  }

  get isOver() {
    return this.isFinal || this.status === "interrupted";
  }

  /** Whether the result isn't here although no further event will bring it. */
  get lacksResult() {
    return this.status === "completed" && this.result.phase === "unknown"
      && (this.cursor?.seq ?? 0) >= this.knownSeq;
  }

  /** @param {Snapshot} snapshot */
  applySnapshot(snapshot) {
    this.kind = snapshot.kind;
    this.title = snapshot.title ?? null;
    this.params = snapshot.params ?? null;
    if (snapshot.position.seq < (this.cursor?.seq ?? 0)) return;
    if (snapshot.attempt > this.attempt) this.#beginAttempt(snapshot.attempt);
    this.knownSeq = snapshot.position.seq;
    this.#takeStatus(snapshot);
    this.startedAt = snapshot.started_at ?? null;
    this.finishedAt = snapshot.finished_at ?? null;
    this.error = snapshot.error ?? null;
    for (const [name, data] of Object.entries(snapshot.latest)) if (data) this.latest[name] = data;
  }

  /** @param {Record<string, any>} source A snapshot, or the data of a status change. */
  #takeStatus(source) {
    this.status = source.status;
    this.isFinal = Boolean(source.final);
    this.isResumable = Boolean(source.resumable);
    this.message = source.message ?? "";
  }

  /**
   * Takes the next event, if it is one.
   * @param {Envelope} event
   * @returns {"applied" | "dropped" | "gap"}
   */
  applyEvent(event) {
    return typeof event.seq === "number" ? this.#applyLogged(event, event.seq) : this.#applyVolatile(event);
  }

  #applyLogged(event, seq) {
    const last = this.cursor?.seq ?? 0;
    if (seq <= last) return "dropped";
    // After position 0 comes the oldest event that is kept, which needn't be the first.
    if (last > 0 && seq > last + 1) return "gap";
    if (last === 0 && seq > 1) this.note(`The server no longer keeps the events before number ${seq}.`);
    this.cursor = { epoch: event.epoch ?? "", seq };
    if (event.attempt > this.attempt) this.#beginAttempt(event.attempt);
    this.#remember(event, seq > this.knownSeq);
    return "applied";
  }

  #applyVolatile({ event_type: type, attempt, rev = 0, data }) {
    const [lastAttempt, lastRev] = this.revisions.get(type) ?? [0, 0];
    const isOld = attempt < lastAttempt || (attempt === lastAttempt && rev < lastRev);
    if (isOld || attempt < this.attempt) return "dropped";
    this.revisions.set(type, [attempt, rev]);
    if (attempt > this.attempt) this.#beginAttempt(attempt);
    this.latest[type] = data;
    return "applied";
  }

  /** @param {boolean} isNews Whether it is newer than the last snapshot. */
  #remember(event, isNews) {
    const { event_type: type, data } = event;
    const url = type === "artifact" ? addressOf(this.base, data.url) : undefined;
    const description = describeEvent(event);
    if (description) this.#write({ ...description, time: formatTime(event.timestamp), href: url });
    if (type === "status_change") this.#changeStatus(event, isNews);
    if (type === "error" && isNews) this.error = data;
    if (type === "iteration_complete") this.#addPoint(data.iteration, data.metrics ?? {});
    if (type === "artifact") this.artifacts.set(data.name, { ...data, url });
  }

  #changeStatus({ data, attempt, timestamp }, isNews) {
    if (data.status === "completed" && attempt === this.attempt && !data.result_url) {
      this.result = { phase: "ready", value: data.result ?? null, problem: "" };
    }
    if (!isNews) return;
    this.#takeStatus(data);
    if (data.status === "pending") this.startedAt = null;
    if (data.status === "running") Object.assign(this, { startedAt: timestamp, error: null });
    this.finishedAt = this.isOver ? timestamp : null;
  }

  /** A resumed attempt repeats iterations after its checkpoint: what it says replaces them. */
  #addPoint(iteration, metrics) {
    while ((this.points.at(-1)?.iteration ?? -1) >= iteration) this.points.pop();
    this.points.push({ iteration, metrics });
  }

  /** Adds a line of the page's own to the log. @param {string} text */
  note(text) {
    this.#write({ time: formatTime(Date.now()), tag: "page", level: "note", text });
  }

  #write(line) {
    const { log } = this;
    log.total += 1;
    log.lines.push(line);
    // Cut rarely, so that a long log doesn't move its array with every line.
    if (log.lines.length >= 2 * LOG_ROWS) log.lines.splice(0, LOG_ROWS);
  }
}
