/** The tabs of one browser that may share a connection, and what they find each other by. */

import type { ClientOptions } from "../options.ts";

/** Part of every name: tabs with another version of what they say to each other don't meet. */
const VERSION = "1";

/** What a browser gives to pages that want to work together. */
export interface Browser {
  readonly locks: LockManager;
  channel(name: string): BroadcastChannel;
}

/** A set of tabs that share: the server, who asks, and the doors are the same in all of them. */
export interface TabGroup {
  readonly browser: Browser;
  /** Says nothing of what it was made of. */
  readonly name: string;
}

/** This page's browser; null where one of the APIs is missing, as without HTTPS and in Node. */
export function thisBrowser(): Browser | null {
  if (typeof document === "undefined" || typeof BroadcastChannel === "undefined") return null;
  if (!navigator.locks || !crypto.subtle) return null;
  return { locks: navigator.locks, channel: (name) => new BroadcastChannel(name) };
}

/**
 * By what tabs know that they ask as the same user; null when they are not to share.
 *
 * Throws `TypeError` when `share` is true and the token a function: the tokens that it gives
 * differ, so somebody has to say whose they are.
 */
export function sharedBy({ share, token }: ClientOptions): string | null {
  if (typeof share === "string") return `named ${share}`;
  if (!(share ?? token === undefined)) return null;
  if (typeof token === "function")
    throw new TypeError("with a function as token, share takes a text that names the user");
  return token === undefined ? "cookies" : `token ${token}`;
}

/** The group of those that have all these texts in common. */
export async function groupOf(browser: Browser, common: readonly string[]): Promise<TabGroup> {
  const text = new TextEncoder().encode(JSON.stringify(common));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { browser, name: `taskpush:${VERSION}:${hex}` };
}
