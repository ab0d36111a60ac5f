/** Gets a link through the best of the doors that opens. */

import { type Door, type Link, LinkFailed, type Loss } from "./doors/door.ts";
import { isTask } from "./doors/socketio.ts";
import { RequestRefused } from "./errors.ts";
import type { Json } from "./wire.ts";

/** A link in use, or about to be. */
export interface Opened {
  readonly link: Link;
  /** Which of the doors it went through. */
  readonly index: number;
  readonly ended: Promise<Ending>;
  end(ending: Ending): void;
  /** Whether what came over it shows that its door works. */
  proven: boolean;
}

/** Why a link is used no more. */
export type Ending = Loss | { why: "better"; opened: Opened };

/** A link that did not open in time. */
export interface Belated {
  /** Null when it never opens. */
  readonly opened: Promise<Opened | null>;
  giveUp(): void;
}

/** Is told what comes over any of the links. */
export interface Hearing {
  event(from: Opened, key: string, name: string, payload: Json): void;
  proven(by: Opened): void;
}

/** The doors of a connection, to be opened in the order that its choice says. */
export class Opening {
  readonly #doors: readonly Door[];
  readonly #renewable: boolean;
  readonly #hearing: Hearing;
  /** Of the door tried last that did not open in time; null when there is none. */
  #belated: Belated | null = null;

  constructor(doors: readonly Door[], renewable: boolean, hearing: Hearing) {
    this.#doors = doors;
    this.#renewable = renewable;
    this.#hearing = hearing;
  }

  /** The first of these doors that opens, or why none did; throws when the server turns us away. */
  async first(indices: readonly number[]): Promise<Opened | Loss> {
    let loss: Loss = { why: "away", message: "there is no door" };
    this.belated()?.giveUp();
    for (const index of indices) {
      const opened = await this.#open(index);
      if (!("link" in opened)) {
        loss = opened;
        if (opened.why === "away") return opened;
        continue;
      }
      const first = indices[0] ?? index;
      if (index === first || loss.why === "blocked" || this.#belated) return opened;
      // The server may have come up between the two: then the better door opens as well.
      const again = await this.#open(first);
      if (!("link" in again)) return opened;
      opened.link.close();
      return again;
    }
    return loss;
  }

  /** A better door's link that is still being opened, for the caller to give up; null for none. */
  belated(): Belated | null {
    const belated = this.#belated;
    this.#belated = null;
    return belated;
  }

  /** The first of these doors that lets `key`, which is watched, through; null when none does. */
  async better(indices: readonly number[], key: string): Promise<Opened | null> {
    // A task is tried from where its log is, so that little comes twice.
    const payload: Json = isTask(key) ? { task_id: key, after: "now" } : { feed: key };
    for (const index of indices) {
      const opened = await this.#open(index, { key, payload });
      if ("link" in opened) return opened;
    }
    return null;
  }

  /** What has to be thrown when a link ended so; null when another may be opened. */
  dismissal(loss: Loss): Error | null {
    if (loss.why !== "dismissed") return null;
    if (this.#renewable && loss.refusal?.code === "access_ended") return null;
    return loss.refusal ?? new RequestRefused("disconnected");
  }

  async #open(index: number, trial?: { key: string; payload: Json }): Promise<Opened | Loss> {
    const door = this.#doors[index];
    if (!door) throw new RangeError(`there is no door ${index}`);
    let end: (ending: Ending) => void = () => {};
    const ended = new Promise<Ending>((resolve) => {
      end = resolve;
    });
    const opened: Partial<Opened> = { index, ended, end, proven: trial !== undefined };
    const self = opened as Opened;
    const listener = {
      event: (key: string, name: string, payload: Json) =>
        this.#hearing.event(self, key, name, payload),
      proven: () => {
        self.proven = true;
        this.#hearing.proven(self);
      },
      lost: end,
    };
    try {
      return Object.assign(self, { link: await door.open(listener, trial) });
    } catch (error) {
      if (!(error instanceof LinkFailed)) throw error;
      const dismissal = this.dismissal(error.loss);
      if (dismissal) throw dismissal;
      const { late } = error.loss;
      if (!late) return error.loss;
      const belated = late.link.then(
        (link) => Object.assign(self, { link }),
        () => null,
      );
      // Beside a door that is in use there is time.
      if (trial) return (await belated) ?? error.loss;
      this.#belated = { opened: belated, giveUp: () => late.giveUp() };
      return error.loss;
    }
  }
}
