/** The way to the server through another tab of the same browser. */

import { type Door, type Link, LinkFailed, type LinkListener, type Loss } from "../doors/door.ts";
import { RequestRefused, ServerUnreachable } from "../errors.ts";
import type { Json } from "../wire.ts";
import type { TabGroup } from "./group.ts";
import {
  type Call,
  guestName,
  type Said,
  type ToGuest,
  type ToHost,
  weightOf,
} from "./messages.ts";

/** A host that does not answer for so long is frozen, or hangs. */
const ANSWER_WITHIN_MS = 2000;
/** When nothing was heard from the host for so long it is asked whether it is there. */
const SILENCE_MS = 5000;
/** A timer that comes so late was asleep itself, and says nothing about others. */
const SLEPT_MS = 1000;
/** What was taken is told at the latest when it is so much, or after so long. */
const TELL_AT = 32;
const TELL_AFTER_MS = 50;

/** Opens links through the group's host; while it is open, this tab is known as a guest. */
export class TabDoor implements Door {
  readonly name = "tab";
  readonly #group: TabGroup;
  readonly #silent: () => void;
  readonly #id = crypto.randomUUID();
  readonly #calls: BroadcastChannel;
  readonly #own: BroadcastChannel;
  readonly #closing = new AbortController();
  readonly #known: Promise<void>;
  #number = 0;
  #link: TabLink | null = null;
  #entering: { by: LinkListener; done: (link: TabLink) => void } | null = null;

  /** `silent` is called when the host does not answer. */
  constructor(group: TabGroup, silent: () => void) {
    this.#group = group;
    this.#silent = silent;
    this.#calls = group.browser.channel(group.name);
    this.#own = group.browser.channel(guestName(group.name, this.#id));
    this.#calls.onmessage = ({ data }: MessageEvent<Call>) => this.#called(data);
    this.#own.onmessage = ({ data }: MessageEvent<ToGuest>) => this.#told(data);
    this.#known = this.#holdLock();
  }

  async open(by: LinkListener): Promise<Link> {
    await this.#known;
    const { signal } = this.#closing;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        stop();
        signal.removeEventListener("abort", fail);
        this.#entering = null;
      };
      const fail = (): void => {
        end();
        reject(new LinkFailed({ why: "away", message: "no tab answers" }));
      };
      const stop = punctual(
        ANSWER_WITHIN_MS,
        () => this.#hello(),
        () => {
          fail();
          this.#silent();
        },
      );
      signal.addEventListener("abort", fail);
      const done = (link: TabLink): void => {
        end();
        resolve(link);
      };
      this.#entering = { by, done };
      this.#number += 1;
      if (signal.aborted) fail();
      else this.#hello();
    });
  }

  /** Be a guest no more. */
  close(): void {
    this.#link?.close();
    this.#closing.abort();
    this.#calls.close();
    this.#own.close();
  }

  #hello(): void {
    this.#calls.postMessage({ type: "hello", guest: this.#id, link: this.#number } satisfies Call);
  }

  #called(call: Call): void {
    if (call.type !== "lead") return;
    if (this.#entering) this.#hello();
    else if (call.host !== this.#link?.host) this.#link?.lose("another tab has the connection");
  }

  #told(told: ToGuest): void {
    if (told.link !== this.#number) return;
    if (told.type === "welcome" && this.#entering) {
      const { by, done } = this.#entering;
      const post = (said: Said<ToHost>): void => {
        if (this.#closing.signal.aborted) return;
        this.#own.postMessage({ ...said, host: told.host, link: told.link });
      };
      this.#link = new TabLink(told.host, post, by, this.#silent);
      done(this.#link);
    } else if (told.host === this.#link?.host) {
      this.#link.hear(told);
    }
  }

  /** While it is held, the host knows that this tab lives. */
  #holdLock(): Promise<void> {
    return new Promise((known) => {
      const held = (): Promise<void> =>
        new Promise((release) => {
          known();
          this.#closing.signal.addEventListener("abort", () => release());
        });
      const { signal } = this.#closing;
      this.#group.browser.locks
        .request(guestName(this.#group.name, this.#id), { signal }, held)
        .catch(() => known());
    });
  }
}

class TabLink implements Link {
  readonly host: string;
  readonly answerWithinMs = Number.POSITIVE_INFINITY;
  readonly #post: (said: Said<ToHost>) => void;
  readonly #listener: LinkListener;
  readonly #silent: () => void;
  readonly #asked = new Map<string, { number: number; onAnswer: (answer: unknown) => void }>();
  #number = 0;
  #taken = 0;
  #telling: ReturnType<typeof setTimeout> | undefined;
  #quiet: ReturnType<typeof setTimeout> | undefined;
  #stopAsking: (() => void) | null = null;
  #gone = false;

  constructor(
    host: string,
    post: (said: Said<ToHost>) => void,
    listener: LinkListener,
    silent: () => void,
  ) {
    this.host = host;
    this.#post = post;
    this.#listener = listener;
    this.#silent = silent;
    this.#heard();
  }

  subscribe(key: string, payload: Json, onAnswer: (answer: unknown) => void): void {
    this.#number += 1;
    this.#asked.set(key, { number: this.#number, onAnswer });
    this.#post({ type: "subscribe", key, number: this.#number, payload });
  }

  unsubscribe(key: string): void {
    this.#asked.delete(key);
    this.#post({ type: "unsubscribe", key });
  }

  check(): void {
    this.#ask(true);
  }

  close(): void {
    if (this.#gone) return;
    this.#post({ type: "bye" });
    this.#end();
  }

  /** Something came from the host. */
  hear(told: ToGuest): void {
    if (this.#gone) return;
    this.#heard();
    this.#take(weightOf(told));
    switch (told.type) {
      case "answer": {
        const asked = this.#asked.get(told.key);
        if (asked?.number !== told.number) return;
        this.#asked.delete(told.key);
        asked.onAnswer(told.answer);
        break;
      }
      case "event":
        this.#listener.event(told.key, told.name, told.payload);
        break;
      case "proven":
        this.#listener.proven();
        break;
      case "down":
        this.lose("the connection of the other tab was lost");
        break;
      case "failed":
        this.#lose({ why: "dismissed", message: told.message, refusal: refusal(told) });
    }
  }

  lose(message: string): void {
    this.#lose({ why: "cut", message });
  }

  #lose(loss: Loss): void {
    if (this.#gone) return;
    this.#end();
    this.#listener.lost(loss);
  }

  #end(): void {
    this.#gone = true;
    clearTimeout(this.#telling);
    clearTimeout(this.#quiet);
    this.#stopAsking?.();
  }

  #heard(): void {
    this.#stopAsking?.();
    this.#stopAsking = null;
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#ask(false), SILENCE_MS);
  }

  /** Ask whether the host is there; one that does not answer has the connection no more. */
  #ask(wake: boolean): void {
    this.#post({ type: "ping", wake });
    this.#stopAsking ??= punctual(
      ANSWER_WITHIN_MS,
      () => this.#post({ type: "ping", wake: false }),
      () => {
        this.lose("the other tab is silent");
        this.#silent();
      },
    );
  }

  #take(weight: number): void {
    if (weight === 0) return;
    this.#taken += weight;
    if (this.#taken >= TELL_AT) this.#tell();
    else this.#telling ??= setTimeout(() => this.#tell(), TELL_AFTER_MS);
  }

  #tell(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    this.#post({ type: "taken", weight: this.#taken });
    this.#taken = 0;
  }
}

/** Calls `late` after so long; `again` once instead, when this tab itself slept. */
function punctual(limitMs: number, again: () => void, late: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const wait = (mayBeLate: boolean): void => {
    const due = Date.now() + limitMs;
    timer = setTimeout(() => {
      if (!mayBeLate || Date.now() - due < SLEPT_MS) return late();
      again();
      wait(false);
    }, limitMs);
  };
  wait(true);
  return () => clearTimeout(timer);
}

function refusal({ code, message }: { code: string; message: string }) {
  if (code === "server_unreachable") return new ServerUnreachable(message);
  return new RequestRefused(code, { detail: message });
}
