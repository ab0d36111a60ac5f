/** All that the page knows of one task, and how a snapshot or an event changes it. */

import type {
  Artifact,
  ErrorReport,
  Latest,
  Preview,
  Snapshot,
  StatusChange,
  TaskEvent,
  WatchItem,
  WirePosition,
} from "taskpush-client";
import type { LogLine } from "./log_lines.ts";
import type { Metrics } from "./metrics.ts";
import { Observable } from "./observable.ts";
import { type Milestone, TaskLog } from "./task_log.ts";

/**
 * - `loading`: nothing is known yet.
 * - `unborn`: there is no such task yet; it is waited for.
 * - `known`: it is shown.
 * - `missing`: there is none, or nobody here may see it.
 * - `deleted`: it was shown, and is no more.
 */
export type Phase = "loading" | "unborn" | "known" | "missing" | "deleted";

/** What the task returned. */
export type Result =
  | { phase: "unknown" | "loading" }
  | { phase: "ready"; value: unknown }
  | { phase: "failed"; error: unknown };

const NOTHING: Latest = { progress: null, queue: null, stats: null };

export class TaskRecord extends Observable {
  readonly taskId: string;
  phase: Phase = "loading";
  /** Why it is watched no more although it is not over; null while it is watched. */
  failure: unknown = null;
  /** The newest snapshot, with what status changes said since; null until there is one. */
  task: Snapshot | null = null;
  /** The last logged event that is known; null before the first. */
  position: WirePosition | null = null;
  latest: Latest = NOTHING;
  preview: Preview | null = null;
  result: Result = { phase: "unknown" };
  /** What was watched, and what of the past was read so far; another one after a resync. */
  log = new TaskLog();
  /** Why older events are not read any more; null while they are. */
  pastFailure: unknown = null;
  #lost = false;

  constructor(taskId: string) {
    super();
    this.taskId = taskId;
  }

  get lines(): readonly LogLine[] {
    return this.log.lines;
  }

  get metrics(): Metrics {
    return this.log.metrics;
  }

  get artifacts(): ReadonlyMap<string, Artifact> {
    return this.log.artifacts;
  }

  get milestones(): readonly Milestone[] {
    return this.log.milestones;
  }

  get checkpoints(): number {
    return this.log.checkpoints;
  }

  /** Why the newest attempt failed; null when it did not. */
  get error(): ErrorReport | null {
    return this.log.error ?? null;
  }

  /** Whether older events are still to be read. */
  get hasOlder(): boolean {
    return this.log.first > 1;
  }

  /** Whether nothing more comes unless somebody retries the task. */
  get over(): boolean {
    return !!this.task && (this.task.final || this.task.status === "interrupted");
  }

  /** Whether it completed, and no event brought what it returned. */
  get lacksResult(): boolean {
    return (
      this.task?.status === "completed" &&
      this.result.phase === "unknown" &&
      this.log.first <= this.task.position.seq &&
      (this.position?.seq ?? 0) >= this.task.position.seq
    );
  }

  setPhase(phase: Phase, failure: unknown = null): void {
    this.phase = phase;
    this.failure = failure;
    this.changed();
  }

  setResult(result: Result): void {
    this.result = result;
    this.changed();
  }

  /** The connection was lost: what follows the next event came after that. */
  noteLoss(): void {
    this.#lost = this.position !== null;
  }

  takeSnapshot(snapshot: Snapshot): void {
    const newer = snapshot.position.seq >= (this.position?.seq ?? 0);
    if (this.task && snapshot.attempt > this.task.attempt) this.#beginAttempt();
    // What a status change said since is newer than what the snapshot says of it.
    this.task = newer || !this.task ? snapshot : { ...snapshot, ...this.task };
    if (newer) this.latest = merged(this.latest, snapshot.latest);
    // What is watched goes on from there, and what led there is read beside it.
    if (this.position === null) this.#beginLog(snapshot.position);
    this.phase = "known";
    this.changed();
  }

  /** Take what a watch gave out. */
  take(item: WatchItem): void {
    if (item.event_type === "resync") this.#startAnew(item.snapshot, item.reason, item.position);
    else this.#takeEvent(item);
    this.changed();
  }

  /** Take events that come right before those that are known; none when there are no older ones. */
  takeOlder(events: readonly TaskEvent[]): void {
    const older = new TaskLog(events[0]?.seq ?? 1);
    for (const event of events) older.add(event);
    this.log.prepend(older);
    const end = events.at(-1);
    if (end?.event_type === "status_change" && end.seq === this.task?.position.seq)
      this.#takeResult(end.data);
    this.changed();
  }

  /** Older events could not be read. */
  missPast(failure: unknown): void {
    this.pastFailure = failure;
    this.changed();
  }

  #takeEvent(event: TaskEvent): void {
    if (this.task && event.attempt > this.task.attempt) {
      this.#beginAttempt();
      this.task = { ...this.task, attempt: event.attempt };
    }
    if (event.seq !== null) {
      if (this.#lost) this.#noteReturn(event.timestamp);
      this.position = { epoch: event.epoch, seq: event.seq };
      this.log.add(event);
    }
    switch (event.event_type) {
      case "status_change":
        this.#changeStatus(event.data, event);
        break;
      case "preview":
        this.preview = event.data;
        break;
      case "progress":
        this.latest = { ...this.latest, progress: event.data };
        break;
      case "queue":
        this.latest = { ...this.latest, queue: event.data };
        break;
      case "stats":
        this.latest = { ...this.latest, stats: event.data };
        break;
    }
  }

  #changeStatus(data: StatusChange, { timestamp, seq }: TaskEvent): void {
    const { status } = data;
    this.#takeResult(data);
    // The log's past says nothing new of a task whose snapshot is known.
    if (!this.task || (seq ?? 0) <= this.task.position.seq) return;
    const over = data.final || status === "interrupted";
    this.task = {
      ...this.task,
      status,
      final: data.final ?? false,
      resumable: data.resumable ?? false,
      message: data.message ?? null,
      reason: data.reason ?? null,
      ...(status === "pending" && { started_at: null }),
      ...(status === "running" && { started_at: timestamp }),
      finished_at: over ? timestamp : null,
    };
  }

  #takeResult({ status, result, result_url }: StatusChange): void {
    if (status === "completed" && !result_url)
      this.result = { phase: "ready", value: result ?? null };
  }

  #beginLog(position: WirePosition): void {
    this.position = position;
    this.log = new TaskLog(position.seq + 1);
  }

  /** What an attempt leaves behind is not the next one's. */
  #beginAttempt(): void {
    this.latest = NOTHING;
    this.preview = null;
    this.result = { phase: "unknown" };
  }

  #startAnew(snapshot: Snapshot, reason: string, position: WirePosition): void {
    this.#beginAttempt();
    this.#lost = false;
    this.#beginLog(position);
    this.log.lines.push(pageLine(`resync ${position.seq}`, "resync", reason));
    this.task = null;
    this.takeSnapshot(snapshot);
  }

  #noteReturn(timestamp: string): void {
    this.#lost = false;
    const key = `return ${this.position?.seq}`;
    this.log.lines.push({ ...pageLine(key, "reconnected", String(this.position?.seq)), timestamp });
  }
}

/** A line of the page's own: `text` is a code, and what belongs to it. */
function pageLine(key: string, code: string, about: string): LogLine {
  const timestamp = new Date().toISOString();
  return { key, timestamp, tag: "page", level: "warning", text: `${code} ${about}` };
}

/** What the newer one says, and of what it does not say, the older one. */
function merged(older: Latest, newer: Latest): Latest {
  return {
    progress: newer.progress ?? older.progress,
    queue: newer.queue ?? older.queue,
    stats: newer.stats ?? older.stats,
  };
}
