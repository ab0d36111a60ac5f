/**
 * What tabs say to each other.
 *
 * The *host* has the connection, its *guests* use it. All hear the group's channel; each guest has
 * a channel of its own with its host, so that what one does not take is held for nobody else.
 */

import type { Json } from "../wire.ts";

/** On the group's channel. */
export type Call =
  /** A guest looks for the host. */
  | { type: "hello"; guest: string; link: number }
  /** A tab has become the host. */
  | { type: "lead"; host: string };

/** From the host to one guest, about the guest's link of that number. */
export type ToGuest = { host: string; link: number } & (
  | { type: "welcome" }
  | { type: "pong" }
  /** The host's connection is live. */
  | { type: "proven" }
  /** The subscriptions are no more: ask again, from where each is. */
  | { type: "down" }
  /** The connection failed for good. */
  | { type: "failed"; code: string; message: string }
  | { type: "answer"; key: string; number: number; answer: unknown }
  | { type: "event"; key: string; name: string; payload: Json }
);

/** From a guest to its host. */
export type ToHost = { host: string; link: number } & (
  | { type: "subscribe"; key: string; number: number; payload: Json }
  | { type: "unsubscribe"; key: string }
  /** So much of what was sent was taken. */
  | { type: "taken"; weight: number }
  /** Are you there? With `wake`: and find out whether your connection lives. */
  | { type: "ping"; wake: boolean }
  | { type: "bye" }
);

/** The part of a message without whom it is from. */
export type Said<Message> = Message extends { host: string; link: number }
  ? Omit<Message, "host" | "link">
  : never;

/** The channel between the host and one guest; also the name of the lock that the guest holds. */
export function guestName(group: string, guest: string): string {
  return `${group}:${guest}`;
}

/** How much of a guest's window a message takes: 1, and more for a picture. */
export function weightOf(said: { type: string; payload?: Json }): number {
  if (said.type !== "answer" && said.type !== "event") return 0;
  const data = said.payload?.data as { content?: { byteLength?: number } } | undefined;
  return 1 + Math.floor((data?.content?.byteLength ?? 0) / 16_384);
}
