/** The server that this page came from: its address, and the token shown to it. */

/** Where the server is mounted, with a slash at the end; this file is below it. */
export const SERVER_URL: string = import.meta.env.DEV
  ? new URL("/", location.href).href
  : new URL(/* @vite-ignore */ "../../../", import.meta.url).href;

/** The path of that address, without the slash at its end: what routes are relative to. */
export const BASE_PATH = new URL(SERVER_URL).pathname.replace(/\/$/, "");

const TOKEN_KEY = `taskpush token for ${SERVER_URL}`;

/** The token of this tab; null without one. It is never in an address, and not kept longer. */
export function keptToken(): string | null {
  return sessionStorage.getItem(TOKEN_KEY);
}

/** Keep the token for this tab, or forget it. */
export function keepToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, token);
}

/** The address of a path that the server named, such as `/api/tasks/…`; it stays on that server. */
export function addressOf(path: string): string {
  return SERVER_URL + path.replace(/^\/+/, "");
}

/**
 * Fetch a path with the token; what the client has no call for. Throws when it is refused.
 *
 * With `firstBytes` only the beginning, of what is longer than that.
 */
export async function fetchFrom(
  path: string,
  signal?: AbortSignal,
  firstBytes?: number,
): Promise<Response> {
  const token = keptToken();
  const response = await fetch(addressOf(path), {
    headers: {
      ...(token !== null && { Authorization: `Bearer ${token}` }),
      ...(firstBytes !== undefined && { Range: `bytes=0-${firstBytes - 1}` }),
    },
    signal: signal ?? null,
  });
  if (!response.ok) throw new Error(await detailOf(response));
  return response;
}

async function detailOf(response: Response): Promise<string> {
  const problem: unknown = await response.json().catch(() => null);
  const detail =
    typeof problem === "object" && problem && "detail" in problem ? problem.detail : null;
  return typeof detail === "string" ? detail : `${response.status} ${response.statusText}`;
}
