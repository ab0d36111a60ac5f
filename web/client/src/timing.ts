/** Waiting, so that it can be given up. */

/** Resolves after so many milliseconds, or at once when the signal is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/** Calls `onSilence` unless it is told of something every so many milliseconds. */
export class Watchdog {
  readonly #onSilence: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #limitMs: number;

  constructor(limitMs: number, onSilence: () => void) {
    this.#limitMs = limitMs;
    this.#onSilence = onSilence;
    this.heard();
  }

  /** Something came; from now on `limitMs` are allowed. */
  heard(limitMs = this.#limitMs): void {
    this.#limitMs = limitMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onSilence, limitMs);
  }

  /** Stop watching. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
