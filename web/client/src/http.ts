/** Requests below `<server>/api`, with the credential in their header. */

import { BadAnswer, RequestRefused, ServerUnreachable } from "./errors.ts";
import type { FieldError } from "./generated/models.ts";
import { isObject, type Json } from "./wire.ts";

/** The token to show, or a function that gives the present one for each request and connection. */
export type Token = string | (() => string | null | undefined | Promise<string | null | undefined>);

/** One request. */
export interface Call {
  method?: string;
  query?: Record<string, string | number | undefined>;
  body?: Json | undefined;
  signal?: AbortSignal | undefined;
  accept?: string;
}

/** Talks HTTP to one server. */
export class Http {
  readonly serverUrl: string;
  readonly credentials: RequestCredentials;
  readonly #token: Token | undefined;

  constructor(serverUrl: string, token?: Token, credentials: RequestCredentials = "same-origin") {
    this.serverUrl = serverUrl.replace(/\/+$/, "");
    this.#token = token;
    this.credentials = credentials;
  }

  /** Whether there may be another token now than the one that has ended. */
  get renewable(): boolean {
    return typeof this.#token === "function";
  }

  /** The present token; null without one. */
  async token(): Promise<string | null> {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    return token ?? null;
  }

  /** The header that shows it; none without one. */
  async shown(): Promise<{ Authorization?: string }> {
    const token = await this.token();
    return token === null ? {} : { Authorization: `Bearer ${token}` };
  }

  /** The address of `path`, which starts below `/api`. */
  address(path: string, query: Call["query"] = {}): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    const question = text.size ? `${path.includes("?") ? "&" : "?"}${text}` : "";
    return `${this.serverUrl}/api${path}${question}`;
  }

  /** The response, whatever its status; throws `ServerUnreachable` when there is none. */
  async send(path: string, call: Call = {}): Promise<Response> {
    const headers: Record<string, string> = {
      Accept: call.accept ?? "application/json",
      ...(await this.shown()),
    };
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    const init: RequestInit = {
      method: call.method ?? "GET",
      headers,
      credentials: this.credentials,
      cache: "no-store",
      signal: call.signal ?? null,
      body: call.body === undefined ? null : JSON.stringify(call.body),
    };
    try {
      return await fetch(this.address(path, call.query), init);
    } catch (error) {
      throw unreachable(this.serverUrl, error);
    }
  }

  /** The JSON that is answered; throws `RequestRefused` when that is an error. */
  async json(path: string, call: Call = {}): Promise<unknown> {
    const response = await this.send(path, call);
    if (!response.ok) throw await refusal(response);
    return body(response);
  }
}

/** The JSON of a good response; throws `BadAnswer` when it is none. */
export async function body(response: Response): Promise<unknown> {
  if (response.status === 204) return null;
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.includes("json")) throw new BadAnswer(`${response.url} answered ${type}, not JSON`);
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    throw unreachable(response.url, error);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new BadAnswer(`${response.url} answered what is no JSON`);
  }
}

/** The error that a response is: a problem as RFC 9457 has it, or `http_<status>` without one. */
export async function refusal(response: Response): Promise<RequestRefused> {
  const said: unknown = await response.json().catch(() => null);
  const problem = isObject(said) ? said : {};
  const code = typeof problem.code === "string" ? problem.code : `http_${response.status}`;
  const detail = problem.detail ?? problem.title;
  return new RequestRefused(code, {
    status: response.status,
    detail: typeof detail === "string" ? detail : undefined,
    errors: Array.isArray(problem.errors) ? (problem.errors as FieldError[]) : [],
    retryAfterS: retryAfterS(response, problem),
    problem,
  });
}

function retryAfterS(response: Response, problem: Json): number | undefined {
  const header = response.headers.get("Retry-After") ?? "";
  if (/^[0-9]{1,6}$/.test(header)) return Math.min(Number(header), 3600);
  return typeof problem.retry_after === "number" ? problem.retry_after : undefined;
}

/** Being aborted is passed on as it is: whoever aborted knows. */
function unreachable(where: string, error: unknown): unknown {
  if (error instanceof Error && error.name === "AbortError") return error;
  const why = error instanceof Error ? error.message : String(error);
  return new ServerUnreachable(`no answer from ${where}: ${why}`);
}
