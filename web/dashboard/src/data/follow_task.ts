/** Keeps a task's record up to date, over retries too. */

import { type Client, RequestRefused } from "taskpush-client";
import { until } from "./observable.ts";
import { readPast } from "./read_past.ts";
import type { TaskList } from "./task_list.ts";
import type { TaskRecord } from "./task_record.ts";

const TASK_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Follow the task until `signal` is aborted, or until there is nothing to follow. */
export async function followTask(
  client: Client,
  list: TaskList,
  record: TaskRecord,
  signal: AbortSignal,
): Promise<void> {
  if (!TASK_ID.test(record.taskId)) return record.setPhase("missing");
  let wasLive = client.connection.state === "live";
  const unobserve = client.on("connection", ({ state }) => {
    if (wasLive && state !== "live") record.noteLoss();
    wasLive = state === "live";
  });
  try {
    await readSnapshot(client, record, signal);
    await Promise.all([
      watchAttempts(client, list, record, signal),
      readPast(client, record, signal),
      readResults(client, record, signal),
    ]);
  } catch (error) {
    if (!signal.aborted) giveUp(record, error);
  } finally {
    unobserve();
  }
}

/** Watch the task to its end, and again whenever somebody retries it. */
async function watchAttempts(
  client: Client,
  list: TaskList,
  record: TaskRecord,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const options = { previews: true, pastInterruption: true, signal };
    const after = record.position;
    for await (const item of client.watch(record.taskId, after ? { ...options, after } : options)) {
      record.take(item);
      if (record.task === null) await readSnapshot(client, record, signal);
    }
    // It is over: nothing watches it any more, but the feed tells what becomes of it.
    const isGone = () => list.deleted.has(record.taskId);
    await until(list, () => isGone() || isRetried(list, record), signal);
    if (isGone()) return record.setPhase("deleted");
  }
}

async function readSnapshot(
  client: Client,
  record: TaskRecord,
  signal: AbortSignal,
): Promise<void> {
  try {
    const snapshot = await client.getTask(record.taskId);
    if (!signal.aborted) record.takeSnapshot(snapshot);
  } catch (error) {
    if (!isMissing(error)) throw error;
    // Whoever may create tasks may know an id before there is a task of that name.
    if (!signal.aborted) record.setPhase("unborn");
  }
}

/** Ask for what it returned whenever no event has said so. */
async function readResults(client: Client, record: TaskRecord, signal: AbortSignal): Promise<void> {
  for (;;) {
    await until(record, () => record.lacksResult, signal);
    await readResult(client, record);
  }
}

async function readResult(client: Client, record: TaskRecord): Promise<void> {
  const attempt = record.task?.attempt;
  record.setResult({ phase: "loading" });
  try {
    const value = await client.result(record.taskId);
    if (record.task?.attempt === attempt) record.setResult({ phase: "ready", value });
  } catch (error) {
    if (record.task?.attempt === attempt) record.setResult({ phase: "failed", error });
  }
}

/** Whether the feed tells of an attempt that was not watched. */
function isRetried(list: TaskList, { taskId, task }: TaskRecord): boolean {
  const told = list.get(taskId);
  return !!told && !!task && told.attempt > task.attempt;
}

function giveUp(record: TaskRecord, error: unknown): void {
  if (!isMissing(error)) record.setPhase(record.phase, error);
  else record.setPhase(record.phase === "known" ? "deleted" : "missing");
}

function isMissing(error: unknown): boolean {
  return error instanceof RequestRefused && error.code === "not_found";
}
