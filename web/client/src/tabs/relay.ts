/** A subscription of another tab, as a member of this tab's topics. */

import type { Request, Session } from "../core/session.ts";
import type { ClientError } from "../errors.ts";
import { isObject, type Json } from "../wire.ts";

/** Where a relay passes on what it gets. */
export interface Outlet {
  answer(key: string, number: number, answer: unknown): void;
  event(key: string, name: string, payload: Json): void;
  /** What was subscribed is no more: the tab has to ask again. */
  down(): void;
  fail(error: ClientError): void;
}

/** As a watch's session has it; `idle` also when there is nothing to ask. */
type Phase = "offline" | "idle" | "asked" | "cut" | "live";

/** Holds nothing: the tab's own session knows the position, and drops what it has seen. */
export class Relay implements Session<never> {
  readonly key: string;
  readonly over = false;
  readonly failure = null;
  readonly #outlet: Outlet;
  #phase: Phase = "offline";
  /** What the tab asked for; null when it was answered. */
  #wish: { number: number; payload: Json } | null = null;
  #number = 0;

  constructor(key: string, outlet: Outlet) {
    this.key = key;
    this.#outlet = outlet;
  }

  get paused(): boolean {
    return this.#phase === "idle" && this.#wish === null;
  }

  get waiting(): boolean {
    return this.#phase === "asked" || this.#phase === "cut";
  }

  /** The tab asks, under a number of its own. */
  ask(number: number, payload: Json): void {
    this.#wish = { number, payload };
    if (this.#phase !== "offline") this.#phase = "idle";
  }

  /** The tab takes nothing for the moment, and will ask again. */
  rest(): void {
    this.#wish = null;
    if (this.#phase !== "offline") this.#phase = "idle";
  }

  take(): null {
    return null;
  }

  nextRequest(): Request | null {
    if (this.#phase !== "idle" || this.#wish === null) return null;
    this.#phase = "asked";
    this.#number += 1;
    return { number: this.#number, payload: { ...this.#wish.payload }, failures: 0 };
  }

  linkUp(): void {
    if (this.#phase === "offline") this.#phase = "idle";
  }

  linkDown(): void {
    const subscribed = this.#phase === "live" || this.#phase === "cut";
    this.#phase = "offline";
    if (subscribed) this.#outlet.down();
  }

  answered(number: number, answer: unknown): void {
    if (this.#phase !== "asked" || number !== this.#number || this.#wish === null) return;
    const accepted = isObject(answer) && answer.ok === true;
    if (!accepted) this.#phase = "idle";
    else this.#phase = answer.mode === "resync" ? "cut" : "live";
    this.#outlet.answer(this.key, this.#wish.number, answer);
    this.#wish = null;
  }

  receive(name: string, payload: Json): void {
    if (this.#phase === "cut" && name === "resync") this.#phase = "live";
    if (this.#phase !== "live" && name !== "task_deleted") return;
    if (name === "error") this.#phase = "idle";
    this.#outlet.event(this.key, name, payload);
  }

  fail(error: ClientError): void {
    this.#outlet.fail(error);
  }
}
