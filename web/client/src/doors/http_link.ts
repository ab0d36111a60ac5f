/** What the doors of plain HTTP have in common: each subscription is a reader of its own. */

import { BadAnswer, isPassing, RequestRefused, ServerUnreachable } from "../errors.ts";
import type { Http } from "../http.ts";
import { isObject, type Json } from "../wire.ts";
import {
  type Door,
  type DoorName,
  type Link,
  LinkFailed,
  type LinkListener,
  type Loss,
  type Trial,
} from "./door.ts";

const OPEN_WITHIN_MS = 5000;
/**
 * Readers that may keep a request open at once: browsers have six connections to a server over
 * HTTP/1.1, and calls need some. Readers beyond poll.
 */
export const MAX_OPEN = 4;

/** One subscription, as its reader sees it. */
export interface Reading {
  readonly http: Http;
  readonly key: string;
  readonly payload: Json;
  /** Whether it may keep requests open. */
  readonly mayWait: boolean;
  readonly signal: AbortSignal;
  answer(answer: Json): void;
  event(name: string, payload: Json): void;
  proven(): void;
}

/** Reads until it is aborted; what it throws, or its end, is the link's end. */
export type Reader = (reading: Reading) => Promise<void>;

/** A door whose subscriptions are read one by one. */
export class HttpDoor implements Door {
  readonly name: DoorName;
  readonly #http: Http;
  readonly #reader: Reader;

  constructor(name: DoorName, http: Http, reader: Reader) {
    this.name = name;
    this.#http = http;
    this.#reader = reader;
  }

  async open(listener: LinkListener, trial?: Trial): Promise<Link> {
    try {
      const signal = AbortSignal.timeout(OPEN_WITHIN_MS);
      const limits = await this.#http.json("/limits", { signal });
      if (!isObject(limits)) throw new BadAnswer("this is no taskpush server");
    } catch (error) {
      throw new LinkFailed(lossOf(error));
    }
    if (trial) await this.#try(trial);
    return new HttpLink(this.#http, this.#reader, listener);
  }

  #try({ key, payload }: Trial): Promise<void> {
    return new Promise((resolve, reject) => {
      const link: Link = new HttpLink(this.#http, this.#reader, {
        event: () => {},
        proven: () => {
          link.close();
          resolve();
        },
        lost: (loss) => reject(new LinkFailed(loss)),
      });
      link.subscribe(key, payload, (answer) => {
        if (!isObject(answer) || answer.ok === true) return;
        link.close();
        // The server's own word came through.
        resolve();
      });
    });
  }
}

class HttpLink implements Link {
  readonly #http: Http;
  readonly #reader: Reader;
  readonly #listener: LinkListener;
  readonly #open = new Map<string, AbortController>();
  #gone = false;

  constructor(http: Http, reader: Reader, listener: LinkListener) {
    this.#http = http;
    this.#reader = reader;
    this.#listener = listener;
  }

  subscribe(key: string, payload: Json, onAnswer: (answer: unknown) => void): void {
    this.unsubscribe(key);
    const controller = new AbortController();
    const { signal } = controller;
    const mayWait = this.#open.size < MAX_OPEN;
    this.#open.set(key, controller);
    let answered = false;
    const reading: Reading = {
      http: this.#http,
      key,
      payload,
      mayWait,
      signal,
      answer: (answer) => {
        answered = true;
        if (!signal.aborted) onAnswer(answer);
      },
      event: (name, event) => {
        if (!signal.aborted) this.#listener.event(key, name, event);
      },
      proven: () => {
        if (!signal.aborted) this.#listener.proven();
      },
    };
    this.#reader(reading).then(
      () => this.#ended(signal, { why: "cut", message: "the answer ended" }),
      (error: unknown) => {
        const refused = refusalIn(error);
        if (refused === null) this.#ended(signal, lossOf(error));
        else if (answered) reading.event("error", refused);
        else reading.answer({ ok: false, ...refused });
      },
    );
  }

  unsubscribe(key: string): void {
    this.#open.get(key)?.abort();
    this.#open.delete(key);
  }

  check(): void {
    // A request that is open may hang on a connection that is gone: it is asked for anew.
    if (this.#open.size > 0) this.#lose({ why: "cut", message: "asked for anew" });
  }

  close(): void {
    this.#gone = true;
    for (const controller of this.#open.values()) controller.abort();
    this.#open.clear();
  }

  #ended(signal: AbortSignal, loss: Loss): void {
    if (!signal.aborted) this.#lose(loss);
  }

  #lose(loss: Loss): void {
    if (this.#gone) return;
    this.close();
    this.#listener.lost(loss);
  }
}

/** The server's own word about one subscription, as Socket.IO would say it; null for others. */
function refusalIn(error: unknown): Json | null {
  if (!(error instanceof RequestRefused) || error.code.startsWith("http_")) return null;
  const { code, detail: message, retryAfterS: retry_after_s } = error;
  return { code, message, retry_after_s };
}

/** What an error of a request says about the way to the server. */
export function lossOf(error: unknown): Loss {
  if (error instanceof LinkFailed) return error.loss;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ServerUnreachable) return { why: "away", message };
  if (error instanceof BadAnswer) return { why: "blocked", message };
  if (error instanceof RequestRefused) {
    const { code, status = 0, retryAfterS } = error;
    if (isPassing(code) || [429, 502, 503, 504].includes(status))
      return { why: "away", message, retryAfterS };
    if (code.startsWith("http_")) return { why: "blocked", message };
    return { why: "dismissed", message, refusal: error };
  }
  return { why: "cut", message };
}
