/** Reads what a task logged before somebody looked: the newest first, until there is no more. */

import { type Client, RequestRefused, ServerUnreachable, type TaskEvent } from "taskpush-client";
import { until } from "./observable.ts";
import type { TaskRecord } from "./task_record.ts";

/** So many events are asked for at once; the server gives no more. */
const PAGE = 1000;

/** Read older events as long as the record lacks some, until `signal` is aborted or it fails. */
export async function readPast(
  client: Client,
  record: TaskRecord,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (;;) {
      await until(record, () => record.hasOlder, signal);
      await readPage(client, record, signal);
    }
  } catch (error) {
    if (!signal.aborted) record.missPast(error);
  }
}

async function readPage(client: Client, record: TaskRecord, signal: AbortSignal): Promise<void> {
  const { log } = record;
  try {
    const events = await pageBefore(client, record.taskId, log.first, signal);
    // After a resync there is another log, whose past begins elsewhere.
    if (record.log === log && !signal.aborted) record.takeOlder(events);
  } catch (error) {
    // The client has tried for a while; it goes on, as the watch does, as long as somebody looks.
    if (!(error instanceof ServerUnreachable)) throw error;
  }
}

/** The events right before that seq; none when the server has no older ones. */
async function pageBefore(
  client: Client,
  taskId: string,
  seq: number,
  signal: AbortSignal,
): Promise<TaskEvent[]> {
  const start = Math.max(0, seq - 1 - PAGE);
  try {
    return await collected(client.events(taskId, { after: start, limit: seq - 1 - start, signal }));
  } catch (error) {
    if (!(error instanceof RequestRefused && error.code === "position_gone")) throw error;
    // Less than a page of them is left.
    const kept = await collected(client.events(taskId, { limit: PAGE, signal }));
    return kept.filter((event) => (event.seq ?? 0) < seq);
  }
}

async function collected(events: AsyncIterable<TaskEvent>): Promise<TaskEvent[]> {
  const all: TaskEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
