/** Which tasks of the list are wanted, and in which order. Pure. */

import type { Status, Summary } from "taskpush-client";

export interface Filters {
  /** Part of a title or id; as the server's `q`. */
  text: string;
  /** Empty for any, as with the others. */
  status: Status | "";
  kind: string;
  tag: string;
}

export const NO_FILTERS: Filters = { text: "", status: "", kind: "", tag: "" };

export const ORDERS = ["created", "progress", "remaining", "kind", "status"] as const;
export type Order = (typeof ORDERS)[number];

/** What an address asks for, as `/?status=failed&order=kind`; what it does not know is left out. */
export function readFilters(query: URLSearchParams): { filters: Filters; order: Order } {
  const status = query.get("status") as Status;
  const order = query.get("order") as Order;
  return {
    filters: {
      text: query.get("q") ?? "",
      status: Object.hasOwn(URGENCY, status) ? status : "",
      kind: query.get("kind") ?? "",
      tag: query.get("tag") ?? "",
    },
    order: ORDERS.includes(order) ? order : "created",
  };
}

/** The address's query for them; empty for all tasks, newest first. */
export function writeFilters({ text, ...rest }: Filters, order: Order): string {
  const said = { q: text, ...rest, order: order === "created" ? "" : order };
  return new URLSearchParams(Object.entries(said).filter(([, value]) => value)).toString();
}

/** Whether the task is wanted: the same answer that the server gives. */
export function fits(task: Summary, { text, status, kind, tag }: Filters): boolean {
  const wanted = text.trim().toLowerCase();
  return (
    (!status || task.status === status) &&
    (!kind || task.kind === kind) &&
    (!tag || task.tags.includes(tag)) &&
    (!wanted || task.task_id.includes(wanted) || !!task.title?.toLowerCase().includes(wanted))
  );
}

/** How far it is, from 0 to 100; null when nobody knows. */
export function percentOf(task: Summary): number | null {
  if (task.status === "completed") return 100;
  return task.latest.progress?.progress_percent ?? null;
}

/** How far tasks are on average, of those where it is known; null where it is of none. */
export function meanPercentOf(tasks: readonly Summary[]): number | null {
  const known = tasks.map(percentOf).filter((percent) => percent !== null);
  if (known.length === 0) return null;
  return known.reduce((sum, percent) => sum + percent, 0) / known.length;
}

/** Seconds until it is done, or until it starts while it waits; null when nobody knows. */
export function remainingOf(task: Summary): number | null {
  if (task.status === "running") return task.latest.progress?.eta_seconds ?? null;
  if (task.status === "pending") return task.latest.queue?.eta_seconds ?? null;
  return null;
}

const URGENCY: Record<Status, number> = {
  running: 0,
  pending: 1,
  interrupted: 2,
  failed: 3,
  cancelled: 4,
  completed: 5,
};

type Comparison = (a: Summary, b: Summary) => number;

/** Newest first; ids of one moment keep their order. */
const byCreation: Comparison = (a, b) =>
  byText(b.created_at, a.created_at) || byText(b.task_id, a.task_id);

/** By code units, which takes half as long as by the rules of a language. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const COMPARISONS: Record<Order, Comparison> = {
  created: byCreation,
  progress: (a, b) => (percentOf(b) ?? -1) - (percentOf(a) ?? -1),
  remaining: (a, b) => (remainingOf(a) ?? Infinity) - (remainingOf(b) ?? Infinity) || 0,
  kind: (a, b) => byText(a.kind, b.kind),
  status: (a, b) => URGENCY[a.status] - URGENCY[b.status],
};

/** The wanted tasks in the wanted order. */
export function arranged(tasks: Iterable<Summary>, filters: Filters, order: Order): Summary[] {
  const compare = COMPARISONS[order];
  return [...tasks]
    .filter((task) => fits(task, filters))
    .sort((a, b) => compare(a, b) || byCreation(a, b));
}
