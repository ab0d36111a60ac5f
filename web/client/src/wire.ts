/**
 * What the server sends, read: only the shape that the client itself relies on is checked; unknown
 * event types and fields pass (protocol section 1).
 */

import { BadAnswer } from "./errors.ts";
import type { Envelope, Snapshot, WirePosition } from "./generated/models.ts";

/** A JSON object. */
export type Json = Record<string, unknown>;

/** One event of a task, as its envelope said it; told apart by `event_type`. */
export type TaskEvent = Envelope;

/** The names of events. */
export type EventType = TaskEvent["event_type"];

/** The event with that name. */
export type EventOf<Type extends EventType> = Extract<TaskEvent, { event_type: Type }>;

/**
 * The history was cut: what came before no longer leads to what comes next.
 *
 * Replace what you know of the task with `snapshot`; the events that follow start from `position`.
 */
export interface Resync {
  event_type: "resync";
  task_id: string;
  reason: string;
  snapshot: Snapshot;
  position: WirePosition;
}

/** What a watch gives out. */
export type WatchItem = TaskEvent | Resync;

/** Before the first event: always valid, and means the retained log from its start. */
export const START: WirePosition = { epoch: "", seq: 0 };

/** Whether the value is a JSON object. */
export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Where another watch may go on after this item; null for a volatile one. */
export function positionOf(item: WatchItem): WirePosition | null {
  if (item.event_type === "resync") return item.position;
  return item.seq === null ? null : { epoch: item.epoch, seq: item.seq };
}

/** A position as text, `epoch:seq`. */
export function positionText(position: WirePosition): string {
  return position.epoch ? `${position.epoch}:${position.seq}` : `${position.seq}`;
}

/** Read `epoch:seq` or a bare `seq`; null for anything else. */
export function parsePositionText(text: string): WirePosition | null {
  const match = /^(?:([0-9a-z]{1,32}):)?(0|[1-9][0-9]{0,15})$/.exec(text);
  return match && { epoch: match[1] ?? "", seq: Number(match[2]) };
}

/** Read an envelope; throws `BadAnswer` when it is none. */
export function readEvent(raw: unknown): TaskEvent {
  const envelope = object(raw, "an envelope");
  member(envelope, "task_id", "string");
  member(envelope, "event_type", "string");
  member(envelope, "attempt", "number");
  object(envelope.data, "data");
  if (envelope.seq === null || envelope.seq === undefined) {
    member(envelope, "rev", "number");
    envelope.seq = null;
  } else {
    member(envelope, "seq", "number");
    member(envelope, "epoch", "string");
  }
  return envelope as unknown as TaskEvent;
}

/** Read the payload of `resync`; throws `BadAnswer` when it is none. */
export function readResync(raw: unknown): Resync {
  const payload = object(raw, "a resync");
  return {
    event_type: "resync",
    task_id: member(payload, "task_id", "string"),
    reason: typeof payload.reason === "string" ? payload.reason : "",
    snapshot: readSnapshot(payload.snapshot),
    position: readPosition(payload.position),
  };
}

/** Read a task as the server shows it; throws `BadAnswer` when it is none. */
export function readSnapshot(raw: unknown): Snapshot {
  const snapshot = object(raw, "a task");
  member(snapshot, "task_id", "string");
  member(snapshot, "status", "string");
  readPosition(snapshot.position);
  return snapshot as unknown as Snapshot;
}

/** Read `{"epoch": text, "seq": number}`; throws `BadAnswer` for anything else. */
export function readPosition(raw: unknown): WirePosition {
  const position = object(raw, "a position");
  const seq = member(position, "seq", "number");
  return { epoch: seq === 0 ? "" : member(position, "epoch", "string"), seq };
}

function object(value: unknown, what: string): Json {
  if (!isObject(value)) throw new BadAnswer(`the server sent ${what} that is no object`);
  return value;
}

interface Named {
  string: string;
  number: number;
}

function member<Type extends keyof Named>(fields: Json, name: string, type: Type): Named[Type] {
  const value = fields[name];
  if (typeof value !== type) throw new BadAnswer(`the server sent ${name} that is no ${type}`);
  return value as Named[Type];
}
