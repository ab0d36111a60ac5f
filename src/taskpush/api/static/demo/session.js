// @ts-check
/**
 * The live connection to one server, and the one task that is watched over it.
 *
 * Reconnecting is Socket.IO's business; this module subscribes again from the last event seen.
 */

import { OWN_BASE } from "./addresses.js";
import { describeUnreachable, messageOf, post, request, taskPath } from "./rest.js";
import { keepToken, tokenFor } from "./token.js";
import { WatchedTask } from "./watched-task.js";

/** @typedef {import("./wire.js").Snapshot} Snapshot */

const NO_ACCESS = new Set(["unauthenticated", "access_ended"]);
const ACK_TIMEOUT_MS = 10_000;

export class Session {
  base = OWN_BASE;
  /** Empty until a server introduced itself. */
  serverVersion = "";
  /** @type {"offline" | "connecting" | "live" | "recovering"} */
  phase = "offline";
  /** Why it is not live, where there is more to say than that. */
  problem = "";
  /** Whether the server wants a token that this page doesn't have. */
  wantsToken = false;
  /** When it was last live; null while it is, and before it was. @type {number | null} */
  lostAt = null;
  /** Null while nothing is watched. @type {WatchedTask | null} */
  task = null;
  /** The Socket.IO client; null while nobody wants a connection. @type {any} */
  #socket = null;
  /** What the server last complained about, which explains a disconnect that follows. */
  #complaint = "";
  #accessEnded = false;
  /** While true, events belong to an older cursor, and come again after the answer. */
  #isSubscribing = false;

  /** @param {{onConnect: () => void, onChange: () => void}} listeners */
  constructor({ onConnect, onChange }) {
    this.onConnect = onConnect;
    this.onChange = onChange;
  }

  /** @param {string} base */
  connect(base) {
    this.disconnect();
    if (base !== this.base) this.#changeServer(base);
    const io = /** @type {any} */ (globalThis).io;
    if (typeof io !== "function") {
      this.#become("offline", "The Socket.IO client could not be loaded from this page's server.");
      return;
    }
    const url = new URL(base);
    this.#socket = io(`${url.origin}/tasks`, {
      path: `${url.pathname}socket.io/`,
      // WebSocket first: polling needs sticky sessions once there are several servers.
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      multiplex: false,
      auth: (give) => give(tokenFor(base) === "" ? {} : { token: tokenFor(base) }),
      // A restarted server is back within a second or two; the delay doubles up to the maximum.
      reconnectionDelay: 250,
      reconnectionDelayMax: 5000,
    });
    this.#listen();
    this.#become("connecting");
  }

  /** @param {string} [problem] */
  disconnect(problem = "") {
    this.#socket?.off();
    this.#socket?.disconnect();
    this.#socket = null;
    this.#become("offline", problem);
  }

  #changeServer(base) {
    this.base = base;
    this.wantsToken = false;
    this.serverVersion = "";
    this.lostAt = null;
    if (this.task) this.task = new WatchedTask(this.task.taskId, base);
  }

  #become(phase, problem = "") {
    if (this.phase === "live" && phase !== "live") this.lostAt = Date.now();
    if (phase === "live") this.lostAt = null;
    this.phase = phase;
    this.problem = problem;
    this.onChange();
  }

  /** Handlers run in the order of the frames, which the watched task relies on. */
  #listen() {
    this.#socket.on("connect", () => this.#onConnect());
    this.#socket.on("connect_error", (error) => this.#onConnectError(error));
    this.#socket.on("disconnect", (reason) => this.#onDisconnect(reason));
    this.#socket.on("connected", (greeting) => this.#onGreeting(greeting));
    this.#socket.on("task_update", (event) => this.#onTaskUpdate(event));
    this.#socket.on("resync", (message) => this.#onResync(message));
    this.#socket.on("task_deleted", (message) => this.#onTaskDeleted(message));
    this.#socket.on("error", (error) => this.#onServerError(error));
  }

  #onConnect() {
    this.#complaint = "";
    this.#accessEnded = false;
    this.onConnect();
    if (this.task && this.task.phase !== "deleted") this.#subscribe(this.task);
    else this.#become("live");
  }

  #onConnectError(error) {
    if (this.#socket.active) this.#become(this.phase, `${describeUnreachable(this.base)} Trying again until it works.`);
    else if (NO_ACCESS.has(error.data?.code)) this.#askForToken(error.message);
    else if (error.data?.retry_after_s > 0) this.#comeBackIn(error.data.retry_after_s, error.message);
    else this.disconnect(`The server refused the connection: ${error.message}`);
  }

  #onDisconnect(reason) {
    if (reason !== "io server disconnect") this.#become("recovering");
    else if (this.#accessEnded) this.#askForToken(this.#complaint);
    else this.disconnect(`The server ended the connection: ${this.#complaint || "no reason was given"}.`);
  }

  #comeBackIn(seconds, reason) {
    const socket = this.#socket;
    this.#become("connecting", `${reason}. Trying again in ${seconds} s.`);
    setTimeout(() => {
      if (this.#socket === socket) socket.connect();
    }, seconds * 1000);
  }

  #askForToken(reason) {
    keepToken(this.base, "");
    this.wantsToken = true;
    this.disconnect(`The server wants a token: ${reason}.`);
  }

  #onGreeting({ server_version: version }) {
    this.serverVersion = `taskpush ${version}`;
    this.wantsToken = false;
    this.onChange();
  }

  #onServerError(error) {
    this.#complaint = error.message;
    this.#accessEnded = NO_ACCESS.has(error.code);
    const { task } = this;
    if (task?.taskId !== error.task_id) return;
    // A refused subscription has its ack; this is for what goes wrong later.
    if (task?.phase === "pending") refuse(task, error);
    else if (task?.phase === "watching") task.note(`The server says: ${error.message}`);
    this.onChange();
  }

  /** @param {string} taskId Empty to watch nothing. */
  watch(taskId) {
    const old = this.task;
    if (old?.taskId === taskId) return;
    if (old && this.#socket?.connected) this.#socket.emit("unsubscribe", { task_id: old.taskId });
    this.task = taskId === "" ? null : new WatchedTask(taskId, this.base);
    if (this.task && this.#socket?.connected) this.#subscribe(this.task);
    this.onChange();
  }

  #subscribe(task) {
    const asked = this.#socket;
    const after = task.cursor ?? undefined;
    this.#isSubscribing = true;
    asked.timeout(ACK_TIMEOUT_MS).emit("subscribe", { task_id: task.taskId, after, previews: true },
      (error, ack) => {
        if (this.task !== task || this.#socket !== asked) return;
        if (!error) this.#onSubscribed(task, ack);
        else if (asked.connected) this.#subscribe(task);
      });
  }

  #onSubscribed(task, ack) {
    this.#isSubscribing = false;
    if (!ack.ok) refuse(task, ack);
    else if (ack.mode === "pending") task.phase = "pending";
    // After mode `resync`, an event of that name brings the snapshot.
    else if (ack.mode !== "resync") this.#begin(task, ack);
    this.#become("live");
    this.#loadMissingResult(task);
  }

  #begin(task, ack) {
    task.applySnapshot(ack.snapshot);
    if (task.cursor && this.lostAt !== null) task.note(`Connected again, going on after event ${task.cursor.seq}.`);
    task.cursor ??= ack.position;
    task.phase = "watching";
  }

  #onTaskUpdate(event) {
    const { task } = this;
    if (!task || event.task_id !== task.taskId || this.#isSubscribing) return;
    if (task.phase === "pending") this.#loadSnapshot(task);
    task.phase = "watching";
    if (task.applyEvent(event) === "gap") {
      task.note("An event is missing; asking for it again.");
      this.#subscribe(task);
    }
    this.#loadMissingResult(task);
    this.onChange();
  }

  #onResync({ task_id: taskId, reason, snapshot, position }) {
    const { task } = this;
    if (!task || task.taskId !== taskId) return;
    const fresh = new WatchedTask(taskId, task.base);
    this.task = fresh;
    Object.assign(fresh, { phase: "watching", cursor: position });
    fresh.applySnapshot(snapshot);
    fresh.note(`The server can't continue from where this page was (${reason}). `
      + `Shown is its present state, after event ${position.seq}; what came before isn't listed.`);
    this.#loadMissingResult(fresh);
    this.onChange();
  }

  #onTaskDeleted({ task_id: taskId }) {
    if (this.task && this.task.taskId === taskId) this.task.phase = "deleted";
    this.onChange();
  }

  /** Names and params of a task that was subscribed to before it existed. */
  async #loadSnapshot(task) {
    try {
      task.applySnapshot(await request(task.base, taskPath(task.taskId)));
    } catch (error) {
      task.note(`The task's description can't be read: ${messageOf(error)}`);
    }
    this.onChange();
  }

  /** A large result, and one from before a resync, didn't come with an event. */
  async #loadMissingResult(task) {
    if (!task.lacksResult || task.phase !== "watching") return;
    task.result = { phase: "loading", value: null, problem: "" };
    const { attempt } = task;
    /** @type {typeof task.result} */
    let outcome;
    try {
      const body = await request(task.base, `${taskPath(task.taskId)}/result`);
      outcome = { phase: "ready", value: body.result, problem: "" };
    } catch (error) {
      outcome = { phase: "failed", value: null, problem: messageOf(error) };
    }
    if (task.attempt === attempt) task.result = outcome;
    this.onChange();
  }

  async cancelTask() {
    const { task } = this;
    if (!task) return;
    Object.assign(task, { isCancelAsked: true, cancelProblem: "" });
    this.onChange();
    try {
      await post(task.base, `${taskPath(task.taskId)}/cancel`, { attempt: task.attempt });
    } catch (error) {
      Object.assign(task, { isCancelAsked: false, cancelProblem: `It could not be cancelled: ${messageOf(error)}` });
    }
    this.onChange();
  }
}

function refuse(task, error) {
  task.phase = "refused";
  task.problem = error.code === "not_found"
    ? "There is no such task here, or you may not see it. It may have been deleted, or the link may belong to another server."
    : `This task can't be watched: ${error.message}`;
}
