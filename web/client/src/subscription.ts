/** A task watched by callbacks: several per event, each with its remover. */

import type { ClientError } from "./errors.ts";
import type { EventOf, EventType, Resync, TaskEvent, WatchItem } from "./wire.ts";

/** Called with an event's data, and the event itself. */
export type EventHandler<Type extends EventType> = (
  data: EventOf<Type>["data"],
  event: EventOf<Type>,
) => void;

/** What can be subscribed to besides the events by their names. */
export interface OtherHandlers {
  /** Every event, whatever its type. */
  event: (event: TaskEvent) => void;
  /** The history was cut: replace what you know by `snapshot`. */
  resync: (resync: Resync) => void;
  /** Nothing more will come: the task is over. */
  end: () => void;
  /** The watch failed; nothing more will come. */
  failure: (error: ClientError | Error) => void;
}

/** The handler for a name. */
export type HandlerOf<Name extends EventType | keyof OtherHandlers> = Name extends EventType
  ? EventHandler<Name>
  : Name extends keyof OtherHandlers
    ? OtherHandlers[Name]
    : never;

type AnyHandler = (...values: never[]) => void;

/** Handlers by name; one that throws keeps no other from being called. */
export class Handlers {
  readonly #byName = new Map<string, Set<AnyHandler>>();

  /** Returns what removes it. */
  add(name: string, handler: AnyHandler): () => void {
    const handlers = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, handlers);
    // The same function may be given twice, and is then two handlers.
    const own: AnyHandler = (...values) => handler(...values);
    handlers.add(own);
    return () => handlers.delete(own);
  }

  call(name: string, ...values: unknown[]): void {
    for (const handler of [...(this.#byName.get(name) ?? [])]) {
      try {
        (handler as (...values: unknown[]) => void)(...values);
      } catch (error) {
        console.error(`taskpush: a handler for ${name} threw`, error);
      }
    }
  }
}

/** One watch, handed out by callbacks; made by `client.subscribe`. */
export class Subscription {
  readonly taskId: string;
  readonly #handlers = new Handlers();
  readonly #stop: () => void;

  /** @internal */
  constructor(taskId: string, items: AsyncIterable<WatchItem>, stop: () => void) {
    this.taskId = taskId;
    this.#stop = stop;
    void this.#run(items);
  }

  /**
   * Call `handler` for each event of that name: an event type, `event`, `resync`, `end`, `failure`.
   *
   * Those that are given before the caller awaits anything see the first event. Returns what
   * removes the handler.
   */
  on<Name extends EventType | keyof OtherHandlers>(
    name: Name,
    handler: HandlerOf<Name>,
  ): () => void {
    return this.#handlers.add(name, handler);
  }

  /** End the watch; no handler is called any more. */
  stop(): void {
    this.#stop();
  }

  async #run(items: AsyncIterable<WatchItem>): Promise<void> {
    try {
      for await (const item of items) {
        if (item.event_type === "resync") {
          this.#handlers.call("resync", item);
        } else {
          this.#handlers.call(item.event_type, item.data, item);
          this.#handlers.call("event", item);
        }
      }
      this.#handlers.call("end");
    } catch (error) {
      if (!(error instanceof Error && error.name === "AbortError"))
        this.#handlers.call("failure", error);
    }
  }
}
