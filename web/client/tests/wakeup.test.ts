import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { watchForWaking } from "../src/wakeup.ts";

/** What a page has of it. */
class FakePage {
  readonly document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  readonly window = new EventTarget();
  readonly woken: boolean[] = [];
  readonly stop: () => void;

  constructor() {
    Object.assign(globalThis, {
      document: this.document,
      addEventListener: this.window.addEventListener.bind(this.window),
      removeEventListener: this.window.removeEventListener.bind(this.window),
    });
    this.stop = watchForWaking((networkChanged) => this.woken.push(networkChanged));
  }

  show(state: string): void {
    this.document.visibilityState = state;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  leave(): void {
    this.stop();
    for (const name of ["document", "addEventListener", "removeEventListener"])
      Reflect.deleteProperty(globalThis, name);
  }
}

test("a page that becomes visible wakes, one that is hidden does not", () => {
  const page = new FakePage();
  page.show("hidden");
  assert.deepEqual(page.woken, []);
  page.show("visible");
  assert.deepEqual(page.woken, [true]);
  page.leave();
});

test("a network that comes may be another one, one that goes is none", () => {
  const page = new FakePage();
  page.window.dispatchEvent(new Event("offline"));
  page.window.dispatchEvent(new Event("online"));
  assert.deepEqual(page.woken, [false, true]);
  page.leave();
});

test("a page from the browser's cache wakes, one that was loaded does not", () => {
  const page = new FakePage();
  page.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false }));
  page.window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  assert.deepEqual(page.woken, [true]);
  page.leave();
});

test("after the end nothing wakes", () => {
  const page = new FakePage();
  page.stop();
  page.show("visible");
  page.window.dispatchEvent(new Event("online"));
  assert.deepEqual(page.woken, []);
  page.leave();
});

test("a process whose clock has jumped was asleep", () => {
  mock.timers.enable({ apis: ["setInterval", "Date"], now: 0 });
  try {
    const woken: boolean[] = [];
    const stop = watchForWaking((networkChanged) => woken.push(networkChanged));
    for (let count = 0; count < 12; count += 1) mock.timers.tick(5000);
    assert.deepEqual(woken, []);
    mock.timers.setTime(200_000);
    mock.timers.tick(5000);
    assert.deepEqual(woken, [false]);
    stop();
  } finally {
    mock.timers.reset();
  }
});
