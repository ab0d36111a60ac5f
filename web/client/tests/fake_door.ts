/** A door to a server that is none. */
import {
  type Door,
  type Link,
  LinkFailed,
  type LinkListener,
  type Loss,
  type Trial,
} from "../src/doors/door.ts";
import type { Json } from "../src/wire.ts";
import { accepted, snapshot, TASK } from "./envelopes.ts";

/** A door to a log that grows, or why it does not open. */
export class FakeDoor implements Door {
  readonly name: Door["name"];
  failing: Loss["why"] | null = null;
  /** What opening it waits for. */
  gate: Promise<void> | null = null;
  /** What a link waits for that does not open in time. */
  tardy: Promise<void> | null = null;
  givenUp = 0;
  opened = 0;
  closed = 0;
  asked: unknown[] = [];
  checks = 0;
  #log: Json[];
  #links = new Set<LinkListener>();

  constructor(name: Door["name"], log: Json[]) {
    this.name = name;
    this.#log = log;
  }

  async open(listener: LinkListener, trial?: Trial): Promise<Link> {
    if (this.failing) throw new LinkFailed({ why: this.failing, message: "not now" });
    await this.gate;
    if (this.tardy && !trial) {
      const link = this.tardy.then(() => this.#link(listener));
      const late = { link, giveUp: () => (this.givenUp += 1) };
      throw new LinkFailed({ why: "cut", message: "not in time", late });
    }
    return this.#link(listener, trial);
  }

  #link(listener: LinkListener, trial?: Trial): Link {
    this.opened += 1;
    this.#links.add(listener);
    if (!trial) listener.proven();
    return {
      subscribe: (key, payload, onAnswer) => {
        this.asked.push(payload.after);
        const after = (payload.after as { seq: number } | undefined)?.seq ?? 0;
        onAnswer(accepted(after, snapshot(this.#log.length)));
        for (const event of this.#log.slice(after)) listener.event(key, "task_update", event);
      },
      unsubscribe: () => {},
      check: () => {
        this.checks += 1;
      },
      close: () => {
        this.closed += 1;
        this.#links.delete(listener);
      },
    };
  }

  write(event: Json): void {
    this.#log.push(event);
    for (const listener of this.#links) listener.event(TASK, "task_update", event);
  }

  lose(why: Loss["why"] = "cut"): void {
    const links = [...this.#links];
    this.#links.clear();
    for (const listener of links) listener.lost({ why, message: "lost" });
  }
}
