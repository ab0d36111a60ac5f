/** All that the page knows of one task, and how a snapshot or an event changes it. */

import type {
  Artifact,
  ErrorReport,
  Latest,
  Preview,
  Snapshot,
  Status,
  StatusChange,
  TaskEvent,
  WatchItem,
  WirePosition,
} from "taskpush-client";
import { type LogLine, lineOf } from "./log_lines.ts";
import { Metrics } from "./metrics.ts";
import { Observable } from "./observable.ts";

/**
 * - `loading`: nothing is known yet.
 * - `unborn`: there is no such task yet; it is waited for.
 * - `known`: it is shown.
 * - `missing`: there is none, or nobody here may see it.
 * - `deleted`: it was shown, and is no more.
 */
export type Phase = "loading" | "unborn" | "known" | "missing" | "deleted";

/** One state that the task was in. */
export interface Milestone {
  attempt: number;
  status: Status;
  /** When it began. */
  timestamp: string;
  reason: string | null;
}

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
  error: ErrorReport | null = null;
  result: Result = { phase: "unknown" };
  metrics = new Metrics();
  lines: LogLine[] = [];
  artifacts = new Map<string, Artifact>();
  milestones: Milestone[] = [];
  checkpoints = 0;
  #lost = false;

  constructor(taskId: string) {
    super();
    this.taskId = taskId;
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
    this.phase = "known";
    this.changed();
  }

  /** Take what a watch gave out. */
  take(item: WatchItem): void {
    if (item.event_type === "resync") this.#startAnew(item.snapshot, item.reason, item.position);
    else this.#takeEvent(item);
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
      const line = lineOf(event);
      if (line) this.lines.push(line);
    }
    switch (event.event_type) {
      case "status_change":
        this.#changeStatus(event.data, event);
        break;
      case "iteration_complete":
        this.metrics.add(event.data.iteration, event.data.metrics);
        break;
      case "error":
        this.error = event.data;
        break;
      case "artifact":
        this.artifacts.set(event.data.name, event.data);
        break;
      case "checkpoint":
        this.checkpoints += 1;
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

  #changeStatus(data: StatusChange, { attempt, timestamp, seq }: TaskEvent): void {
    const { status } = data;
    this.milestones.push({ attempt, status, timestamp, reason: data.reason ?? null });
    if (status === "running") this.error = null;
    if (status === "completed" && !data.result_url)
      this.result = { phase: "ready", value: data.result ?? null };
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

  /** What an attempt leaves behind is not the next one's. */
  #beginAttempt(): void {
    this.latest = NOTHING;
    this.preview = null;
    this.result = { phase: "unknown" };
  }

  #startAnew(snapshot: Snapshot, reason: string, position: WirePosition): void {
    this.metrics = new Metrics();
    this.artifacts = new Map();
    this.milestones = [];
    this.#beginAttempt();
    this.#lost = false;
    this.position = position;
    this.lines = [pageLine(`resync ${position.seq}`, "resync", reason)];
    this.task = null;
    this.takeSnapshot(snapshot);
  }

  #noteReturn(timestamp: string): void {
    this.#lost = false;
    const key = `return ${this.position?.seq}`;
    this.lines.push({ ...pageLine(key, "reconnected", String(this.position?.seq)), timestamp });
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
