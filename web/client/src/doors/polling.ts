/** The last two doors: pages of the log, asked for again and again, waiting for news or not. */

import { QUEUE } from "../core/queue_session.ts";
import { BadAnswer, RequestRefused, ServerUnreachable } from "../errors.ts";
import type { Envelope, EventPage, WirePosition } from "../generated/models.ts";
import { pause } from "../timing.ts";
import { isObject, type Json, positionText } from "../wire.ts";
import { beginning, snapshotOf } from "./beginning.ts";
import { LinkFailed } from "./door.ts";
import type { Reader, Reading } from "./http_link.ts";
import { isTask } from "./socketio.ts";

/** How long a long poll waits for news. */
export const WAIT_S = 20;
const POLL_EVERY_MS = 1000;
/** Between the beginnings of two polls that wait: what comes meanwhile comes together. */
const GATHER_MS = 250;
/** No poll waits for the queues. */
const QUEUE_EVERY_MS = 5000;
const ANSWER_WITHIN_MS = 10_000;
const PAGE = 500;
const STRIKES = 2;

/** Reads by polls that wait up to so many seconds; 0 asks every second instead. */
export function pollReader(waitS: number): Reader {
  return (reading) => {
    const asking = new Asking(reading, reading.mayWait ? waitS : 0);
    if (reading.key === QUEUE) return pollQueue(reading, asking);
    return isTask(reading.key) ? pollTask(reading, asking) : pollFeed(reading, asking);
  };
}

/** Asks for pages, and finds out whether something on the way cuts those that wait. */
class Asking {
  readonly waitS: number;
  readonly #reading: Reading;
  #strikes = 0;
  /** When the last poll that waits began. */
  #askedAt = 0;

  constructor(reading: Reading, waitS: number) {
    this.#reading = reading;
    this.waitS = waitS;
  }

  async page(path: string, query: Record<string, string | number | undefined>): Promise<Json> {
    const page = this.waitS > 0 ? await this.#waited(path, query) : await this.#at(path, query, 0);
    if (!isObject(page)) throw new BadAnswer(`the server sent a page of ${path} that is none`);
    this.#reading.proven();
    return page;
  }

  /** The next page at once. */
  async now(path: string, query: Record<string, string | number | undefined>): Promise<Json> {
    const page = await this.#at(path, query, 0);
    if (!isObject(page)) throw new BadAnswer(`the server sent a page of ${path} that is none`);
    return page;
  }

  /**
   * Between two pages, when the last one had news to its end.
   *
   * A poll that has waited long is followed by the next one at once: who was idle is told at once,
   * and of what comes thick and fast several at a time.
   */
  async rest(over = false): Promise<void> {
    const gathering = Math.min(GATHER_MS, this.#askedAt + GATHER_MS - Date.now());
    const ms = this.waitS === 0 || over ? POLL_EVERY_MS : gathering;
    if (ms > 0) await pause(ms, this.#reading.signal);
  }

  async #waited(path: string, query: Record<string, string | number | undefined>) {
    try {
      this.#askedAt = Date.now();
      const page = await this.#at(path, query, this.waitS);
      this.#strikes = 0;
      return page;
    } catch (error) {
      if (!isCut(error)) throw error;
      // Whether it was the waiting that was cut.
      const page = await this.#at(path, query, 0);
      this.#strikes += 1;
      if (this.#strikes >= STRIKES)
        throw new LinkFailed({ why: "blocked", message: "polls that wait are cut" });
      return page;
    }
  }

  #at(path: string, query: Record<string, string | number | undefined>, waitS: number) {
    const { http, signal } = this.#reading;
    const limit = AbortSignal.timeout(waitS * 1000 + ANSWER_WITHIN_MS);
    const waiting = waitS > 0 ? { ...query, wait_s: waitS } : query;
    return http.json(path, { query: waiting, signal: AbortSignal.any([signal, limit]) });
  }
}

function isCut(error: unknown): boolean {
  if (error instanceof ServerUnreachable) return true;
  return error instanceof RequestRefused && [408, 502, 504].includes(error.status ?? 0);
}

async function pollTask(reading: Reading, asking: Asking): Promise<void> {
  const { after: start, snapshot, pending } = await beginning(reading);
  const path = `/tasks/${reading.key}/events`;
  let after = start;
  let rev = 0;
  let page: Partial<EventPage> | null = await first();
  while (!reading.signal.aborted) {
    if (page !== null) {
      tell(reading, page, rev);
      rev = Math.max(rev, ...volatileOf(page).map((event) => event.rev));
      after = page.position ?? after;
      if (!page.next) await asking.rest(page.final);
    }
    try {
      const query = { after: after ? positionText(after) : undefined, limit: PAGE, after_rev: rev };
      page = await asking.page(path, query);
    } catch (error) {
      if (isRefusal(error, "not_found"))
        return reading.event("task_deleted", { task_id: reading.key });
      if (!isRefusal(error, "position_gone")) throw error;
      after = await startAnew();
      page = null;
    }
  }

  /** The first page says whether the position is good. */
  async function first(): Promise<Partial<EventPage> | null> {
    const answer = { ok: true, mode: "replay", position: start, snapshot };
    try {
      const query = { after: start ? positionText(start) : undefined, limit: PAGE };
      const page = await asking.now(path, query);
      if (!pending) reading.answer(answer);
      reading.proven();
      return page;
    } catch (error) {
      if (!isRefusal(error, "position_gone")) throw error;
      if (!pending) reading.answer({ ...answer, mode: "resync" });
      after = await startAnew();
      return null;
    }
  }

  async function startAnew(): Promise<WirePosition> {
    const fresh = await snapshotOf(reading);
    const { position } = fresh;
    const payload = { task_id: reading.key, reason: "position_gone", snapshot: fresh, position };
    reading.event("resync", payload);
    return position;
  }
}

/** A page's events in the order of the other doors: volatile ones come before a final one. */
function tell(reading: Reading, page: Partial<EventPage>, rev: number): void {
  const logged = [...(page.items ?? [])];
  const last = page.final ? logged.splice(-1) : [];
  const volatile = volatileOf(page).filter((event) => event.rev > rev);
  for (const event of [...logged, ...volatile, ...last])
    reading.event("task_update", event as unknown as Json);
}

/** Servers older than that part of the page leave it out. */
function volatileOf(page: Json): Extract<Envelope, { rev: number }>[] {
  return Array.isArray(page.volatile) ? page.volatile : [];
}

async function pollFeed(reading: Reading, asking: Asking): Promise<void> {
  const feed = String(reading.payload.feed);
  let after = typeof reading.payload.after === "string" ? reading.payload.after : undefined;
  let page = await asking.now("/feed", { feed, after, limit: PAGE });
  reading.answer({ ok: true, feed });
  reading.proven();
  let news = true;
  while (!reading.signal.aborted) {
    if (news) reading.event("active_tasks", { feed, ...page });
    after = typeof page.cursor === "string" ? page.cursor : after;
    if (page.more !== true) await asking.rest();
    page = await asking.page("/feed", { feed, after, limit: PAGE });
    news = page.reset === true || (Array.isArray(page.tasks) && page.tasks.length > 0);
  }
}

async function pollQueue(reading: Reading, asking: Asking): Promise<void> {
  for (let isFirst = true; !reading.signal.aborted; isFirst = false) {
    const { items: queues } = await asking.now("/queue", {});
    if (isFirst) reading.answer({ ok: true, feed: QUEUE });
    reading.proven();
    reading.event("queue_update", { feed: QUEUE, queues });
    await pause(QUEUE_EVERY_MS, reading.signal);
  }
}

function isRefusal(error: unknown, code: string): boolean {
  return error instanceof RequestRefused && error.code === code;
}
