/** Values that change faster than a page can be drawn. */

import { useSyncExternalStore } from "react";

/** In a hidden tab no frames are drawn; its title shall move nevertheless. */
const HIDDEN_MS = 500;

/** Tells its observers that it changed, at most once per frame. */
export class Observable {
  #observers = new Set<() => void>();
  #version = 0;
  #due = false;

  observe = (observer: () => void): (() => void) => {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  };

  /** Differs when something has changed. */
  version = (): number => this.#version;

  /** To be called after each change. */
  protected changed(): void {
    if (this.#due) return;
    this.#due = true;
    if (document.hidden) setTimeout(this.#tell, HIDDEN_MS);
    else requestAnimationFrame(this.#tell);
  }

  #tell = (): void => {
    this.#due = false;
    this.#version += 1;
    for (const observer of [...this.#observers]) observer();
  };
}

/** Draw the component again whenever the value has changed. */
export function useObserved<Value extends Observable>(value: Value): Value {
  useSyncExternalStore(value.observe, value.version);
  return value;
}

/** Wait until the condition holds; it is looked at after each change. */
export function until(
  value: Observable,
  condition: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const look = (): void => {
      if (!condition()) return;
      stop();
      resolve();
    };
    const unobserve = value.observe(look);
    const abort = (): void => {
      stop();
      reject(signal.reason);
    };
    const stop = (): void => {
      unobserve();
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort);
    look();
  });
}
