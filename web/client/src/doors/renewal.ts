/** Keeps a connection's credential fresh, where the application gives new ones. */

import { isObject } from "../wire.ts";

/** So long before its end a credential is replaced, or when a fifth of its time is left. */
const BEFORE_MS = 60_000;
const LEFT = 0.2;
/** An application that has no newer one yet is asked again after half of what is left. */
const AT_LEAST_MS = 1000;
/** What timers can count to. */
const MAX_MS = 2 ** 31 - 1;

/** Shows the server a credential over the live connection; gives what it answers. */
export type Authenticate = (token: string) => Promise<unknown>;

/**
 * Goes on by the credential that `renew` gives, in time before the `present` one ends.
 *
 * The first answer tells when that is. Whatever goes wrong is left to the end of the credential:
 * the connection is lost then, and made anew. Returns what stops it.
 */
export function renewInTime(
  present: string,
  renew: () => Promise<string | null>,
  authenticate: Authenticate,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  /** 0 while it is not known, and for one that does not end. */
  let endsAt = 0;
  const show = async (next: () => Promise<string | null>): Promise<void> => {
    const before = endsAt;
    try {
      const token = await next();
      const answer = token === null || stopped ? null : await authenticate(token);
      if (isObject(answer) && answer.ok === true)
        endsAt = answer.expires_at === null ? 0 : Date.parse(String(answer.expires_at));
    } catch (error) {
      if (!stopped) console.warn("taskpush: the token could not be renewed", error);
    }
    const left = endsAt - Date.now();
    if (stopped || !(left > 0)) return;
    const wait = endsAt > before ? left - Math.min(BEFORE_MS, left * LEFT) : left / 2;
    timer = setTimeout(() => void show(renew), Math.min(MAX_MS, Math.max(AT_LEAST_MS, wait)));
  };
  void show(async () => present);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
