/** What is to be shown of a task, as a value: items go in, the newest state comes out. */

import type { Progress, Queue, Snapshot, Stats, Status } from "../generated/models.ts";
import type { Resync, WatchItem } from "../wire.ts";

/** A task as it is shown; null is what is not known. */
export interface TaskView {
  status: Status | null;
  /** Whether it is over for good, unless somebody retries it. */
  final: boolean;
  message: string | null;
  progress: Progress | null;
  queue: Queue | null;
  stats: Stats | null;
  /** Why the last attempt failed. */
  error: string | null;
  /** What it returned; also undefined when that is too large to travel with the event. */
  result: unknown;
}

/** Before anything is known. */
export const UNKNOWN: TaskView = {
  status: null,
  final: false,
  message: null,
  progress: null,
  queue: null,
  stats: null,
  error: null,
  result: undefined,
};

/** The view after an item. */
export function shown(view: TaskView, item: WatchItem): TaskView {
  switch (item.event_type) {
    case "resync":
      return ofSnapshot(item);
    case "status_change": {
      const { status, final = false, message = null, result } = item.data;
      const anew = status === "pending" ? UNKNOWN : view;
      const waits = status === "pending" ? anew.queue : null;
      return { ...anew, status, final, message, queue: waits, result };
    }
    case "error":
      return { ...view, error: item.data.error };
    case "progress":
      return { ...view, progress: item.data };
    case "queue":
      return { ...view, queue: item.data };
    case "stats":
      return { ...view, stats: item.data };
    default:
      return view;
  }
}

function ofSnapshot({ snapshot }: Resync): TaskView {
  return { ...UNKNOWN, ...shownSnapshot(snapshot) };
}

/** What a snapshot says of it. */
export function shownSnapshot(snapshot: Snapshot): Omit<TaskView, "result"> {
  const { status, final, message = null, error, latest } = snapshot;
  const { progress = null, queue = null, stats = null } = latest;
  return { status, final, message, progress, queue, stats, error: error?.error ?? null };
}

/** Seconds as people say them: `42 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
