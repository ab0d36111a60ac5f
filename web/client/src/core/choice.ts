/** Which door to go through, as a value: no I/O, and the clock is an argument. See ADR 0011. */

export const RETURN_AFTER_MS = 30_000;
export const RETURN_CAP_MS = 600_000;
/** A better door that has held for so long was worth going back to. */
export const HELD_AFTER_MS = 60_000;
/** Links in a row that were lost before anything came over them. */
export const MAX_UNPROVEN = 2;

/** Remembers the door that worked, and when to try a better one. */
export class DoorChoice {
  readonly #count: number;
  #index = 0;
  #unproven = 0;
  #proven = false;
  #pauseMs = RETURN_AFTER_MS;
  #returnAt = Number.POSITIVE_INFINITY;
  #openedAt = 0;

  /** Of so many doors, best first. */
  constructor(count: number) {
    this.#count = count;
  }

  /** The door that worked last. */
  get index(): number {
    return this.#index;
  }

  /** The doors to try now, in their order: what worked last, then what is below it. */
  get candidates(): number[] {
    return Array.from({ length: this.#count - this.#index }, (_, step) => this.#index + step);
  }

  /** The doors above the one in use. */
  get better(): number[] {
    return Array.from({ length: this.#index }, (_, index) => index);
  }

  /** Milliseconds until a better door is to be tried; Infinity when there is none. */
  returnIn(nowMs: number): number {
    return Math.max(0, this.#returnAt - nowMs);
  }

  /** A link is open through that door. */
  opened(index: number, nowMs: number): void {
    if (index > this.#index) this.#stepTo(index, nowMs);
    else if (index < this.#index) this.#goUp(index, nowMs);
    this.#openedAt = nowMs;
    this.#proven = false;
  }

  /** What came over the link shows that the door works. */
  proven(): void {
    this.#proven = true;
    this.#unproven = 0;
  }

  /** The link was lost; `blocked` when something on the way does not let this door work. */
  lost(blocked: boolean, nowMs: number): void {
    if (this.#index === 0 && nowMs - this.#openedAt >= HELD_AFTER_MS)
      this.#pauseMs = RETURN_AFTER_MS;
    this.#unproven = this.#proven ? 0 : this.#unproven + 1;
    if ((blocked || this.#unproven >= MAX_UNPROVEN) && this.#index + 1 < this.#count)
      this.#stepTo(this.#index + 1, nowMs);
  }

  /** No better door opened. */
  stayed(nowMs: number): void {
    this.#pauseMs = Math.min(this.#pauseMs * 2, RETURN_CAP_MS);
    this.#returnAt = nowMs + this.#pauseMs;
  }

  /** The network may be another one: better doors are due at once. */
  networkChanged(nowMs: number): void {
    this.#pauseMs = RETURN_AFTER_MS;
    if (this.#index > 0) this.#returnAt = nowMs;
  }

  #stepTo(index: number, nowMs: number): void {
    this.#index = index;
    this.#unproven = 0;
    this.#returnAt = nowMs + this.#pauseMs;
  }

  #goUp(index: number, nowMs: number): void {
    this.#index = index;
    this.#unproven = 0;
    // If it does not hold, the next try comes later.
    this.#pauseMs = Math.min(this.#pauseMs * 2, RETURN_CAP_MS);
    this.#returnAt = index === 0 ? Number.POSITIVE_INFINITY : nowMs + this.#pauseMs;
  }
}
