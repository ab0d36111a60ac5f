/** One connection for all tabs of a group: this tab has it, or uses another tab's. */

import type { Connecting, Connection, ConnectionStatus } from "../connection.ts";
import type { Member } from "../core/topic.ts";
import type { ClientError } from "../errors.ts";
import type { TabGroup } from "./group.ts";
import { Host } from "./host.ts";
import { TabDoor } from "./tab_door.ts";

/** What it is made with. */
export interface SharedOptions {
  group: Promise<TabGroup>;
  /** This tab's own connection, used while it is the host. */
  own: (onStatus: (status: ConnectionStatus) => void) => Connection;
  /** A connection through that door alone. */
  through: (door: TabDoor, onStatus: (status: ConnectionStatus) => void) => Connection;
  onStatus(status: ConnectionStatus): void;
}

/** Part of a group while something is watched; who holds the group's lock is its host. */
export class SharedConnection implements Connecting {
  readonly #options: SharedOptions;
  readonly #own: Connection;
  readonly #members = new Set<Member>();
  /** The connection in use; null until it is known which. */
  #via: Connection | null = null;
  #host: Host | null = null;
  #door: TabDoor | null = null;
  /** Ends this tab's part in the group; null when it has none. */
  #leaving: AbortController | null = null;
  /** Takes the lock from whoever has it. */
  #stealing = new AbortController();
  #closed = false;
  #status: ConnectionStatus = { state: "offline", door: null, setback: null };

  constructor(options: SharedOptions) {
    this.#options = options;
    this.#own = options.own(() => this.#tell());
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  add(member: Member): void {
    this.#members.add(member);
    this.#via?.add(member);
    if (!this.#leaving && !this.#closed) void this.#take();
    this.#tell();
  }

  remove(member: Member): void {
    this.#members.delete(member);
    this.#via?.remove(member);
    this.#leaveWhenIdle();
  }

  flush(key: string): void {
    this.#via?.flush(key);
  }

  wake(networkChanged: boolean): void {
    this.#via?.wake(networkChanged);
  }

  close(error: ClientError): void {
    this.#closed = true;
    const members = [...this.#members];
    this.#leave();
    this.#own.close(error);
    for (const member of members) {
      member.session.fail(error);
      member.changed();
    }
  }

  // ---------------------------------------------------------------- which tab it is

  /** Take part in the group until it is left. */
  async #take(): Promise<void> {
    const leaving = new AbortController();
    this.#leaving = leaving;
    const { signal } = leaving;
    try {
      const group = await this.#options.group;
      let how: LockOptions = { ifAvailable: true };
      while (!signal.aborted) {
        const led = await this.#hold(group, how, signal);
        if (led || signal.aborted) continue;
        this.#follow(group);
        const stolen = this.#stealing.signal.aborted;
        this.#stealing = new AbortController();
        how = stolen
          ? { steal: true }
          : { signal: AbortSignal.any([signal, this.#stealing.signal]) };
      }
    } catch (error) {
      // A browser may refuse locks and channels, as in a page without storage.
      if (signal.aborted) return;
      console.warn("taskpush: this tab cannot share its connection", error);
      this.#use(this.#own);
    }
  }

  /** Be the host while the lock is held; false when there is another one. */
  async #hold(group: TabGroup, how: LockOptions, leaving: AbortSignal): Promise<boolean> {
    const held = async (lock: Lock | null): Promise<boolean> => {
      if (lock === null || leaving.aborted) return false;
      this.#lead(group);
      await aborted(leaving);
      return true;
    };
    try {
      return await group.browser.locks.request(group.name, how, held);
    } catch (error) {
      // It was taken away, or is waited for no more.
      if (error instanceof Error && error.name === "AbortError") return false;
      throw error;
    }
  }

  #lead(group: TabGroup): void {
    this.#use(this.#own);
    this.#host = new Host(group, this.#own, () => this.#leaveWhenIdle());
  }

  #follow(group: TabGroup): void {
    if (this.#door && !this.#host) return;
    this.#host?.close();
    this.#host = null;
    const door = new TabDoor(group, () => this.#stealing.abort());
    this.#use(
      this.#options.through(door, () => this.#tell()),
      door,
    );
  }

  #use(next: Connection | null, door: TabDoor | null = null): void {
    const last = this.#via;
    this.#via = next;
    for (const member of this.#members) {
      last?.remove(member);
      member.session.linkDown();
      if (!member.session.over) next?.add(member);
    }
    this.#door?.close();
    this.#door = door;
    this.#tell();
  }

  #leaveWhenIdle(): void {
    if (this.#members.size === 0 && (this.#host?.empty ?? true)) this.#leave();
  }

  #leave(): void {
    this.#host?.close();
    this.#host = null;
    this.#use(null);
    this.#leaving?.abort();
    this.#leaving = null;
    this.#tell();
  }

  // ---------------------------------------------------------------- how it stands

  #tell(): void {
    this.#host?.tell();
    const waits = this.#leaving !== null && this.#members.size > 0;
    const unknown = { state: waits ? "recovering" : "offline", door: null, setback: null } as const;
    const { state, door, setback } = this.#via?.status ?? unknown;
    const before = this.#status;
    if (state === before.state && door === before.door && setback === before.setback) return;
    this.#status = { state, door, setback };
    this.#options.onStatus(this.#status);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}
