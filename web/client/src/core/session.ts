/**
 * One watch of one task, as a value: what arrives goes in, what the application sees comes out.
 *
 * No I/O, no clock. The owner tells of the link, of answers and of events, sends what
 * `nextRequest` asks for, and hands out what `take` gives. The items are the log from the position
 * on, without a gap, a duplicate or a change of order, or they say `resync`. The same rules as in
 * the Python client's session; source: protocol sections 1 and 2.
 */

import { BadAnswer, type ClientError, isPassing, RequestRefused } from "../errors.ts";
import type { WirePosition } from "../generated/models.ts";
import {
  isObject,
  type Json,
  readEvent,
  readPosition,
  readResync,
  type TaskEvent,
  type WatchItem,
} from "../wire.ts";

/** Items held for an application that does not take them. */
export const CAPACITY = 1024;
/** Refusals for the moment, or gaps at the same place, in a row, before the watch fails. */
export const MAX_TRIES = 8;

/** Send `subscribe` with `payload`, and pass the answer on together with `number`. */
export interface Request {
  number: number;
  payload: Json;
  /** How many in a row came to nothing: to be sent after a wait that grows with it. */
  failures: number;
}

/** What is watched, as a value that knows neither the link nor the clock. */
export interface Session<Item> {
  /** What its events are found by on a connection: a task's id, or a feed's name. */
  readonly key: string;
  /** Whether nothing more will arrive; items may still wait to be taken. */
  readonly over: boolean;
  /** Why it ended before its task did; null when it did not. */
  readonly failure: ClientError | null;
  /** Whether it wants nothing for the moment, since the application takes nothing. */
  readonly paused: boolean;
  /** Whether it was asked for, and the answer, or what the answer announced, is missing. */
  readonly waiting: boolean;
  take(): Item | null;
  nextRequest(): Request | null;
  linkUp(): void;
  linkDown(): void;
  answered(number: number, answer: unknown): void;
  receive(name: string, payload: Json): void;
  fail(error: ClientError): void;
}

/**
 * - `offline`: there is no link.
 * - `idle`: there is a link, and a subscription has to be asked for.
 * - `asked`: it was; what still arrives belongs to an earlier subscription.
 * - `cut`: the answer said `resync`, which has not come yet.
 */
type Phase = "offline" | "idle" | "asked" | "cut" | "live" | "over";

/** Where a watch starts, and what it is to give. */
export interface WatchOptions {
  /** Absent means the retained log from its start. */
  after?: WirePosition | "now" | undefined;
  /** Whether it goes on after `interrupted`, when nothing executes the task until it is resumed. */
  pastInterruption?: boolean | undefined;
  previews?: boolean | undefined;
  capacity?: number | undefined;
}

/** The state of one watch across any number of links. */
export class WatchSession implements Session<WatchItem> {
  readonly key: string;
  failure: ClientError | null = null;
  /** Newest status that was seen; null until one was. */
  status: string | null = null;
  /** Last logged event that was let through; null until it is known where the watch starts. */
  position: WirePosition | null;

  readonly #fromNow: boolean;
  readonly #pastInterruption: boolean;
  readonly #previews: boolean;
  readonly #capacity: number;
  #phase: Phase = "offline";
  #items: WatchItem[] = [];
  #number = 0;
  /** Seq of the log's head as the server last told: earlier ends were followed by a retry. */
  #head = 0;
  #newest = new Map<string, readonly [attempt: number, rev: number]>();
  #gaps = 0;
  #refusals = 0;

  constructor(taskId: string, options: WatchOptions = {}) {
    this.key = taskId;
    this.#fromNow = options.after === "now";
    this.position = options.after === "now" ? null : (options.after ?? null);
    this.#pastInterruption = options.pastInterruption ?? false;
    this.#previews = options.previews ?? false;
    this.#capacity = options.capacity ?? CAPACITY;
  }

  get over(): boolean {
    return this.#phase === "over";
  }

  get paused(): boolean {
    return this.#phase === "idle" && this.#items.length > this.#capacity / 2;
  }

  get waiting(): boolean {
    return this.#phase === "asked" || this.#phase === "cut";
  }

  take(): WatchItem | null {
    return this.#items.shift() ?? null;
  }

  nextRequest(): Request | null {
    if (this.#phase !== "idle" || this.paused) return null;
    this.#phase = "asked";
    this.#number += 1;
    const failures = Math.max(this.#gaps - 1, this.#refusals);
    return { number: this.#number, payload: this.#subscription(), failures };
  }

  linkUp(): void {
    if (this.#phase === "offline") this.#phase = "idle";
  }

  linkDown(): void {
    if (this.#phase !== "over") this.#phase = "offline";
  }

  answered(number: number, answer: unknown): void {
    if (this.#phase !== "asked" || number !== this.#number) return;
    if (!isObject(answer)) {
      this.fail(new BadAnswer("the server answered subscribe with something else"));
    } else if (answer.ok !== true) {
      this.#refuse(answer);
    } else {
      this.#guarded(() => this.#accept(answer));
    }
  }

  receive(name: string, payload: Json): void {
    const live = this.#phase === "live";
    if (name === "task_update" && live) this.#guarded(() => this.#letThrough(payload));
    else if (name === "resync" && (live || this.#phase === "cut"))
      this.#guarded(() => this.#startAnew(payload));
    else if (name === "task_deleted")
      this.fail(new RequestRefused("not_found", { detail: "The task was deleted" }));
    // While an answer is awaited it repeats what an earlier answer said.
    else if (name === "error" && live) this.#refuse(payload);
  }

  fail(error: ClientError): void {
    if (this.#phase === "over") return;
    this.failure = error;
    this.#phase = "over";
  }

  #subscription(): Json {
    const payload: Json = { task_id: this.key };
    if (this.#previews) payload.previews = true;
    if (this.position === null) return this.#fromNow ? { ...payload, after: "now" } : payload;
    // Without an epoch no event was let through yet, and where the log begins may have changed.
    return this.position.epoch ? { ...payload, after: this.position } : payload;
  }

  #guarded(takeIn: () => void): void {
    try {
      takeIn();
    } catch (error) {
      if (!(error instanceof BadAnswer)) throw error;
      this.fail(error);
    }
  }

  #accept(answer: Json): void {
    this.#refusals = 0;
    if (answer.mode === "resync") {
      this.#phase = "cut";
      return;
    }
    this.#phase = "live";
    if (!this.position?.epoch) {
      // A door that cannot tell where the log begins answers null: the first event tells.
      this.position = isObject(answer.position) ? readPosition(answer.position) : null;
    }
    this.#noteSnapshot(answer.snapshot);
  }

  #letThrough(envelope: Json): void {
    const event = readEvent(envelope);
    if (event.seq === null) this.#takeVolatile(event);
    else this.#takeLogged(event, { epoch: event.epoch, seq: event.seq });
  }

  #takeVolatile(event: Extract<TaskEvent, { seq: null }>): void {
    if (event.event_type === "preview" && !this.#previews) return;
    const [attempt, rev] = this.#newest.get(event.event_type) ?? [0, 0];
    const newer = event.attempt > attempt || (event.attempt === attempt && event.rev > rev);
    if (newer && this.#keep(event)) this.#newest.set(event.event_type, [event.attempt, event.rev]);
  }

  #takeLogged(event: TaskEvent, at: WirePosition): void {
    const last = this.position?.seq ?? at.seq - 1;
    if (at.seq <= last) return;
    if (at.seq > last + 1) {
      this.#reportGap(last, at.seq);
    } else if (this.#keep(event)) {
      this.#gaps = 0;
      this.position = at;
      if (event.event_type === "status_change")
        this.#noteStatus(event.data.status, event.data.final === true, at.seq);
    }
  }

  /** Ask again from the last position; a log that has a hole there fails the watch. */
  #reportGap(last: number, seq: number): void {
    this.#gaps += 1;
    this.#phase = "idle";
    if (this.#gaps >= MAX_TRIES)
      this.fail(new BadAnswer(`after event ${last} the server sends ${seq}, again and again`));
  }

  #startAnew(payload: Json): void {
    const item = readResync(payload);
    if (!this.#keep(item)) return;
    this.#phase = "live";
    this.#gaps = 0;
    this.position = item.position;
    // A log that was restored from an older copy may go on with lower attempts.
    this.#newest.clear();
    this.#noteSnapshot(item.snapshot);
  }

  /** Hold the item, or pause: what is not held comes again after the last position. */
  #keep(item: WatchItem): boolean {
    if (this.#items.length < this.#capacity) {
      this.#items.push(item);
      return true;
    }
    this.#phase = "idle";
    return false;
  }

  #noteSnapshot(snapshot: unknown): void {
    if (!isObject(snapshot)) return;
    const head = readPosition(snapshot.position);
    this.#head = head.seq;
    // The very position: of the same seq there may be another event, in a log that was restored.
    if (this.position && this.position.seq === head.seq && this.position.epoch === head.epoch)
      this.#noteStatus(snapshot.status, snapshot.final === true, head.seq);
  }

  #noteStatus(status: unknown, final: boolean, at: number): void {
    this.status = typeof status === "string" ? status : null;
    const stops = final || (status === "interrupted" && !this.#pastInterruption);
    if (stops && at >= this.#head) this.#phase = "over";
  }

  #refuse(answer: Json): void {
    const code = String(answer.code);
    const detail = typeof answer.message === "string" ? answer.message : undefined;
    this.#refusals += 1;
    if (isPassing(code) && this.#refusals < MAX_TRIES) this.#phase = "idle";
    else this.fail(new RequestRefused(code, { detail }));
  }
}
