/** Hooks for React 18 and newer: a task, a list of tasks and the queue, always up to date. */

import { useEffect, useMemo, useSyncExternalStore } from "react";
import type { Client } from "./client.ts";
import type { ConnectionStatus } from "./connection.ts";
import { shown, type TaskView, UNKNOWN } from "./core/view.ts";
import type { KindQueue, Summary } from "./generated/models.ts";

export type { TaskView } from "./core/view.ts";

/** A task as it stands; `failure` says why it is watched no more, null while it is. */
export type ShownTask = TaskView & { failure: Error | null };

/** Tasks of a feed, newest first; `ready` when the list is complete. */
export interface ShownTasks {
  tasks: readonly Summary[];
  ready: boolean;
  failure: Error | null;
}

/** The queues by kind; null until they were read. */
export interface ShownQueue {
  kinds: readonly KindQueue[] | null;
  failure: Error | null;
}

const NO_TASK: ShownTask = { ...UNKNOWN, failure: null };
const NO_TASKS: ShownTasks = { tasks: [], ready: false, failure: null };
const NO_QUEUE: ShownQueue = { kinds: null, failure: null };
const QUEUE_EVERY_MS = 2000;

/** The task, live. Without an id (null) nothing is watched. */
export function useTask(client: Client, taskId: string | null): ShownTask {
  return useWatched(NO_TASK, [client, taskId], async (value, signal) => {
    if (taskId === null) return;
    for await (const item of client.watch(taskId, { signal }))
      value.change((task) => ({ ...shown(task, item), failure: null }));
  });
}

/** The tasks of a feed (`all`, `kind:NAME`, `tag:NAME`, `owner:me`), live. */
export function useTasks(client: Client, feed = "all"): ShownTasks {
  return useWatched(NO_TASKS, [client, feed], async (value, signal) => {
    const tasks = new Map<string, Summary>();
    let ready = false;
    const show = (): void =>
      value.change(() => ({ tasks: newestFirst(tasks.values()), ready, failure: null }));
    for await (const item of client.feed(feed, { signal })) {
      if (item.type === "reset") tasks.clear();
      else if (item.type === "listed") ready = true;
      else if (item.task === null) tasks.delete(item.task_id);
      else tasks.set(item.task_id, item.task);
      show();
    }
  });
}

/** Who waits for what and how long, of one kind or of all: read again when a task of it changes. */
export function useQueue(client: Client, kind?: string): ShownQueue {
  return useWatched(NO_QUEUE, [client, kind], async (value, signal) => {
    let readAt = 0;
    let due: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      readAt = Date.now();
      due = undefined;
      const kinds = await client.queue(kind);
      if (!signal.aborted) value.change(() => ({ kinds, failure: null }));
    };
    signal.addEventListener("abort", () => clearTimeout(due));
    await read();
    for await (const _ of client.feed(kind === undefined ? "all" : `kind:${kind}`, { signal })) {
      const wait = Math.max(0, readAt + QUEUE_EVERY_MS - Date.now());
      due ??= setTimeout(() => read().catch(value.fail), wait);
    }
  });
}

/** How the client's connection stands, and which door is in use. */
export function useConnection(client: Client): ConnectionStatus {
  return useSyncExternalStore(
    (changed) => client.on("connection", changed),
    () => client.connection,
    () => client.connection,
  );
}

/** A value that changes outside React, at most once per frame as React sees it. */
class Watched<Value extends { failure: Error | null }> {
  value: Value;
  readonly #listeners = new Set<() => void>();
  #due = false;

  constructor(value: Value) {
    this.value = value;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly change = (next: (value: Value) => Value): void => {
    this.value = next(this.value);
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      for (const listener of this.#listeners) listener();
    }, 16);
  };

  readonly fail = (error: unknown): void => {
    const failure = error instanceof Error ? error : new Error(String(error));
    this.change((value) => ({ ...value, failure }));
  };
}

/** Runs `watch` while the component is there and `what` stays the same; gives the newest value. */
function useWatched<Value extends { failure: Error | null }>(
  initial: Value,
  what: readonly unknown[],
  watch: (value: Watched<Value>, signal: AbortSignal) => Promise<void>,
): Value {
  const watched = useMemo(() => new Watched(initial), what);
  useEffect(() => {
    const stop = new AbortController();
    watch(watched, stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) watched.fail(error);
    });
    return () => stop.abort();
  }, [watched]);
  return useSyncExternalStore(
    watched.subscribe,
    () => watched.value,
    () => watched.value,
  );
}

function newestFirst(tasks: Iterable<Summary>): Summary[] {
  return [...tasks].sort((one, other) => other.created_at.localeCompare(one.created_at));
}
