/** What the logged events of a task add up to: of all of them, or of those from some point on. */

import type { Artifact, ErrorReport, Status, TaskEvent } from "taskpush-client";
import { type LogLine, lineOf } from "./log_lines.ts";
import { Metrics } from "./metrics.ts";

/** One state that the task was in. */
export interface Milestone {
  attempt: number;
  status: Status;
  /** When it began. */
  timestamp: string;
  reason: string | null;
}

/** Grows at its end by what happens, and at its beginning by what is read of the past. */
export class TaskLog {
  /** Seq of the first event in it; of the next one while there is none. */
  first: number;
  lines: LogLine[] = [];
  metrics = new Metrics();
  artifacts = new Map<string, Artifact>();
  milestones: Milestone[] = [];
  checkpoints = 0;
  /** Why the newest attempt failed; null when it did not; absent when no event here tells. */
  error: ErrorReport | null | undefined;

  constructor(first = 1) {
    this.first = first;
  }

  /** Take the event that follows. */
  add(event: TaskEvent): void {
    const line = lineOf(event);
    if (line) this.lines.push(line);
    switch (event.event_type) {
      case "status_change": {
        const { status, reason = null } = event.data;
        const { attempt, timestamp } = event;
        this.milestones.push({ attempt, status, timestamp, reason });
        if (status === "running") this.error = null;
        break;
      }
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
    }
  }

  /** Take what came right before: the same then as if its events had been added first. */
  prepend(older: TaskLog): void {
    this.first = older.first;
    this.lines = [...older.lines, ...this.lines];
    this.metrics.prepend(older.metrics);
    this.artifacts = new Map([...older.artifacts, ...this.artifacts]);
    this.milestones = [...older.milestones, ...this.milestones];
    this.checkpoints += older.checkpoints;
    if (this.error === undefined) this.error = older.error;
  }
}
