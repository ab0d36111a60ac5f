/** The best door: one WebSocket for everything. */

import type { Socket } from "socket.io-client";
import { QUEUE } from "../core/queue_session.ts";
import { isPassing, RequestRefused } from "../errors.ts";
import type { Http } from "../http.ts";
import { pause } from "../timing.ts";
import { isObject, type Json } from "../wire.ts";
import {
  type Door,
  type Late,
  type Link,
  LinkFailed,
  type LinkListener,
  type Loss,
} from "./door.ts";
import { renewInTime } from "./renewal.ts";

/** Then another door is tried beside it, */
const OPEN_WITHIN_MS = 2500;
/** and so long it may still open: on a busy machine it takes seconds. */
const LATE_WITHIN_MS = 20_000;
const CHECK_WITHIN_MS = 3000;
const ANSWER_WITHIN_MS = 10_000;
/** Nobody's task: unsubscribing from it does nothing, and is answered. */
const NOBODY = "00000000-0000-0000-0000-000000000000";

/** Connects by WebSocket; also by Engine.IO's own polling where `alone` no other door is allowed. */
export class SocketIoDoor implements Door {
  readonly name = "socketio";
  readonly #http: Http;
  readonly #alone: boolean;

  constructor(http: Http, alone: boolean) {
    this.#http = http;
    this.#alone = alone;
  }

  async open(listener: LinkListener): Promise<Link> {
    const { io } = await import("socket.io-client");
    const token = await this.#http.token();
    const url = new URL(this.#http.serverUrl);
    const socket = io(`${url.origin}/tasks`, {
      path: `${url.pathname.replace(/\/+$/, "")}/socket.io`,
      transports: this.#alone ? ["websocket", "polling"] : ["websocket"],
      tryAllTransports: this.#alone,
      ...(token === null ? {} : { auth: { token } }),
      reconnection: false,
      forceNew: true,
    });
    const given = new AbortController();
    const link = connected(socket, given.signal).then(() => {
      const opened = new SocketIoLink(socket, listener);
      if (token !== null && this.#http.renewable) opened.renew(token, () => this.#http.token());
      return opened;
    });
    return inTime({ link, giveUp: () => given.abort() });
  }
}

class SocketIoLink implements Link {
  readonly #socket: Socket;
  readonly #listener: LinkListener;
  /** What the server said last about the connection as a whole. */
  #refusal: RequestRefused | undefined;
  #stopRenewing = (): void => {};
  #gone = false;

  constructor(socket: Socket, listener: LinkListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.onAny((name: string, payload: unknown) => this.#receive(name, payload));
    socket.on("disconnect", (reason) => this.#lose(this.#loss(reason)));
    listener.proven();
  }

  /** Go on by newer tokens before the present one ends. */
  renew(present: string, token: () => Promise<string | null>): void {
    this.#stopRenewing = renewInTime(present, token, (shown) =>
      this.#socket.timeout(ANSWER_WITHIN_MS).emitWithAck("authenticate", { token: shown }),
    );
  }

  subscribe(_key: string, payload: Json, onAnswer: (answer: unknown) => void): void {
    this.#socket.emit("subscribe", payload, (answer: unknown) => {
      if (!this.#gone) onAnswer(answer);
    });
  }

  unsubscribe(key: string): void {
    this.#socket.emit("unsubscribe", isTask(key) ? { task_id: key } : { feed: key });
  }

  check(): void {
    this.#socket
      .timeout(CHECK_WITHIN_MS)
      .emit("unsubscribe", { task_id: NOBODY }, (silent: Error | null) => {
        if (silent) this.#lose({ why: "cut", message: "the server is silent" });
      });
  }

  close(): void {
    this.#gone = true;
    this.#stopRenewing();
    this.#socket.offAny();
    this.#socket.disconnect();
  }

  #receive(name: string, payload: unknown): void {
    if (this.#gone || !isObject(payload)) return;
    const key = payload.task_id ?? payload.feed;
    if (typeof key === "string") this.#listener.event(key, name, payload);
    else if (name === "error") this.#refusal = refusalOf(payload);
  }

  #loss(reason: string): Loss {
    if (reason !== "io server disconnect") return { why: "cut", message: reason };
    const refusal = this.#refusal ?? new RequestRefused("disconnected");
    return { why: "dismissed", message: refusal.message, refusal };
  }

  #lose(loss: Loss): void {
    if (this.#gone) return;
    this.close();
    this.#listener.lost(loss);
  }
}

/** Whether the key is a task's id: names of feeds are `all`, `queue`, or have a colon. */
export function isTask(key: string): boolean {
  return key !== "all" && key !== QUEUE && !key.includes(":");
}

/** The link, if it opens in time. */
async function inTime(late: Late): Promise<Link> {
  const settled = new AbortController();
  const tooLong = pause(OPEN_WITHIN_MS, settled.signal).then(() => null);
  try {
    const link = await Promise.race([late.link, tooLong]);
    if (link !== null) return link;
  } finally {
    settled.abort();
  }
  const message = `no connection within ${OPEN_WITHIN_MS} ms`;
  throw new LinkFailed({ why: "cut", message, late });
}

function connected(socket: Socket, givenUp: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (loss: Loss): void => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.disconnect();
      reject(new LinkFailed(loss));
    };
    const timer = setTimeout(
      () => fail({ why: "cut", message: `no connection within ${LATE_WITHIN_MS} ms` }),
      LATE_WITHIN_MS,
    );
    givenUp.addEventListener("abort", () => fail({ why: "cut", message: "given up" }));
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners();
      resolve();
    });
    socket.once("connect_error", (error: Error & { data?: unknown }) => fail(failure(error)));
    socket.once("disconnect", (reason) => fail({ why: "cut", message: reason }));
  });
}

function failure(error: Error & { data?: unknown; description?: unknown }): Loss {
  if (isObject(error.data) && typeof error.data.code === "string") {
    const refusal = refusalOf({ message: error.message, ...error.data });
    const why = isPassing(refusal.code) ? "away" : "dismissed";
    return { why, message: error.message, refusal, retryAfterS: refusal.retryAfterS };
  }
  // What the `ws` package says in Node; browsers tell nothing.
  const inner = isObject(error.description) ? String(error.description.message ?? "") : "";
  const status = /Unexpected server response: (\d{3})/.exec(inner)?.[1];
  if (status === "429" || status === "503") return { why: "away", message: inner };
  if (status !== undefined) return { why: "blocked", message: inner };
  return { why: "cut", message: inner || error.message };
}

function refusalOf(payload: Json): RequestRefused {
  const { code, message, retry_after_s } = payload;
  return new RequestRefused(String(code), {
    detail: typeof message === "string" ? message : undefined,
    retryAfterS: typeof retry_after_s === "number" ? retry_after_s : undefined,
  });
}
