// Made of the server's Pydantic models by scripts/client-types: change those, not this.

export type Envelope =
  | StatusChangeEvent
  | IterationCompleteEvent
  | ErrorEvent
  | LogEvent
  | ArtifactEvent
  | CheckpointEvent
  | ProgressEvent
  | QueueEvent
  | StatsEvent
  | PreviewEvent;
/**
 * Where a task stands.
 */
export type Status = "pending" | "running" | "completed" | "failed" | "cancelled" | "interrupted";
export type JsonValue = unknown;

export interface Wire {
  Accuracy?: Accuracy;
  Artifact?: Artifact;
  ArtifactEvent?: ArtifactEvent;
  Checkpoint?: Checkpoint;
  CheckpointEvent?: CheckpointEvent;
  CreateTask?: CreateTask;
  DeletedTask?: DeletedTask;
  Envelope?: Envelope;
  ErrorEvent?: ErrorEvent;
  ErrorReport?: ErrorReport;
  ErrorSummary?: ErrorSummary;
  EventPage?: EventPage;
  FeedPage?: FeedPage;
  FieldError?: FieldError;
  IterationComplete?: IterationComplete;
  IterationCompleteEvent?: IterationCompleteEvent;
  JsonValue?: JsonValue;
  Kind?: Kind;
  KindQueue?: KindQueue;
  Latest?: Latest;
  Links?: Links;
  ListedArtifact?: ListedArtifact;
  Log?: Log;
  LogEvent?: LogEvent;
  NewWebhook?: NewWebhook;
  NextSubmission?: NextSubmission;
  Preview?: Preview;
  PreviewEvent?: PreviewEvent;
  Problem?: Problem;
  Progress?: Progress;
  ProgressEvent?: ProgressEvent;
  Queue?: Queue;
  QueueEntry?: QueueEntry;
  QueueEvent?: QueueEvent;
  Result?: Result;
  Snapshot?: Snapshot;
  Stats?: Stats;
  StatsEvent?: StatsEvent;
  Status?: Status;
  StatusChange?: StatusChange;
  StatusChangeEvent?: StatusChangeEvent;
  Summary?: Summary;
  TaskUpload?: TaskUpload;
  Upload?: Upload;
  WirePosition?: WirePosition;
}
/**
 * How the first estimate of tasks that have started since compares with the truth.
 *
 * Of those that the reader may read, among the newest 500 of the kind.
 */
export interface Accuracy {
  /**
   * Tasks of the reader's that waited with an estimate.
   */
  count: number;
  /**
   * Half of them started closer to their estimate than that.
   */
  median_error_seconds?: number | null;
  /**
   * Part of them that started between `eta_low` and `eta_high`.
   */
  share_inside?: number | null;
}
/**
 * A file the job made; `url` pins its hash.
 */
export interface Artifact {
  name: string;
  title?: string | null;
  media_type: string;
  size_bytes: number;
  sha256: string;
  url: string;
  partial?: boolean | null;
}
export interface ArtifactEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: number;
  epoch: string;
  event_type: "artifact";
  data: Artifact;
}
/**
 * The job can go on from here; the content stays on the server.
 */
export interface Checkpoint {
  label?: string | null;
  progress_percent?: number | null;
}
export interface CheckpointEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: number;
  epoch: string;
  event_type: "checkpoint";
  data: Checkpoint;
}
/**
 * Body of `POST /api/tasks`.
 */
export interface CreateTask {
  kind: string;
  params?: {
    [k: string]: unknown;
  };
  task_id?: string | null;
  title?: string | null;
  /**
   * Higher goes first among the waiting tasks of its kind.
   */
  priority?: number;
  /**
   * Not before this time.
   */
  run_at?: string | null;
  /**
   * How long an attempt may take; by default what the kind says.
   */
  timeout_s?: number | null;
  /**
   * How often it is tried; by default what the kind says.
   */
  max_attempts?: number | null;
  /**
   * @maxItems 20
   */
  tags?: string[];
  metadata?: {
    [k: string]: unknown;
  };
  /**
   * Where its events are sent.
   *
   * @maxItems 5
   */
  webhooks?: NewWebhook[];
  /**
   * The producer that creates it and runs it itself: no other may report it.
   */
  producer_id?: string | null;
}
/**
 * A webhook of a task that is created.
 */
export interface NewWebhook {
  url: string;
  /**
   * Types of the events that are sent.
   *
   * @minItems 1
   * @maxItems 6
   */
  events?: ("status_change" | "iteration_complete" | "error" | "log" | "artifact" | "checkpoint")[];
}
/**
 * What a feed says of a task that was deleted.
 */
export interface DeletedTask {
  task_id: string;
  deleted: true;
}
export interface StatusChangeEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: number;
  epoch: string;
  event_type: "status_change";
  data: StatusChange;
}
/**
 * The task's status moved; `final` says that the attempt is over for good.
 */
export interface StatusChange {
  status: Status;
  final?: boolean;
  message?: string | null;
  reason?: string | null;
  resumable?: boolean | null;
  result?: {
    [k: string]: unknown;
  };
  result_url?: string | null;
}
export interface IterationCompleteEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: number;
  epoch: string;
  event_type: "iteration_complete";
  data: IterationComplete;
}
/**
 * One iteration ended, with its figures.
 */
export interface IterationComplete {
  iteration: number;
  metrics: {
    [k: string]: number;
  };
}
export interface ErrorEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: number;
  epoch: string;
  event_type: "error";
  data: ErrorReport;
}
/**
 * An attempt ended in an exception, a timeout or an invalid result.
 */
export interface ErrorReport {
  error: string;
  error_type: string;
  code: string;
  status?: "failed" | "pending";
  will_retry?: boolean;
  retry_at?: string | null;
  traceback?: string | null;
}
export interface LogEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: number;
  epoch: string;
  event_type: "log";
  data: Log;
}
/**
 * One line of what the job says.
 */
export interface Log {
  level?: "debug" | "info" | "warning" | "error";
  message: string;
  fields?: {
    [k: string]: JsonValue;
  } | null;
}
export interface ProgressEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: null;
  rev: number;
  event_type: "progress";
  data: Progress;
}
/**
 * How far the attempt is. `progress_percent` never falls within an attempt.
 */
export interface Progress {
  progress_percent?: number | null;
  current_iteration?: number | null;
  max_iterations?: number | null;
  completed?: number | null;
  total?: number | null;
  unit?: string | null;
  message?: string | null;
  stage?: string | null;
  stage_description?: string | null;
  rate_per_s?: number | null;
  eta_seconds?: number | null;
  elapsed_seconds: number;
}
export interface QueueEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: null;
  rev: number;
  event_type: "queue";
  data: Queue;
}
/**
 * Where a waiting task stands; position 1 is next.
 */
export interface Queue {
  kind: string;
  position: number;
  ahead: number;
  eta_seconds?: number | null;
  eta_low?: number | null;
  eta_high?: number | null;
}
export interface StatsEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: null;
  rev: number;
  event_type: "stats";
  data: Stats;
}
/**
 * Named counters and gauges of the task.
 */
export interface Stats {
  elapsed_seconds: number;
  [k: string]: unknown;
}
export interface PreviewEvent {
  task_id: string;
  timestamp: string;
  attempt: number;
  seq: null;
  rev: number;
  event_type: "preview";
  data: Preview;
}
/**
 * The newest picture or text, for those who asked for previews.
 *
 * A picture's bytes travel beside the event, with a placeholder for `content` in it.
 */
export interface Preview {
  media_type: string;
  content: string | ArrayBuffer | Uint8Array;
}
/**
 * Why the last attempt failed.
 */
export interface ErrorSummary {
  error: string;
  error_type: string;
  code: string;
}
/**
 * Logged events after a position, with the newest volatile data.
 */
export interface EventPage {
  /**
   * Envelopes, in order of seq.
   */
  items: Envelope[];
  /**
   * Address of the next page; null at the end of the log.
   */
  next?: string | null;
  position: WirePosition;
  latest: Latest;
  /**
   * The envelopes that `latest` is the data of, in order of `rev`.
   */
  volatile: Envelope[];
  /**
   * Whether the last event of the log is final.
   */
  final: boolean;
}
/**
 * A position inside JSON: `{"epoch": "k3v9", "seq": 17}`; the epoch of seq 0 is empty.
 */
export interface WirePosition {
  epoch: string;
  seq: number;
}
/**
 * The newest data of the volatile types that snapshots hold, or null.
 */
export interface Latest {
  progress: Progress | null;
  queue: Queue | null;
  stats: Stats | null;
}
/**
 * The newest states of tasks of a feed, and where to go on.
 */
export interface FeedPage {
  /**
   * Each task once.
   */
  tasks: (Summary | DeletedTask)[];
  /**
   * What to give as `after` next; opaque.
   */
  cursor: string;
  /**
   * The cursor that was given is unknown: `tasks` begins the list of active tasks anew, in the place of everything known before.
   */
  reset: boolean;
  /**
   * There is more at once: ask again with `cursor`.
   */
  more: boolean;
}
/**
 * A task in a list: no params, no result.
 */
export interface Summary {
  task_id: string;
  kind: string;
  title: string | null;
  status: Status;
  final: boolean;
  resumable: boolean;
  attempt: number;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  priority: number;
  run_at: string | null;
  timeout_s: number | null;
  max_attempts: number;
  /**
   * Whether the program that runs it created it: nobody else retries it.
   */
  created_by_producer: boolean;
  tags: string[];
  owner: string;
  message: string | null;
  reason: string | null;
  error: ErrorSummary | null;
  latest: Latest;
  position: WirePosition;
}
/**
 * One wrong field.
 */
export interface FieldError {
  loc: string;
  /**
   * For people.
   */
  message: string;
  /**
   * What is wrong, for programs: as Pydantic names it, mostly.
   */
  type?: string | null;
  /**
   * The numbers and texts of the message, by their names.
   */
  ctx?: {
    [k: string]: string | number | boolean;
  } | null;
}
/**
 * A registered kind, with JSON Schema of what it takes and gives.
 */
export interface Kind {
  name: string;
  description?: string | null;
  /**
   * Whether a body without a kind is taken as its params.
   */
  default: boolean;
  params_schema: {
    [k: string]: unknown;
  };
  result_schema: {
    [k: string]: unknown;
  };
  /**
   * How many handlers run at once; 0 where producers do.
   */
  concurrency: number;
  /**
   * Whether producers outside the server run its tasks.
   */
  external: boolean;
  /**
   * Whether only the programs that run its tasks create them.
   */
  created_by_producer: boolean;
  /**
   * How many tasks may be pending; null means as many as come.
   */
  queue_limit?: number | null;
}
/**
 * The queue of one kind.
 */
export interface KindQueue {
  kind: string;
  /**
   * How many tasks of the kind run at once.
   */
  slots: number;
  running: number;
  /**
   * How many wait; those whose `run_at` has not come do not.
   */
  waiting: number;
  /**
   * How many tasks may be pending, delayed ones too; null means as many as come.
   */
  queue_limit?: number | null;
  /**
   * Those the reader may see, in order: the first `limit` positions, and the reader's own beyond, at most as many again.
   */
  entries: QueueEntry[];
  next_submission: NextSubmission;
  accuracy: Accuracy;
}
/**
 * A waiting task; of others' only what the kind's `queue_visibility` shows.
 */
export interface QueueEntry {
  /**
   * 1 is next; counts everybody.
   */
  position: number;
  /**
   * How many start before it.
   */
  ahead: number;
  /**
   * Until it starts; null while no run of the kind has ended yet.
   */
  eta_seconds?: number | null;
  /**
   * It hardly starts before.
   */
  eta_low?: number | null;
  /**
   * Nine times out of ten it has started by then.
   */
  eta_high?: number | null;
  /**
   * Whether the reader may see the task itself.
   */
  own: boolean;
  /**
   * Null unless it is the reader's own.
   */
  task_id?: string | null;
  title?: string | null;
}
/**
 * Where a task created now would stand, and how long it would take then.
 */
export interface NextSubmission {
  /**
   * 1 is next; counts everybody.
   */
  position: number;
  /**
   * How many start before it.
   */
  ahead: number;
  /**
   * Until it starts; null while no run of the kind has ended yet.
   */
  eta_seconds?: number | null;
  /**
   * It hardly starts before.
   */
  eta_low?: number | null;
  /**
   * Nine times out of ten it has started by then.
   */
  eta_high?: number | null;
  /**
   * From start to end, by runs of about its size where params were given and the kind has sizes; null while no run of the kind has ended yet.
   */
  run_seconds?: number | null;
}
/**
 * Addresses of what belongs to a task, relative to the server's root.
 */
export interface Links {
  self: string;
  events: string;
  result: string;
  artifacts: string;
  cancel: string;
  retry: string;
}
/**
 * A file that a task made.
 */
export interface ListedArtifact {
  name: string;
  title?: string | null;
  media_type: string;
  size_bytes: number;
  sha256: string;
  /**
   * Pins the hash.
   */
  url: string;
  attempt: number;
  created_at: string;
  /**
   * Whether the attempt that made it failed, was cancelled or interrupted.
   */
  partial: boolean;
}
/**
 * An error as RFC 9457 has it, with a stable `code`.
 */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  code: string;
  detail?: string | null;
  errors?: FieldError[] | null;
  /**
   * With `queue_full`: whose queue is full.
   */
  kind?: string | null;
  /**
   * With `queue_full`.
   */
  queue_limit?: number | null;
  /**
   * With `producer_gap`: the `producer_seq` to go on with.
   */
  expected?: number | null;
  /**
   * With `queue_full`, `rate_limited`, `connection_limit` and `server_full`: seconds, as in the header `Retry-After`.
   */
  retry_after?: number | null;
}
/**
 * What a completed task returned.
 */
export interface Result {
  task_id: string;
  status: Status;
  result: JsonValue;
}
/**
 * The record with the newest volatile data and the position, read in one transaction.
 */
export interface Snapshot {
  task_id: string;
  kind: string;
  title: string | null;
  status: Status;
  final: boolean;
  resumable: boolean;
  attempt: number;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  priority: number;
  run_at: string | null;
  timeout_s: number | null;
  max_attempts: number;
  /**
   * Whether the program that runs it created it: nobody else retries it.
   */
  created_by_producer: boolean;
  tags: string[];
  owner: string;
  message: string | null;
  reason: string | null;
  error: ErrorSummary | null;
  latest: Latest;
  position: WirePosition;
  params: {
    [k: string]: unknown;
  };
  /**
   * The files whose ids stand in the params.
   */
  uploads: TaskUpload[];
  metadata: {
    [k: string]: unknown;
  };
  links: Links;
}
/**
 * A file that a task was created with.
 */
export interface TaskUpload {
  upload_id: string;
  name: string;
  media_type: string;
  size_bytes: number;
  sha256: string;
  /**
   * Where its content is.
   */
  url: string;
}
/**
 * Answer of `POST /api/uploads`: its id stands in the params of tasks.
 */
export interface Upload {
  upload_id: string;
  name: string;
  media_type: string;
  size_bytes: number;
  sha256: string;
  /**
   * When it is deleted unless a task uses it; null while tasks do.
   */
  expires_at: string | null;
}
