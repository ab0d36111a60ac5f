/** The answers of `GET /api/connections`, `/api/server` and `/api/me`, and what is shown of them. */

export interface Watched {
  state: "live" | "behind" | "pending" | "waiting";
  task_id: string | null;
  feed: string | null;
  lag_events: number | null;
  previews: boolean;
}

export interface WatchingConnection {
  connection_id: string;
  owner: string;
  credential: string;
  address: string | null;
  door: "socketio" | "sse" | "long_poll";
  transport: "websocket" | "polling" | "stream";
  since: string;
  watches: Watched[];
  /** How many there are; `watches` has the first of them. */
  subscriptions: number;
  backlog_bytes: number;
  /** Null while nothing waits for it. */
  stalled_seconds: number | null;
}

export interface ServerFigures {
  started_at: string;
  uptime_seconds: number;
  connections: { doors: Record<WatchingConnection["door"], number>; inside: number; limit: number };
  outboxes: { waiting_bytes: number; waiting_connections: number; limit_bytes: number };
  kinds: { running: number; waiting: number }[];
  delayed: number;
  /** Since the start, by type. */
  events: Record<string, number>;
  pushes: number;
  loop: { worst_lag_seconds: number };
  rss_bytes: number;
  /** Null while it cannot be counted. */
  store: { bytes: number } | null;
}

/** Who looks at the page, as the server sees them. */
export interface Me {
  sees_connections: boolean;
  sees_server: boolean;
}

/** Two readings closer to one another say little of a rate. */
const APART_S = 1;

/** The reading that the newest one is compared with: the last one, unless it is too near. */
export function comparedWith(
  last: { figures: ServerFigures | null; before: ServerFigures | null } | null,
  now: ServerFigures | null,
): ServerFigures | null {
  if (!last?.figures || !now) return null;
  const apart = now.uptime_seconds - last.figures.uptime_seconds;
  return apart >= 0 && apart < APART_S ? last.before : last.figures;
}

/** What happened per second between two readings; null unless both are of one run of the server. */
export function ratesBetween(
  before: ServerFigures | null,
  now: ServerFigures,
): { events: number; pushes: number } | null {
  if (before === null || before.started_at !== now.started_at) return null;
  const seconds = now.uptime_seconds - before.uptime_seconds;
  if (seconds <= 0) return null;
  return {
    events: (eventsOf(now) - eventsOf(before)) / seconds,
    pushes: (now.pushes - before.pushes) / seconds,
  };
}

function eventsOf(figures: ServerFigures): number {
  return Object.values(figures.events).reduce((sum, count) => sum + count, 0);
}

/** The tasks that run and wait, of all kinds together. */
export function tasksOf(figures: ServerFigures): { running: number; waiting: number } {
  return {
    running: figures.kinds.reduce((sum, kind) => sum + kind.running, 0),
    waiting: figures.kinds.reduce((sum, kind) => sum + kind.waiting, figures.delayed),
  };
}
