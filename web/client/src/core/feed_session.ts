/**
 * One watch of one feed, as a value: what arrives goes in, what the application sees comes out.
 *
 * No I/O, no clock. What the application has not taken yet is merged: of each task it gets the
 * newest state only, and what waits is never more than the feed has tasks. Source of the rules:
 * protocol section 2, "Feeds".
 */

import { BadAnswer, type ClientError, isPassing, RequestRefused } from "../errors.ts";
import type { Summary } from "../generated/models.ts";
import { isObject, type Json } from "../wire.ts";
import { QUEUE } from "./queue_session.ts";
import { MAX_TRIES, type Request, type Session } from "./session.ts";

/** The newest state of one task of a feed. */
export interface FeedChange {
  type: "change";
  feed: string;
  task_id: string;
  /** Null when the task was deleted. */
  task: Summary | null;
  /** Gives what follows, on another day too; null until everything had been taken once. */
  cursor: string | null;
}

/** The server cannot say what changed: forget what the feed told, its active tasks follow. */
export interface FeedReset {
  type: "reset";
  feed: string;
}

/** The list of what was there is complete; what follows is news. */
export interface FeedListed {
  type: "listed";
  feed: string;
}

/** What a watch of a feed gives out. */
export type FeedItem = FeedChange | FeedReset | FeedListed;

const FEED_EVENTS = new Set(["active_tasks", "task_created", "feed_update"]);

/** The state of one watch of a feed across any number of links; it is over only by failing. */
export class FeedSession implements Session<FeedItem> {
  readonly key: string;
  readonly paused = false;
  failure: ClientError | null = null;

  /** Newest that arrived; null until something did. */
  #cursor: string | null;
  /** Everything up to here was taken. */
  #taken: string | null;
  /** By task id, in the order in which they began to wait; null for a deleted one. */
  #tasks = new Map<string, Summary | null>();
  #resetDue = false;
  #listedDue = false;
  #linked = false;
  #number = 0;
  #asked = false;
  #answered = false;
  #refusals = 0;

  constructor(feed: string, after?: string) {
    this.key = feed;
    this.#cursor = after ?? null;
    this.#taken = after ?? null;
    if (feed === QUEUE) {
      const detail = "the queues are watched by that name, and tasks are not";
      this.fail(new RequestRefused("invalid_request", { detail }));
    }
  }

  get over(): boolean {
    return this.failure !== null;
  }

  get waiting(): boolean {
    return this.#asked && !this.#answered;
  }

  take(): FeedItem | null {
    const feed = this.key;
    if (this.#resetDue) {
      this.#resetDue = false;
      return { type: "reset", feed };
    }
    for (const [task_id, task] of this.#tasks) {
      this.#tasks.delete(task_id);
      if (this.#tasks.size === 0) this.#taken = this.#cursor;
      return { type: "change", feed, task_id, task, cursor: this.#taken };
    }
    if (!this.#listedDue) return null;
    this.#listedDue = false;
    return { type: "listed", feed };
  }

  nextRequest(): Request | null {
    if (!this.#linked || this.#asked || this.over) return null;
    this.#asked = true;
    this.#number += 1;
    const payload: Json = { feed: this.key };
    if (this.#cursor !== null) payload.after = this.#cursor;
    return { number: this.#number, payload, failures: this.#refusals };
  }

  linkUp(): void {
    this.#linked = true;
  }

  linkDown(): void {
    this.#linked = this.#asked = this.#answered = false;
  }

  answered(number: number, answer: unknown): void {
    if (!this.waiting || number !== this.#number) return;
    if (!isObject(answer)) {
      this.fail(new BadAnswer("the server answered subscribe with something else"));
    } else if (answer.ok !== true) {
      this.#refuse(answer);
    } else {
      this.#answered = true;
      this.#refusals = 0;
    }
  }

  receive(name: string, payload: Json): void {
    if (!this.#answered) return;
    if (name === "error") {
      this.#answered = false;
      this.#refuse(payload);
      return;
    }
    // Before the answer comes what an earlier subscription is still told.
    if (!FEED_EVENTS.has(name)) return;
    if (name === "active_tasks") this.#takeList(payload);
    else this.#note(payload.task);
    if (typeof payload.cursor === "string") this.#cursor = payload.cursor;
  }

  fail(error: ClientError): void {
    this.failure ??= error;
  }

  #takeList(payload: Json): void {
    if (!Array.isArray(payload.tasks)) {
      this.fail(new BadAnswer("the server sent a list of tasks that is none"));
      return;
    }
    if (payload.reset === true) {
      this.#tasks.clear();
      this.#taken = null;
      this.#resetDue = true;
    }
    for (const task of payload.tasks) this.#note(task);
    this.#listedDue ||= payload.more !== true;
  }

  #note(task: unknown): void {
    if (!isObject(task) || typeof task.task_id !== "string") {
      this.fail(new BadAnswer("the server sent a task that is none"));
      return;
    }
    // A task that waits keeps its place.
    this.#tasks.set(task.task_id, task.deleted === true ? null : (task as unknown as Summary));
  }

  #refuse(answer: Json): void {
    const code = String(answer.code);
    const detail = typeof answer.message === "string" ? answer.message : undefined;
    this.#refusals += 1;
    if (isPassing(code) && this.#refusals < MAX_TRIES) this.#asked = false;
    else this.fail(new RequestRefused(code, { detail }));
  }
}
