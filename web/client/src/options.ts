/** What the client's methods take. */

import type { Patience } from "./connection.ts";
import type { DoorName } from "./doors/door.ts";
import type { WirePosition } from "./generated/models.ts";
import type { Token } from "./http.ts";
import type { Json } from "./wire.ts";

/** How a client is made. */
export interface ClientOptions {
  /** The API key or token to show, or a function that gives the present one. */
  token?: Token;
  /** The doors that may be used, best first; by default all: `socketio`, `sse`, `long_poll`, `poll`. */
  doors?: readonly DoorName[];
  /** How long a server that does not answer is waited for: by default 10 s, once reached for ever. */
  patience?: Partial<Patience>;
  /**
   * Whether tabs of the same browser, server and user share one connection; where a browser cannot,
   * each has its own. By default they do without a token, so by cookies or on a loopback address. A
   * text names the user, for tokens that differ from tab to tab: say it only where all who say the
   * same may see the same. Other tabs get to know neither the token nor the text.
   */
  share?: boolean | string;
  /** Whether cookies go along to a server of another origin. */
  credentials?: RequestCredentials;
}

/** What may be said of a new task besides its kind and params. */
export interface CreateOptions {
  /** A UUID; by default a random one. It is what makes the call safe to repeat. */
  taskId?: string;
  title?: string;
  /** Higher goes first among the waiting tasks of its kind. */
  priority?: number;
  /** Not before this time. */
  runAt?: Date;
  /** How many seconds an attempt may take. */
  timeoutS?: number;
  maxAttempts?: number;
  tags?: readonly string[];
  metadata?: Json;
  signal?: AbortSignal;
}

/** How a file is sent. */
export interface UploadOptions {
  /** What it is called; a `File` has a name. */
  name?: string;
  /** By default the file's own, or else the name decides. */
  mediaType?: string;
  /** Is told how much has gone, from time to time; in Node at the end only. */
  onProgress?: (progress: UploadProgress) => void;
  /** Ends the sending when it is aborted; nothing is kept then. */
  signal?: AbortSignal;
}

/** How much of a file has gone. */
export interface UploadProgress {
  sentBytes: number;
  totalBytes: number;
}

/** Where a watch starts: a position, its text `epoch:seq`, a bare seq, or `now`. */
export type After = WirePosition | string | number;

/** How a task is watched. */
export interface WatchTaskOptions {
  /** By default the log's start. */
  after?: After;
  /** Whether `preview` events are wanted; they come over Socket.IO alone. */
  previews?: boolean;
  /** Whether the watch goes on when the task is interrupted. */
  pastInterruption?: boolean;
  /** Ends the watch when it is aborted. */
  signal?: AbortSignal;
}

/** Which logged events are read. */
export interface EventsOptions {
  /** What they come after: a position, its text `epoch:seq`, or a bare seq. */
  after?: WirePosition | string | number;
  /** How many at most. */
  limit?: number;
  signal?: AbortSignal;
}

/** Which tasks a list holds. */
export interface ListOptions {
  status?: string;
  kind?: string;
  tag?: string;
  q?: string;
  /** How many at most. */
  limit?: number;
}

/** Which attempt is meant; by default the present one. */
export interface AttemptOptions {
  attempt?: number;
}
