/** The second door: Server-Sent Events, read by `fetch`, so that the token goes into a header. */

import { refusal } from "../http.ts";
import { Watchdog } from "../timing.ts";
import { isObject, type Json, positionText } from "../wire.ts";
import { beginning, snapshotOf } from "./beginning.ts";
import { LinkFailed, type Loss } from "./door.ts";
import type { Reader, Reading } from "./http_link.ts";
import { pollReader } from "./polling.ts";
import { isTask } from "./socketio.ts";
import { SseParser } from "./sse_parser.ts";

/**
 * A stream that has not caught up and is silent for so long is kept in a buffer on the way; one
 * that compresses keeps even the head of the answer.
 */
const CATCH_UP_MS = 2000;
const HELD_BACK: Loss = { why: "blocked", message: "the stream is kept in a buffer on the way" };
/** The server says something every 15 s. */
const SILENCE_MS = 40_000;

/** Reads a task or a feed from its stream. */
export const streamReader: Reader = async (reading) => {
  if (!reading.mayWait) return pollReader(0)(reading);
  return isTask(reading.key) ? streamTask(reading) : streamFeed(reading);
};

async function streamTask(reading: Reading): Promise<void> {
  const { after, snapshot, pending } = await beginning(reading);
  const from = after === null ? undefined : positionText(after);
  const response = await open(reading, `/tasks/${reading.key}/stream`, { after: from });
  const over = response.status === 204;
  if (!pending) {
    // Over since it was read: how, the newest one says.
    const shown = over && !snapshot.final ? await snapshotOf(reading) : snapshot;
    reading.answer({ ok: true, mode: "replay", position: after, snapshot: shown });
  }
  const head = snapshot.position.seq;
  if (over) return reading.proven();
  await read(reading, response, (name, payload) => {
    if (name === "") return (after?.seq ?? 0) >= head;
    return name === "resync" || (typeof payload.seq === "number" && payload.seq >= head);
  });
}

async function streamFeed(reading: Reading): Promise<void> {
  const { feed, after } = reading.payload;
  const query = { feed: String(feed), after: typeof after === "string" ? after : undefined };
  const response = await open(reading, "/stream", query);
  reading.answer({ ok: true, feed });
  await read(reading, response, (name, payload) => {
    return name === "queue_update" || (name === "active_tasks" && !payload.more);
  });
}

async function open(
  { http, signal }: Reading,
  path: string,
  query: Record<string, string | undefined>,
): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new LinkFailed(HELD_BACK)), CATCH_UP_MS);
  const either = AbortSignal.any([signal, late.signal]);
  let response: Response;
  try {
    response = await http.send(path, { query, signal: either, accept: "text/event-stream" });
  } catch (error) {
    throw late.signal.aborted ? late.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
  if (response.status === 204) return response;
  if (!response.ok) throw await refusal(response);
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.startsWith("text/event-stream"))
    throw new LinkFailed({ why: "blocked", message: `a stream was answered with ${type}` });
  return response;
}

/** Pass a stream's events on; `catchesUp` is asked of the first bytes (named "") and each event. */
async function read(
  reading: Reading,
  response: Response,
  catchesUp: (name: string, payload: Json) => boolean,
): Promise<void> {
  const body = response.body?.getReader();
  if (!body) return;
  const parser = new SseParser();
  const decoder = new TextDecoder();
  let caughtUp = false;
  let silence: Loss | null = null;
  const watchdog = new Watchdog(CATCH_UP_MS, () => {
    silence = caughtUp ? { why: "cut", message: "the stream is silent" } : HELD_BACK;
    body.cancel().catch(() => {});
  });
  const look = (name: string, payload: Json): void => {
    if (caughtUp || !catchesUp(name, payload)) return;
    caughtUp = true;
    reading.proven();
  };
  try {
    for (;;) {
      const { done, value } = await body.read();
      if (done) break;
      look("", {});
      for (const { event, data } of parser.push(decoder.decode(value, { stream: true }))) {
        const payload: unknown = JSON.parse(data);
        if (!isObject(payload)) continue;
        look(event, payload);
        reading.event(event, payload);
      }
      watchdog.heard(caughtUp ? SILENCE_MS : CATCH_UP_MS);
    }
  } finally {
    watchdog.stop();
    body.cancel().catch(() => {});
  }
  if (silence) throw new LinkFailed(silence);
}
