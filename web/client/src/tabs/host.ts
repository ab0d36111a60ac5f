/** The tab that has the connection, as the other tabs see it. */

import type { Member } from "../core/topic.ts";
import { type ClientError, RequestRefused } from "../errors.ts";
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
import { Relay } from "./relay.ts";

/** What may be on its way to a guest that takes nothing: a browser holds it all in memory. */
export const WINDOW = 1024;

/** The connection that guests are let in to. */
export interface Shared {
  readonly status: { state: string };
  add(member: Member): void;
  remove(member: Member): void;
  flush(key: string): void;
  wake(networkChanged: boolean): void;
}

/** Serves the group's other tabs from one connection. */
export class Host {
  readonly #id = crypto.randomUUID();
  readonly #group: TabGroup;
  readonly #connection: Shared;
  readonly #left: () => void;
  readonly #channel: BroadcastChannel;
  readonly #guests = new Map<string, Guest>();
  readonly #closing = new AbortController();

  /** `left` is called when a guest has gone. */
  constructor(group: TabGroup, connection: Shared, left: () => void) {
    this.#group = group;
    this.#connection = connection;
    this.#left = left;
    this.#channel = group.browser.channel(group.name);
    this.#channel.onmessage = ({ data }: MessageEvent<Call>) => {
      if (data.type === "hello") this.#welcome(data.guest, data.link);
    };
    this.#channel.postMessage({ type: "lead", host: this.#id } satisfies Call);
  }

  get empty(): boolean {
    return this.#guests.size === 0;
  }

  /** The connection's state has changed. */
  tell(): void {
    if (this.#connection.status.state !== "live") return;
    for (const guest of this.#guests.values()) guest.say({ type: "proven" });
  }

  /** Serve nobody any more; guests look for the next host. */
  close(): void {
    this.#closing.abort();
    this.#channel.close();
    for (const guest of this.#guests.values()) guest.close();
    this.#guests.clear();
  }

  #welcome(id: string, link: number): void {
    const known = this.#guests.get(id);
    // It may call twice, when the answer comes late.
    if (known?.link === link) {
      known.say({ type: "welcome" });
      return;
    }
    known?.close();
    const guest = new Guest(this.#id, link, guestName(this.#group.name, id), this.#connection, {
      open: this.#group.browser.channel,
      left: () => this.#forget(id, guest),
    });
    if (!known) this.#awaitEnd(id);
    this.#guests.set(id, guest);
    guest.say({ type: "welcome" });
    if (this.#connection.status.state === "live") guest.say({ type: "proven" });
  }

  /** A guest holds a lock while it lives, however it ends. */
  #awaitEnd(id: string): void {
    const { signal } = this.#closing;
    this.#group.browser.locks
      .request(guestName(this.#group.name, id), { signal }, () =>
        this.#forget(id, this.#guests.get(id)),
      )
      .catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
  }

  #forget(id: string, guest: Guest | undefined): void {
    if (guest === undefined || this.#guests.get(id) !== guest) return;
    this.#guests.delete(id);
    guest.close();
    this.#left();
  }
}

/** One other tab. */
class Guest {
  readonly link: number;
  readonly #host: string;
  readonly #connection: Shared;
  readonly #channel: BroadcastChannel;
  readonly #relays = new Map<string, Member & { session: Relay }>();
  /** Of what was sent and not taken. */
  #weight = 0;
  /** Whether something was not sent, since too much was on its way. */
  #missed = false;
  #down = false;
  #closed = false;

  constructor(
    host: string,
    link: number,
    name: string,
    connection: Shared,
    { open, left }: { open: (name: string) => BroadcastChannel; left: () => void },
  ) {
    this.#host = host;
    this.link = link;
    this.#connection = connection;
    this.#channel = open(name);
    this.#channel.onmessage = ({ data }: MessageEvent<ToHost>) => {
      if (data.host !== host || data.link !== link) return;
      if (data.type === "bye") left();
      else this.#hear(data);
    };
  }

  /** Send it, unless the guest takes too little. */
  say(said: Said<ToGuest>): void {
    if (this.#closed) return;
    const weight = weightOf(said);
    if (weight > 0 && this.#weight >= WINDOW) {
      this.#missed = true;
      for (const { session } of this.#relays.values()) session.rest();
      return;
    }
    this.#weight += weight;
    const message = { ...said, host: this.#host, link: this.link };
    this.#channel.postMessage(message);
  }

  /** Its link is no more. */
  close(): void {
    this.#lose();
    this.#closed = true;
    this.#channel.close();
    for (const member of this.#relays.values()) this.#connection.remove(member);
    this.#relays.clear();
  }

  #hear(said: ToHost): void {
    switch (said.type) {
      case "subscribe":
        this.#subscribe(said.key, said.number, said.payload);
        break;
      case "unsubscribe":
        this.#unsubscribe(said.key);
        break;
      case "taken":
        this.#weight -= said.weight;
        if (this.#missed && this.#weight <= WINDOW / 2) this.#lose();
        break;
      case "ping":
        this.say({ type: "pong" });
        if (said.wake) this.#connection.wake(true);
    }
  }

  #subscribe(key: string, number: number, payload: Json): void {
    const known = this.#relays.get(key);
    const member = known ?? this.#relay(key);
    member.session.ask(number, payload);
    this.#relays.set(key, member);
    if (known) this.#connection.flush(key);
    else this.#connection.add(member);
  }

  #unsubscribe(key: string): void {
    const member = this.#relays.get(key);
    this.#relays.delete(key);
    if (member) this.#connection.remove(member);
  }

  #relay(key: string): Member & { session: Relay } {
    const session = new Relay(key, {
      answer: (of, number, answer) => this.say({ type: "answer", key: of, number, answer }),
      event: (of, name, payload) => this.say({ type: "event", key: of, name, payload }),
      down: () => this.#lose(),
      fail: (error) => this.say({ type: "failed", ...reason(error) }),
    });
    return { session, changed: () => {} };
  }

  #lose(): void {
    if (this.#down) return;
    this.#down = true;
    this.say({ type: "down" });
  }
}

function reason(error: ClientError): { code: string; message: string } {
  const message = error instanceof RequestRefused ? error.detail : error.message;
  return { code: error.code, message };
}
