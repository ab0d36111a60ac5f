/** The client: creates tasks on a taskpush server, and watches them. */

import { connectionOf } from "./connecting.ts";
import type { Connecting, ConnectionStatus } from "./connection.ts";
import { type FeedItem, FeedSession } from "./core/feed_session.ts";
import { QueueSession } from "./core/queue_session.ts";
import { WatchSession } from "./core/session.ts";
import {
  BadAnswer,
  ClientError,
  RequestRefused,
  TaskCancelled,
  TaskFailed,
  TaskInterrupted,
} from "./errors.ts";
import type {
  Kind,
  KindQueue,
  ListedArtifact,
  Snapshot,
  Summary,
  Upload,
  WirePosition,
} from "./generated/models.ts";
import { Http } from "./http.ts";
import type {
  After,
  AttemptOptions,
  ClientOptions,
  CreateOptions,
  EventsOptions,
  ListOptions,
  UploadOptions,
  WatchTaskOptions,
} from "./options.ts";
import { Refused, Rest } from "./rest.ts";
import { Handlers, Subscription } from "./subscription.ts";
import { sendFile } from "./upload.ts";
import { watchForWaking } from "./wakeup.ts";
import { watch } from "./watch.ts";
import {
  isObject,
  type Json,
  parsePositionText,
  positionText,
  readEvent,
  readSnapshot,
  type TaskEvent,
  type WatchItem,
} from "./wire.ts";

/** A page of tasks holds no more, */
const PAGE = 200;
/** and one of events. */
const EVENTS_PAGE = 1000;

/**
 * Creates tasks and watches them. Made by `createClient`.
 *
 * Any call may throw `ServerUnreachable`, `BadAnswer` and `RequestRefused`.
 */
export class Client {
  readonly serverUrl: string;
  readonly #http: Http;
  readonly #rest: Rest;
  readonly #connection: Connecting;
  readonly #handlers = new Handlers();
  readonly #stopWaking: () => void;

  /** @internal */
  constructor(serverUrl: string, options: ClientOptions = {}) {
    const http = new Http(checked(serverUrl), options.token, options.credentials);
    this.serverUrl = http.serverUrl;
    this.#http = http;
    this.#rest = new Rest(http);
    this.#connection = connectionOf(http, options, (status) =>
      this.#handlers.call("connection", status),
    );
    this.#stopWaking = watchForWaking((changed) => this.#connection.wake(changed));
  }

  /** How the connection for watches stands, and which door is in use. */
  get connection(): ConnectionStatus {
    return this.#connection.status;
  }

  /** Call `handler` whenever the connection or its door changes; returns what removes it. */
  on(_name: "connection", handler: (status: ConnectionStatus) => void): () => void {
    return this.#handlers.add("connection", handler);
  }

  /** Try at once to get a lost connection back, rather than when the next try is due. */
  reconnect(): void {
    this.#connection.wake(false);
  }

  /** End all watches and the connection; they throw `ClientError` with code `closed`. */
  close(): void {
    this.#stopWaking();
    this.#connection.close(new ClientError("the client was closed", "closed"));
  }

  // ---------------------------------------------------------------- tasks

  /**
   * Create a task: `createTask("layout", { max_iterations: 20 })`.
   *
   * The task's id is chosen here, so a call whose answer is lost is repeated, and creates one task.
   * Throws `RequestRefused` with `unknown_kind`, `invalid_params` (see `errors`), `queue_full`
   * (see `retryAfterS`), …
   */
  async createTask(
    kind: string,
    params: Json = {},
    options: CreateOptions = {},
  ): Promise<Snapshot> {
    const taskId = options.taskId ?? newTaskId();
    const body = newTask(kind, params, taskId, options);
    try {
      const call = { method: "POST", body, signal: options.signal };
      return readSnapshot((await this.#rest.attempt("/tasks", call)).value);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (!error.repeated || error.refusal.code !== "task_id_taken") throw error.refusal;
      // An earlier try created it, and its answer was lost.
      const task = await this.getTask(taskId);
      if (task.kind !== kind) throw error.refusal;
      return task;
    }
  }

  /** The task as it stands. */
  async getTask(taskId: string): Promise<Snapshot> {
    return readSnapshot(await this.#rest.call(path(taskId)));
  }

  /**
   * What the completed task returned.
   *
   * Throws `TaskFailed`, `TaskCancelled` or `TaskInterrupted` when it ended otherwise, and
   * `RequestRefused` with `task_not_finished` while it goes on.
   */
  async result<Result = unknown>(taskId: string): Promise<Result> {
    try {
      const answer = await this.#rest.call(`${path(taskId)}/result`);
      if (!isObject(answer)) throw new BadAnswer("the server sent a result that is none");
      return answer.result as Result;
    } catch (error) {
      throw error instanceof RequestRefused ? withoutResult(taskId, error) : error;
    }
  }

  /**
   * Ask for the task's end; a running one goes on until it has stopped.
   *
   * With `keep` it ends `interrupted`, and `retry` goes on from its newest checkpoint. Throws
   * `RequestRefused` with `illegal_transition` when it is over already.
   */
  cancel(taskId: string, options: AttemptOptions & { keep?: boolean } = {}): Promise<Snapshot> {
    return this.#command(taskId, "cancel", { keep: false, ...options });
  }

  /**
   * Give a task that failed, was cancelled or interrupted another attempt.
   *
   * It goes on from its newest checkpoint unless `fromStart`. Throws `RequestRefused` with
   * `illegal_transition` for a task in another state.
   */
  retry(taskId: string, options: AttemptOptions & { fromStart?: boolean } = {}): Promise<Snapshot> {
    const { fromStart = false, ...attempt } = options;
    return this.#command(taskId, "retry", { from_start: fromStart, ...attempt });
  }

  /** Delete a task that is over, with its events and artifacts. */
  async delete(taskId: string): Promise<void> {
    await this.#rest.call(path(taskId), { method: "DELETE" }, false);
  }

  /** The tasks that fit, newest first. */
  async *listTasks(options: ListOptions = {}): AsyncGenerator<Summary, void, undefined> {
    const { limit = Number.POSITIVE_INFINITY, ...filters } = options;
    let left = limit;
    const query = { ...filters, limit: Math.max(1, Math.min(limit, PAGE)) };
    for await (const task of this.#rest.items("/tasks", query)) {
      if (left <= 0) return;
      left -= 1;
      yield task as unknown as Summary;
    }
  }

  /**
   * Send a file; its `upload_id` may stand in params that take one.
   *
   * It is deleted at `expires_at` unless a task uses it by then. Throws `RequestRefused` with
   * `payload_too_large` or `upload_limit`, and an `AbortError` when `signal` was aborted.
   */
  upload(file: Blob, options: UploadOptions = {}): Promise<Upload> {
    return sendFile(this.#http, file, options);
  }

  /** Delete a file that no task uses; throws `RequestRefused` with `upload_in_use`. */
  async discardUpload(uploadId: string): Promise<void> {
    await this.#rest.call(`/uploads/${encodeURIComponent(uploadId)}`, { method: "DELETE" }, false);
  }

  /** What tasks the server runs, with JSON Schema of their params and results. */
  async kinds(): Promise<Kind[]> {
    return (await all(this.#rest.items("/kinds", {}))) as unknown as Kind[];
  }

  /**
   * The task's logged events that there are now, without waiting for more; by default from the
   * log's start.
   *
   * Throws `RequestRefused` with `position_gone` when the log does not reach back to `after`.
   */
  async *events(
    taskId: string,
    options: EventsOptions = {},
  ): AsyncGenerator<TaskEvent, void, undefined> {
    const { after, limit = Number.POSITIVE_INFINITY, signal } = options;
    const position = typeof after === "object" ? positionText(after) : after;
    const query = { after: position, limit: Math.max(1, Math.min(limit, EVENTS_PAGE)) };
    let left = limit;
    for await (const raw of this.#rest.items(`${path(taskId)}/events`, query, signal)) {
      yield readEvent(raw);
      left -= 1;
      // Before the next page is asked for.
      if (left <= 0) return;
    }
  }

  /** The files that the task has made. */
  async artifacts(taskId: string): Promise<ListedArtifact[]> {
    const items = await all(this.#rest.items(`${path(taskId)}/artifacts`, {}));
    return items as unknown as ListedArtifact[];
  }

  /** Who waits for what and how long, of one kind or of all. */
  async queue(
    kind?: string,
    options: { params?: Json; limit?: number } = {},
  ): Promise<KindQueue[]> {
    const params = options.params && JSON.stringify(options.params);
    const query = { kind, params, limit: options.limit };
    return (await all(this.#rest.items("/queue", query))) as unknown as KindQueue[];
  }

  // ---------------------------------------------------------------- watching

  /**
   * The task's events, live, until it is over; lost connections are restored unnoticed.
   *
   * Logged events come without a gap, a duplicate or a change of order; volatile ones (`progress`,
   * …) as the newest state of their type. A `resync` among them says that the history was cut. The
   * last item is the event with `final`, or the one that says `interrupted`, unless
   * `pastInterruption`. A task that is over already gives its log and ends.
   *
   * A task that does not exist yet is waited for, a minute at most; then, and when it is deleted,
   * this throws `RequestRefused` with `not_found`.
   */
  async *watch(
    taskId: string,
    options: WatchTaskOptions = {},
  ): AsyncGenerator<WatchItem, void, undefined> {
    const { after, previews, pastInterruption, signal } = options;
    const session = new WatchSession(taskId.toLowerCase(), {
      after: await this.#start(taskId, after),
      previews,
      pastInterruption,
    });
    yield* watch(this.#connection, session, signal);
  }

  /**
   * What changes in a set of tasks, live, without end: each task in its newest state.
   *
   * `name` is `all`, `kind:NAME`, `tag:NAME` or `owner:me`. First come the tasks that wait or run,
   * then `listed`; or, with the `cursor` of an earlier change as `after`, what changed since. A
   * `reset` says that the server could not tell what changed: what is known has to be forgotten.
   */
  feed(
    name = "all",
    options: { after?: string; signal?: AbortSignal } = {},
  ): AsyncGenerator<FeedItem, void, undefined> {
    return watch(this.#connection, new FeedSession(name, options.after), options.signal);
  }

  /**
   * Every kind's queue as you may see it, live, without end: all of them each time that one looks
   * different, at most once a second.
   */
  watchQueue(options: { signal?: AbortSignal } = {}): AsyncGenerator<KindQueue[], void, undefined> {
    return watch(this.#connection, new QueueSession(), options.signal);
  }

  /** Watch by callbacks: `client.subscribe(id).on("progress", (data) => …)`. */
  subscribe(taskId: string, options: WatchTaskOptions = {}): Subscription {
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const items = this.watch(taskId, { ...options, signal });
    return new Subscription(taskId, items, () => stop.abort());
  }

  /**
   * Create a task, watch it to its end, and give its result.
   *
   * `onEvent` is called with each event. Throws as `createTask` and `result` do. When `signal` is
   * aborted the waiting ends; the task goes on.
   */
  async run<Result = unknown>(
    kind: string,
    params: Json = {},
    options: CreateOptions & { onEvent?: (item: WatchItem) => void } = {},
  ): Promise<Result> {
    const { onEvent, signal, ...create } = options;
    const { task_id } = await this.createTask(kind, params, {
      ...create,
      ...(signal && { signal }),
    });
    for await (const item of this.watch(task_id, signal ? { signal } : {})) onEvent?.(item);
    return this.result<Result>(task_id);
  }

  // ---------------------------------------------------------------- how

  async #command(taskId: string, name: string, body: Json): Promise<Snapshot> {
    const call = { method: "POST", body };
    return readSnapshot(await this.#rest.call(`${path(taskId)}/${name}`, call, false));
  }

  async #start(taskId: string, after?: After): Promise<WirePosition | "now" | undefined> {
    if (after === undefined || after === "now") return after;
    const position = typeof after === "object" ? after : parsePositionText(String(after));
    if (position === null)
      throw new RequestRefused("invalid_position", { detail: `no position: ${after}` });
    if (position.seq === 0 || position.epoch) return position;
    // A subscription's position needs the epoch, which a bare seq leaves out.
    const before = positionText({ epoch: "", seq: position.seq - 1 });
    for await (const raw of this.#rest.items(`${path(taskId)}/events`, {
      after: before,
      limit: 1,
    })) {
      const { epoch, seq } = readEvent(raw) as { epoch: string; seq: number };
      return { epoch, seq };
    }
    const detail = `the log does not reach ${position.seq} yet`;
    throw new RequestRefused("position_gone", { detail });
  }
}

/**
 * A client of the server that is mounted at `url`, such as `https://example.org/jobs`; in a browser
 * also an address relative to the page.
 */
export function createClient(url = "/", options: ClientOptions = {}): Client {
  return new Client(url, options);
}

/** A random UUID, also on pages that are not served by HTTPS, where browsers have no `randomUUID`. */
export function newTaskId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function checked(serverUrl: string): string {
  const base = typeof location === "undefined" ? undefined : location.href;
  const url = new URL(serverUrl, base);
  if (!/^https?:$/.test(url.protocol))
    throw new TypeError(`a server is named as http://host:port, not ${serverUrl}`);
  return url.origin + url.pathname;
}

function newTask(kind: string, params: Json, taskId: string, options: CreateOptions): Json {
  return {
    kind,
    params,
    task_id: taskId,
    title: options.title,
    priority: options.priority,
    run_at: options.runAt?.toISOString(),
    timeout_s: options.timeoutS,
    max_attempts: options.maxAttempts,
    tags: options.tags,
    metadata: options.metadata,
  };
}

function path(taskId: string): string {
  return `/tasks/${encodeURIComponent(taskId)}`;
}

function withoutResult(taskId: string, refusal: RequestRefused): ClientError {
  const { code, detail, problem } = refusal;
  switch (code) {
    case "task_failed":
      return new TaskFailed(
        taskId,
        detail,
        String(problem.error_type ?? ""),
        String(problem.error_code ?? code),
      );
    case "task_cancelled":
      return new TaskCancelled(taskId, detail);
    case "task_interrupted":
      return new TaskInterrupted(taskId, detail);
    default:
      return refusal;
  }
}

async function all(items: AsyncIterable<Json>): Promise<Json[]> {
  const found: Json[] = [];
  for await (const item of items) found.push(item);
  return found;
}
