/**
 * One watch of the queues, as a value: what arrives goes in, what stands now comes out.
 *
 * No I/O, no clock. What the application has not taken yet is merged. Source of the rules: protocol
 * section 2, "Feeds".
 */

import { BadAnswer, type ClientError, isPassing, RequestRefused } from "../errors.ts";
import type { KindQueue } from "../generated/models.ts";
import { isObject, type Json } from "../wire.ts";
import { MAX_TRIES, type Request, type Session } from "./session.ts";

/** What the queues are watched by, as feeds are by their names. */
export const QUEUE = "queue";

/** The state of one watch of the queues across any number of links; it is over only by failing. */
export class QueueSession implements Session<KindQueue[]> {
  readonly key = QUEUE;
  readonly paused = false;
  failure: ClientError | null = null;

  readonly #queues = new Map<string, KindQueue>();
  #isNews = false;
  #linked = false;
  #number = 0;
  #asked = false;
  #answered = false;
  #refusals = 0;

  get over(): boolean {
    return this.failure !== null;
  }

  get waiting(): boolean {
    return this.#asked && !this.#answered;
  }

  take(): KindQueue[] | null {
    if (!this.#isNews) return null;
    this.#isNews = false;
    return [...this.#queues.values()];
  }

  nextRequest(): Request | null {
    if (!this.#linked || this.#asked || this.over) return null;
    this.#asked = true;
    this.#number += 1;
    return { number: this.#number, payload: { feed: QUEUE }, failures: this.#refusals };
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
    } else if (name === "queue_update") {
      this.#note(payload.queues);
    }
  }

  fail(error: ClientError): void {
    this.failure ??= error;
  }

  #note(queues: unknown): void {
    if (!Array.isArray(queues)) {
      this.fail(new BadAnswer("the server sent queues that are none"));
      return;
    }
    for (const queue of queues as KindQueue[]) this.#queues.set(queue.kind, queue);
    this.#isNews = true;
  }

  #refuse(answer: Json): void {
    const code = String(answer.code);
    const detail = typeof answer.message === "string" ? answer.message : undefined;
    this.#refusals += 1;
    if (isPassing(code) && this.#refusals < MAX_TRIES) this.#asked = false;
    else this.fail(new RequestRefused(code, { detail }));
  }
}
