/**
 * Everybody who watches the same task or feed over one link, as a value without I/O.
 *
 * The server has one cursor per connection and task, which each subscription moves. So one asks at
 * a time; what comes goes to all, and whoever has seen it drops it. Whoever lags behind finds a
 * gap, and asks again.
 */

import type { Json } from "../wire.ts";
import type { Request, Session } from "./session.ts";

/** A session, and how to say that it has moved. */
export interface Member {
  readonly session: Session<unknown>;
  changed(): void;
}

/** What a topic wants from the link. */
export type Wish = { subscribe: Request; by: Member } | "unsubscribe" | null;

/** The members of one key. */
export class Topic {
  readonly key: string;
  readonly #members = new Set<Member>();
  #asker: Member | null = null;
  #subscribed = false;
  #previews = false;

  constructor(key: string) {
    this.key = key;
  }

  get empty(): boolean {
    return this.#members.size === 0;
  }

  get members(): readonly Member[] {
    return [...this.#members];
  }

  add(member: Member, linked: boolean): void {
    this.#members.add(member);
    if (linked) member.session.linkUp();
  }

  remove(member: Member): void {
    this.#members.delete(member);
    if (this.#asker === member) this.#asker = null;
  }

  /** What has to be sent now, each once. */
  next(): Wish {
    if (this.#asker?.session.waiting) return null;
    this.#asker = null;
    for (const by of this.#members) {
      const subscribe = by.session.nextRequest();
      if (subscribe === null) continue;
      this.#asker = by;
      this.#subscribed = true;
      // Once somebody wants them, everybody's subscription has them: sessions know what they want.
      this.#previews ||= subscribe.payload.previews === true;
      if (this.#previews) subscribe.payload.previews = true;
      return { subscribe, by };
    }
    if (!this.#subscribed || !this.members.every(({ session }) => session.paused)) return null;
    this.#subscribed = false;
    return "unsubscribe";
  }

  linkUp(): void {
    for (const { session } of this.#members) session.linkUp();
  }

  linkDown(): void {
    this.#asker = null;
    this.#subscribed = false;
    for (const { session } of this.#members) session.linkDown();
  }

  /** The answer to what `by` asked arrived; a refusal ends what the others had. */
  answered(by: Member, number: number, answer: unknown): void {
    const refused = (answer as Json | null)?.ok !== true;
    by.session.answered(number, answer);
    if (!refused) return;
    for (const { session } of this.#members) {
      if (session === by.session) continue;
      session.linkDown();
      session.linkUp();
    }
  }

  /** An event arrived; one that an answer announced is for whoever asked. */
  receive(name: string, payload: Json): void {
    const announced = name === "resync" && this.#asker?.session.waiting;
    const receivers = announced && this.#asker ? [this.#asker] : this.members;
    for (const { session } of receivers) session.receive(name, payload);
  }
}
