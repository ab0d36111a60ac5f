/**
 * Notices when a page or a process was asleep: timers of hidden tabs are throttled, frozen ones
 * stand still, and what was sent meanwhile may be lost with the connection.
 */

import { isObject } from "./wire.ts";

const TICK_MS = 5000;
/** Throttled timers come late by up to a minute; a machine that is merely busy is not that late. */
const SLEPT_MS = 15_000;

/** Calls `wake` with whether the network may be another one; returns what stops it. */
export function watchForWaking(wake: (networkChanged: boolean) => void): () => void {
  const stops = [watchClock(() => wake(false))];
  if (typeof document !== "undefined")
    stops.push(
      listen(document, "visibilitychange", () => {
        if (document.visibilityState === "visible") wake(true);
      }),
    );
  if (typeof addEventListener === "function") {
    stops.push(listen(globalThis, "online", () => wake(true)));
    stops.push(listen(globalThis, "offline", () => wake(false)));
    stops.push(
      listen(globalThis, "pageshow", (event) => {
        if ("persisted" in event && event.persisted) wake(true);
      }),
    );
  }
  return () => {
    for (const stop of stops) stop();
  };
}

/** Whether the device has a network, as far as it knows. */
export function isOnline(): boolean {
  return typeof navigator === "undefined" || navigator.onLine !== false;
}

function watchClock(woke: () => void): () => void {
  let last = Date.now();
  const timer: unknown = setInterval(() => {
    const now = Date.now();
    if (now - last > TICK_MS + SLEPT_MS) woke();
    last = now;
  }, TICK_MS);
  // In Node it must not keep the process alive.
  if (isObject(timer) && typeof timer.unref === "function") timer.unref();
  return () => clearInterval(timer as number);
}

function listen(target: EventTarget, name: string, handler: (event: Event) => void): () => void {
  target.addEventListener(name, handler);
  return () => target.removeEventListener(name, handler);
}
