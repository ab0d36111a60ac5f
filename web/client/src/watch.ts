/** A watch as an asynchronous iterator. */

import type { Connecting } from "./connection.ts";
import type { Session } from "./core/session.ts";

/**
 * The items of a session, as they arrive; ends when the session is over.
 *
 * Throws what ended the session when that was an error, and the signal's reason when aborted.
 */
export async function* watch<Item>(
  connection: Connecting,
  session: Session<Item>,
  signal?: AbortSignal,
): AsyncGenerator<Item, void, undefined> {
  signal?.throwIfAborted();
  let changed = (): void => {};
  const member = { session, changed: () => changed() };
  const abort = (): void => changed();
  signal?.addEventListener("abort", abort);
  connection.add(member);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const item = session.take();
      if (item !== null) {
        yield item;
        connection.flush(session.key);
      } else if (session.failure) {
        throw session.failure;
      } else if (session.over) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          changed = resolve;
        });
      }
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    connection.remove(member);
  }
}
