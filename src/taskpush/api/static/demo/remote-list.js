// @ts-check
/** A list that the server has, as it was when last asked. */

import { messageOf, request } from "./rest.js";

/** @template Item */
export class RemoteList {
  /** @type {"idle" | "loading" | "ready" | "failed"} */
  phase = "idle";
  /** @type {Item[]} */
  items = [];
  /** Why the last attempt failed; empty when it didn't. */
  problem = "";
  /** The server whose items these are. */
  #base = "";

  /** @param {string} path @param {() => void} onChange */
  constructor(path, onChange) {
    this.path = path;
    this.onChange = onChange;
  }

  /** Keeps what it has while it asks the same server again. @param {string} base */
  async load(base) {
    if (base !== this.#base) this.items = [];
    this.#base = base;
    if (this.phase !== "ready") this.phase = "loading";
    try {
      const page = await request(base, this.path);
      if (base === this.#base) this.#settle("ready", page.items, "");
    } catch (error) {
      if (base === this.#base) this.#settle("failed", this.items, messageOf(error));
    }
  }

  #settle(phase, items, problem) {
    Object.assign(this, { phase, items, problem });
    this.onChange();
  }
}
