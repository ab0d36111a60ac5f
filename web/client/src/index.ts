/**
 * Watches long-running jobs of a taskpush server: nothing missing, nothing twice, nothing out of
 * order, over connections that come and go.
 *
 * @packageDocumentation
 */

export { Client, createClient, newTaskId } from "./client.ts";
export type { ConnectionState, ConnectionStatus, Patience, Setback } from "./connection.ts";
export type { FeedChange, FeedItem, FeedListed, FeedReset } from "./core/feed_session.ts";
export { DOORS, type DoorName } from "./doors/door.ts";
export {
  BadAnswer,
  ClientError,
  RequestRefused,
  ServerUnreachable,
  TaskCancelled,
  TaskFailed,
  TaskInterrupted,
  TaskNotCompleted,
} from "./errors.ts";
export type * from "./generated/models.ts";
export type { Token } from "./http.ts";
export type {
  After,
  AttemptOptions,
  ClientOptions,
  CreateOptions,
  EventsOptions,
  ListOptions,
  UploadOptions,
  UploadProgress,
  WatchTaskOptions,
} from "./options.ts";
export type { EventHandler, HandlerOf, OtherHandlers, Subscription } from "./subscription.ts";
export {
  type EventOf,
  type EventType,
  positionOf,
  positionText,
  type Resync,
  type TaskEvent,
  type WatchItem,
} from "./wire.ts";
