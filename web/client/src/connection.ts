/** The connection that a client's watches share: opened when needed, reopened when lost. */

import { fullJitterMs } from "./core/backoff.ts";
import { DoorChoice } from "./core/choice.ts";
import type { Request } from "./core/session.ts";
import { type Member, Topic } from "./core/topic.ts";
import type { Door } from "./doors/door.ts";
import { type ClientError, ServerUnreachable } from "./errors.ts";
import { type Ending, type Opened, Opening } from "./opening.ts";
import { pause } from "./timing.ts";
import { isObject, type Json } from "./wire.ts";

/** A server that does not answer `subscribe` for so long is treated as lost. */
const ANSWER_WITHIN_MS = 20_000;
/** A connection that lasted so long was a good one: the next failure is the first in a row. */
const STEADY_AFTER_MS = 5000;
/** Without a connection for so long, what is shown may be out of date. */
export const STALE_AFTER_MS = 10_000;

/**
 * - `live`: what is shown is what is.
 * - `recovering`: there is no connection for the moment; it is being restored.
 * - `stale`: that has taken longer than 10 s, so what is shown may be out of date.
 * - `offline`: there is none and none is tried: nothing is watched, or the device has no network.
 */
export type ConnectionState = "live" | "recovering" | "stale" | "offline";

/** How the connection stands. */
export interface ConnectionStatus {
  state: ConnectionState;
  /** The door in use; `tab` when another tab's connection serves this one; null without one. */
  door: Door["name"] | null;
  /** Why the last try to connect came to nothing; null while connected, and before one failed. */
  setback: Setback | null;
}

/** A try to connect that came to nothing. */
export interface Setback {
  message: string;
  /** When the server wants to be tried again, in milliseconds since 1970; null when it said nothing. */
  retryAt: number | null;
}

/** How long a server that does not answer is waited for, in milliseconds. */
export interface Patience {
  /** One that was never reached. */
  firstContactMs: number;
  /** One that was lost. */
  reconnectMs: number;
}

/** What a connection is made with. */
export interface ConnectionOptions {
  doors: readonly Door[];
  patience: Patience;
  /** Whether there may be another token than the one that has ended. */
  renewable: boolean;
  onStatus(status: ConnectionStatus): void;
  random?: () => number;
  /** Whether the device has a network, as far as it knows. */
  online?: () => boolean;
}

/** What watches need of a connection, whether it is this tab's own or shared. */
export type Connecting = Pick<Connection, "status" | "add" | "remove" | "flush" | "wake" | "close">;

/** Keeps a link open while something is watched. */
export class Connection {
  readonly #options: Required<ConnectionOptions>;
  readonly #choice: DoorChoice;
  readonly #opening: Opening;
  readonly #topics = new Map<string, Topic>();
  #current: Opened | null = null;
  #running = false;
  #closed = false;
  #contact = false;
  #failures = 0;
  /** Until when the server wants to be asked for nothing. */
  #hushedUntil = 0;
  #lostAt = 0;
  #setback: Setback | null = null;
  #staleTimer: ReturnType<typeof setTimeout> | undefined;
  /** Cuts a pause short. */
  #wakeUp = new AbortController();
  #status: ConnectionStatus = { state: "offline", door: null, setback: null };

  constructor(options: ConnectionOptions) {
    this.#options = { random: Math.random, online: () => true, ...options };
    this.#choice = new DoorChoice(options.doors.length);
    this.#opening = new Opening(options.doors, options.renewable, {
      event: (from, key, name, payload) => this.#receive(from, key, name, payload),
      proven: (by) => this.#proven(by),
    });
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  /** Watch what the member's session wants. */
  add(member: Member): void {
    const { key } = member.session;
    const topic = this.#topics.get(key) ?? new Topic(key);
    this.#topics.set(key, topic);
    topic.add(member, this.#current !== null);
    this.flush(key);
    if (!this.#running && !this.#closed) void this.#run();
  }

  /** Forget a member, and tell the server when it was the last of its topic. */
  remove(member: Member): void {
    const topic = this.#topics.get(member.session.key);
    if (!topic) return;
    topic.remove(member);
    if (topic.empty) {
      this.#topics.delete(topic.key);
      this.#current?.link.unsubscribe(topic.key);
      if (this.#topics.size === 0) this.#idle();
    } else {
      this.flush(topic.key);
    }
  }

  /** Send what the sessions of a topic ask for. */
  flush(key: string): void {
    const topic = this.#topics.get(key);
    const current = this.#current;
    if (!topic || !current) return;
    const wish = topic.next();
    if (wish === "unsubscribe") current.link.unsubscribe(key);
    else if (wish !== null) void this.#subscribe(current, topic, wish.by, wish.subscribe);
  }

  /** The page was woken, or the network changed: find out at once how things stand. */
  wake(networkChanged: boolean): void {
    if (networkChanged) this.#choice.networkChanged(Date.now());
    this.#failures = 0;
    this.#wakeUp.abort();
    this.#wakeUp = new AbortController();
    this.#current?.link.check();
    this.#tell();
  }

  /** End the connection and everything that is watched over it. */
  close(error: ClientError): void {
    this.#closed = true;
    this.#failAll(error);
    this.#idle();
  }

  // ---------------------------------------------------------------- keeping it up

  async #run(): Promise<void> {
    this.#running = true;
    this.#lostAt = Date.now();
    this.#tell();
    let next: Opened | null = null;
    while (this.#needed) {
      try {
        const current: Opened | null = next ?? (await this.#reach());
        next = null;
        if (current === null) continue;
        if (!this.#needed) {
          current.link.close();
          break;
        }
        const ending = await this.#serve(current);
        if (ending.why === "better") next = ending.opened;
      } catch (error) {
        this.#failAll(error as ClientError);
      }
    }
    next?.link.close();
    this.#running = false;
    this.#tell();
    // Something may have been added while it ended.
    if (this.#needed) void this.#run();
  }

  get #needed(): boolean {
    return this.#topics.size > 0 && !this.#closed;
  }

  /** Open a link, trying as long as the patience lasts; null when it is needed no more. */
  async #reach(): Promise<Opened | null> {
    const { patience, random } = this.#options;
    let told = 0;
    while (this.#needed) {
      await pause(told + fullJitterMs(this.#failures, random), this.#wakeUp.signal);
      if (!this.#needed) return null;
      const opened = await this.#opening.first(this.#choice.candidates);
      if ("link" in opened) return opened;
      this.#failures += 1;
      told = (opened.retryAfterS ?? 0) * 1000;
      this.#setback = { message: opened.message, retryAt: told > 0 ? Date.now() + told : null };
      this.#tell();
      if (opened.retryAfterS !== undefined) this.#contact = true;
      const limit = this.#contact ? patience.reconnectMs : patience.firstContactMs;
      if (Date.now() - this.#lostAt >= limit) throw new ServerUnreachable(opened.message);
    }
    return null;
  }

  /** Use the link until it is lost; throws when the server said not to come back. */
  async #serve(current: Opened): Promise<Ending> {
    const began = Date.now();
    this.#contact = true;
    this.#hushedUntil = 0;
    this.#setback = null;
    this.#choice.opened(current.index, began);
    if (current.proven) this.#choice.proven();
    this.#current = current;
    for (const [key, topic] of this.#topics) {
      topic.linkUp();
      this.flush(key);
    }
    this.#tell();
    const returning = this.#lookForBetter(current);
    this.#awaitBelated(current);
    const ending = await current.ended;
    returning.abort();
    this.#current = null;
    for (const topic of this.#topics.values()) topic.linkDown();
    current.link.close();
    if (ending.why === "better") return ending;
    this.#lostAt = Date.now();
    this.#choice.lost(ending.why === "blocked", this.#lostAt);
    const steady = this.#lostAt - began >= STEADY_AFTER_MS || ending.why === "blocked";
    this.#failures = steady ? 0 : this.#failures + 1;
    if (this.#needed) this.#tell();
    const dismissal = this.#opening.dismissal(ending);
    if (dismissal) throw dismissal;
    return ending;
  }

  /** While a lesser door is in use, try better ones beside it, now and then. */
  #lookForBetter(current: Opened): AbortController {
    const stop = new AbortController();
    const look = async (): Promise<void> => {
      while (!stop.signal.aborted && this.#choice.better.length > 0) {
        const signal = AbortSignal.any([stop.signal, this.#wakeUp.signal]);
        await pause(Math.min(this.#choice.returnIn(Date.now()), 2 ** 31 - 1), signal);
        if (stop.signal.aborted) return;
        if (this.#choice.returnIn(Date.now()) > 0) continue;
        const [watched = "all"] = this.#topics.keys();
        const better = await this.#opening.better(this.#choice.better, watched);
        if (better === null) this.#choice.stayed(Date.now());
        else if (stop.signal.aborted) better.link.close();
        else current.end({ why: "better", opened: better });
      }
    };
    look().catch((error: unknown) => current.end({ why: "cut", message: String(error) }));
    return stop;
  }

  /** A better door that was too slow, and opens after all, is gone back to at once. */
  #awaitBelated(current: Opened): void {
    const belated = this.#opening.belated();
    if (belated === null) return;
    let late: Opened | null = null;
    void belated.opened.then((opened) => {
      late = opened;
      if (opened) current.end({ why: "better", opened });
    });
    void current.ended.then((ending) => {
      if (ending.why !== "better" || ending.opened !== late) belated.giveUp();
    });
  }

  #idle(): void {
    this.#current?.end({ why: "cut", message: "nothing is watched" });
    this.#wakeUp.abort();
    this.#wakeUp = new AbortController();
  }

  #failAll(error: ClientError): void {
    const members = [...this.#topics.values()].flatMap((topic) => topic.members);
    this.#topics.clear();
    for (const member of members) {
      member.session.fail(error);
      member.changed();
    }
  }

  // ---------------------------------------------------------------- what is said over it

  async #subscribe(current: Opened, topic: Topic, by: Member, request: Request): Promise<void> {
    const { number, payload, failures } = request;
    const told = Math.max(0, this.#hushedUntil - Date.now());
    const wait = told + fullJitterMs(failures, this.#options.random);
    if (wait > 0) await pause(wait);
    if (this.#current !== current || !by.session.waiting) return;
    const silent = silence(current.link.answerWithinMs ?? ANSWER_WITHIN_MS, () =>
      current.end({ why: "cut", message: "the server does not answer" }),
    );
    current.link.subscribe(topic.key, payload, (answer) => {
      clearTimeout(silent);
      if (this.#current !== current) return;
      if (isObject(answer) && typeof answer.retry_after_s === "number")
        this.#hushedUntil = Date.now() + Math.min(answer.retry_after_s, 3600) * 1000;
      topic.answered(by, number, answer);
      this.#moved(topic);
    });
    void current.ended.then(() => clearTimeout(silent));
  }

  #receive(current: Opened, key: string, name: string, payload: Json): void {
    const topic = this.#topics.get(key);
    if (!topic || this.#current !== current) return;
    topic.receive(name, payload);
    this.#moved(topic);
  }

  #proven(current: Opened): void {
    if (this.#current !== current) return;
    this.#choice.proven();
    this.#tell();
  }

  /** Hand out what came; whoever is over needs nothing more. */
  #moved(topic: Topic): void {
    for (const member of topic.members) {
      member.changed();
      if (member.session.over) this.remove(member);
    }
    this.flush(topic.key);
  }

  // ---------------------------------------------------------------- how it stands

  #tell(): void {
    clearTimeout(this.#staleTimer);
    const status = this.#standing();
    if (status.state === "recovering") {
      const left = STALE_AFTER_MS - (Date.now() - this.#lostAt);
      this.#staleTimer = setTimeout(() => this.#tell(), left);
    }
    const { state, door, setback } = this.#status;
    if (state === status.state && door === status.door && setback === status.setback) return;
    this.#status = status;
    this.#options.onStatus(status);
  }

  #standing(): ConnectionStatus {
    const door = this.#current ? (this.#options.doors[this.#current.index]?.name ?? null) : null;
    if (!this.#running) return { state: "offline", door: null, setback: null };
    if (this.#current?.proven) return { state: "live", door, setback: null };
    const setback = this.#setback;
    if (!this.#options.online()) return { state: "offline", door: null, setback };
    const stale = Date.now() - this.#lostAt >= STALE_AFTER_MS;
    return { state: stale ? "stale" : "recovering", door, setback };
  }
}

/** A timer, unless there is no limit: then none. */
function silence(limitMs: number, late: () => void): ReturnType<typeof setTimeout> | undefined {
  return Number.isFinite(limitMs) ? setTimeout(late, limitMs) : undefined;
}
