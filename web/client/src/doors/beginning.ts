/** Where a reader begins: what Socket.IO's acknowledgement says, put together from REST. */

import { RequestRefused } from "../errors.ts";
import type { Snapshot, WirePosition } from "../generated/models.ts";
import { pause } from "../timing.ts";
import { isObject, readPosition, readSnapshot, START } from "../wire.ts";
import type { Reading } from "./http_link.ts";

const ASK_EVERY_MS = 1000;
const AWAIT_TIMES = 60;

/** What is known before the first event. */
export interface Beginning {
  /** Null means the log's start, wherever that is. */
  after: WirePosition | null;
  snapshot: Snapshot;
  /** Whether the subscription was answered already, when its task did not exist. */
  pending: boolean;
}

/** Read the task; one that does not exist yet is waited for, a minute at most. */
export async function beginning(reading: Reading): Promise<Beginning> {
  const { after } = reading.payload;
  const known = isObject(after) ? readPosition(after) : null;
  for (let tries = 0; ; tries += 1) {
    const snapshot = await find(reading);
    if (snapshot !== null) {
      const start = after === "now" ? readPosition(snapshot.position) : known;
      return { after: tries > 0 ? null : start, snapshot, pending: tries > 0 };
    }
    if (known !== null || tries >= AWAIT_TIMES)
      throw new RequestRefused("not_found", { detail: "No such task" });
    if (tries === 0) {
      reading.answer({ ok: true, mode: "pending", position: START, snapshot: null });
      reading.proven();
    }
    await pause(ASK_EVERY_MS, reading.signal);
  }
}

/** The task as it stands; null when there is none. */
async function find(reading: Reading): Promise<Snapshot | null> {
  try {
    return await snapshotOf(reading);
  } catch (error) {
    if (error instanceof RequestRefused && error.code === "not_found") return null;
    throw error;
  }
}

/** The task as it stands. */
export async function snapshotOf({ http, key, signal }: Reading): Promise<Snapshot> {
  return readSnapshot(await http.json(`/tasks/${key}`, { signal }));
}
