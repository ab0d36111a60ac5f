/** The tasks that the page knows: the feed's, and as many older ones as were asked for. */

import type { Client, Status, Summary } from "taskpush-client";
import type { Filters } from "./filters.ts";
import { Observable } from "./observable.ts";

/** So many are asked for at once. */
const PAGE = 200;
/** More are not kept: the oldest that are over go first. */
const KEPT = 20_000;

export class TaskList extends Observable {
  readonly tasks = new Map<string, Summary>();
  /** Those that were deleted meanwhile, whether they were known or not. */
  readonly deleted = new Set<string>();
  /** Whether all that wait or run have been told. */
  listed = false;
  /** Whether older tasks are on their way. */
  loading = false;
  /** Whether there are no older ones that fit. */
  complete = false;
  /** Why older ones could not be read; null when they could. */
  problem: unknown = null;
  #older: AsyncIterator<Summary> | null = null;
  /** Looks again for what was looked for last; null before that. */
  #lookAgain: (() => void) | null = null;

  get(taskId: string): Summary | undefined {
    return this.tasks.get(taskId);
  }

  /** Follow everything that may be read; throws what ended it. */
  async follow(client: Client, signal: AbortSignal): Promise<void> {
    for await (const item of client.feed("all", { signal })) {
      if (item.type === "change") this.#take(item.task_id, item.task);
      if (item.type === "reset") this.#forget();
      if (item.type === "listed") this.#begin();
      this.changed();
    }
  }

  /** Look for other tasks: what was loaded stays, and more of what fits can be. */
  look(client: Client, filters: Filters): void {
    const { text, status, kind, tag } = filters;
    this.#lookAgain = () => this.look(client, filters);
    this.#older = client.listTasks({
      ...(text.trim() && { q: text.trim() }),
      ...(status && { status: status satisfies Status }),
      ...(kind && { kind }),
      ...(tag && { tag }),
    });
    Object.assign(this, { complete: false, loading: false, problem: null });
    void this.loadMore();
  }

  /** Read the next older tasks that fit. */
  async loadMore(): Promise<void> {
    const older = this.#older;
    if (older === null || this.loading || this.complete) return;
    this.loading = true;
    this.changed();
    try {
      for (let count = 0; count < PAGE; count += 1) {
        const next = await older.next();
        if (this.#older !== older) return;
        if (next.done) {
          this.complete = true;
          break;
        }
        this.#takeOlder(next.value);
      }
    } catch (error) {
      if (this.#older !== older) return;
      this.problem = error;
      this.complete = true;
    }
    this.loading = false;
    this.changed();
  }

  /** From now on the feed tells everything; what ended before that is in the pages. */
  #begin(): void {
    if (this.listed) return;
    this.listed = true;
    this.#lookAgain?.();
  }

  /** The feed cannot say what changed: it tells anew what is active, and pages what is over. */
  #forget(): void {
    this.tasks.clear();
    this.deleted.clear();
    this.listed = false;
  }

  #take(taskId: string, task: Summary | null): void {
    if (task === null) {
      this.tasks.delete(taskId);
      this.deleted.add(taskId);
    } else this.tasks.set(taskId, task);
    if (this.tasks.size > KEPT) this.#trim();
  }

  /** What a page says may be older than what the feed has said meanwhile. */
  #takeOlder(task: Summary): void {
    const known = this.tasks.get(task.task_id);
    if (!known || known.position.seq < task.position.seq) this.tasks.set(task.task_id, task);
  }

  #trim(): void {
    const over = [...this.tasks.values()].filter((task) => task.final);
    over.sort((a, b) => a.created_at.localeCompare(b.created_at));
    for (const task of over.slice(0, KEPT / 10)) this.tasks.delete(task.task_id);
  }
}
