/** What can go wrong for a client of a taskpush server. */

import type { FieldError } from "./generated/models.ts";

/** Base of everything that the client throws on purpose; `code` is stable. */
export class ClientError extends Error {
  override name = "ClientError";
  readonly code: string;

  constructor(message: string, code = "client_error") {
    super(message);
    this.code = code;
  }
}

/** No server answers at the address, or none has for longer than the client waits. */
export class ServerUnreachable extends ClientError {
  override name = "ServerUnreachable";

  constructor(message: string) {
    super(message, "server_unreachable");
  }
}

/** What answers at the address does not speak taskpush's protocol, or breaks it. */
export class BadAnswer extends ClientError {
  override name = "BadAnswer";

  constructor(message: string) {
    super(message, "bad_answer");
  }
}

/** What a refusal says besides its code. */
export interface RefusalDetails {
  /** HTTP status; absent for what came over a socket. */
  status?: number | undefined;
  detail?: string | undefined;
  /** What is wrong with which field. */
  errors?: readonly FieldError[] | undefined;
  /** Seconds after which it may be tried again. */
  retryAfterS?: number | undefined;
  /** The problem document (RFC 9457) that it came as; absent for what came over a socket. */
  problem?: Readonly<Record<string, unknown>> | undefined;
}

/** The server understood and said no: `code` is one of docs/reference/errors.md. */
export class RequestRefused extends ClientError {
  override name = "RequestRefused";
  readonly status: number | undefined;
  readonly detail: string;
  readonly errors: readonly FieldError[];
  readonly retryAfterS: number | undefined;
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(code: string, details: RefusalDetails = {}) {
    const detail = details.detail ?? code;
    super(`${detail} (${code})`, code);
    this.status = details.status;
    this.detail = detail;
    this.errors = details.errors ?? [];
    this.retryAfterS = details.retryAfterS;
    this.problem = details.problem ?? {};
  }
}

/** Base: the task is over, and has no result. */
export class TaskNotCompleted extends ClientError {
  override name = "TaskNotCompleted";
  readonly taskId: string;

  constructor(taskId: string, message: string, code: string) {
    super(message, code);
    this.taskId = taskId;
  }
}

/** The task failed: `error` says why, `errorType` names the exception, `code` is stable. */
export class TaskFailed extends TaskNotCompleted {
  override name = "TaskFailed";
  readonly error: string;
  readonly errorType: string;

  constructor(taskId: string, error: string, errorType: string, code: string) {
    const isNamed = error === errorType || error.startsWith(`${errorType}: `);
    super(taskId, errorType && !isNamed ? `${errorType}: ${error}` : error, code);
    this.error = error;
    this.errorType = errorType;
  }
}

/** The task was cancelled. */
export class TaskCancelled extends TaskNotCompleted {
  override name = "TaskCancelled";

  constructor(taskId: string, message: string) {
    super(taskId, message, "task_cancelled");
  }
}

/** The task lost its server or worker; it may be resumed. */
export class TaskInterrupted extends TaskNotCompleted {
  override name = "TaskInterrupted";

  constructor(taskId: string, message: string) {
    super(taskId, message, "task_interrupted");
  }
}

const PASSING = new Set([
  "rate_limited",
  "connection_limit",
  "not_started",
  "shutting_down",
  "store_unavailable",
  "server_full",
  "internal_error",
]);

/** Whether the server refuses for the moment only. */
export function isPassing(code: string): boolean {
  return PASSING.has(code);
}
