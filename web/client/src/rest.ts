/** Calls below `/api`: retried where they are safe, with errors that say what is wrong. */

import { fullJitterMs } from "./core/backoff.ts";
import { BadAnswer, RequestRefused, ServerUnreachable } from "./errors.ts";
import { body, type Call, type Http, refusal } from "./http.ts";
import { pause } from "./timing.ts";
import { isObject, type Json } from "./wire.ts";

const REQUEST_WITHIN_MS = 30_000;
/** All tries of a call together. */
const RETRY_FOR_MS = 10_000;
/** The server, or a proxy that finds none, takes no (more) requests: nothing took effect. */
const NOTHING_DONE = new Set([429, 503]);
const FOR_THE_MOMENT = new Set([...NOTHING_DONE, 502, 504]);

/** What came of a call. */
export interface Outcome {
  value: unknown;
  /** Whether an earlier try of the same call may have taken effect. */
  repeated: boolean;
}

/** A refusal, with whether an earlier try of the same call may have taken effect. */
export class Refused extends Error {
  readonly refusal: RequestRefused;
  readonly repeated: boolean;

  constructor(refusal: RequestRefused, repeated: boolean) {
    super(refusal.message);
    this.refusal = refusal;
    this.repeated = repeated;
  }
}

/** Makes calls to one server. */
export class Rest {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * The JSON that is answered.
   *
   * The call is tried again for 10 s when it certainly did not take effect, or when it is
   * `repeatable`. Throws `RequestRefused`, `ServerUnreachable` when nothing answers, `BadAnswer`
   * when what answers is no taskpush server.
   */
  async call(path: string, call: Call = {}, repeatable = true): Promise<unknown> {
    try {
      return (await this.attempt(path, call, repeatable)).value;
    } catch (error) {
      throw error instanceof Refused ? error.refusal : error;
    }
  }

  /** As `call`, but throws `Refused`, which tells whether an earlier try may have taken effect. */
  async attempt(path: string, call: Call, repeatable = true): Promise<Outcome> {
    const deadline = Date.now() + RETRY_FOR_MS;
    let repeated = false;
    for (let failures = 1; ; failures += 1) {
      try {
        return { value: await this.#once(path, call), repeated };
      } catch (error) {
        const told = error instanceof RequestRefused ? (error.retryAfterS ?? 0) * 1000 : 0;
        const wait = told + fullJitterMs(failures, Math.random);
        const late = Date.now() + wait > deadline;
        if (late || call.signal?.aborted || !worthRepeating(error, repeatable))
          throw error instanceof RequestRefused ? new Refused(error, repeated) : error;
        repeated ||= maybeDone(error);
        await pause(wait, call.signal);
      }
    }
  }

  /** The items of all pages. */
  async *items(
    path: string,
    query: Call["query"],
    signal?: AbortSignal,
  ): AsyncGenerator<Json, void, undefined> {
    let page = await this.call(path, { query: query ?? {}, signal });
    for (;;) {
      if (!isObject(page) || !Array.isArray(page.items))
        throw new BadAnswer(`the server sent a page of ${path} that is none`);
      yield* page.items as Json[];
      if (typeof page.next !== "string") return;
      page = await this.call(page.next.replace(/^\/api/, ""), { signal });
    }
  }

  async #once(path: string, call: Call): Promise<unknown> {
    const limit = AbortSignal.timeout(REQUEST_WITHIN_MS);
    const signal = call.signal ? AbortSignal.any([call.signal, limit]) : limit;
    const response = await this.#http.send(path, { ...call, signal });
    if (!response.ok) throw await refusal(response);
    return body(response);
  }
}

function worthRepeating(error: unknown, repeatable: boolean): boolean {
  if (error instanceof ServerUnreachable) return repeatable;
  if (!(error instanceof RequestRefused)) return false;
  // That its queue is full the caller is to know at once.
  if (error.code === "queue_full" || !FOR_THE_MOMENT.has(error.status ?? 0)) return false;
  return repeatable || !maybeDone(error);
}

function maybeDone(error: unknown): boolean {
  return !(error instanceof RequestRefused) || !NOTHING_DONE.has(error.status ?? 0);
}
