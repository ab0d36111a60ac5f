/**
 * A door is a way to the server; a link is an open one. Whatever the door, a link is sent
 * `subscribe` and `unsubscribe`, answers as Socket.IO's acknowledgement does, and passes on the
 * events of Socket.IO: a change of door is to a session what a lost link is.
 */

import type { ClientError } from "../errors.ts";
import type { Json } from "../wire.ts";

/** The doors, best first. */
export const DOORS = ["socketio", "sse", "long_poll", "poll"] as const;

/** Name of a door. */
export type DoorName = (typeof DOORS)[number];

/** Why a link is gone, or could not be opened. */
export interface Loss {
  /**
   * - `cut`: it was lost, or nobody can say why it did not open.
   * - `blocked`: something on the way does not let this door work.
   * - `away`: the server is not there, or takes nobody for the moment.
   * - `dismissed`: the server said not to come back; `refusal` says why.
   */
  why: "cut" | "blocked" | "away" | "dismissed";
  message: string;
  refusal?: ClientError;
  /** When the server wants to be tried again. */
  retryAfterS?: number | undefined;
  /** What did not open in time, and may yet. */
  late?: Late | undefined;
}

/** A link that is still being opened, until whoever has it gives it up. */
export interface Late {
  readonly link: Promise<Link>;
  /** Waits for it no more; also closes one that has opened. */
  giveUp(): void;
}

/** No link could be opened, or a subscription showed that there is none. */
export class LinkFailed extends Error {
  readonly loss: Loss;

  constructor(loss: Loss) {
    super(loss.message);
    this.loss = loss;
  }
}

/** Is told what comes over a link; nothing after `lost`, nor after the link was closed. */
export interface LinkListener {
  /** An event about a task or a feed, in the order of the server. */
  event(key: string, name: string, payload: Json): void;
  /** What came shows that this door works. */
  proven(): void;
  lost(loss: Loss): void;
}

/** What a better door is tried with before anything is moved to it. */
export interface Trial {
  key: string;
  payload: Json;
}

/** An open way to the server. Links are never reused. */
export interface Link {
  /** Ask for a task's or a feed's events; asking again moves to the position that it names. */
  subscribe(key: string, payload: Json, onAnswer: (answer: unknown) => void): void;
  unsubscribe(key: string): void;
  /** Find out soon whether it still lives; if not, `lost` is told. */
  check(): void;
  close(): void;
  /** How long an answer may take, when the link is not to count as lost: 20 s unless it says so. */
  readonly answerWithinMs?: number;
}

/** A way to the server. */
export interface Door {
  readonly name: DoorName | "tab";
  /** Throws `LinkFailed`; with a trial the door is proven when it is open. */
  open(listener: LinkListener, trial?: Trial): Promise<Link>;
}
