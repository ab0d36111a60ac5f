// @ts-check
/** Calls of the REST interface, and its errors as sentences for people. */

import { addressOf } from "./addresses.js";
import { tokenFor, tokenHeaders } from "./token.js";

/** @typedef {import("./wire.js").FieldError} FieldError */

/** The server's answer was an error, or there was no usable answer. */
export class Problem extends Error {
  /** @param {string} message @param {FieldError[]} [errors] */
  constructor(message, errors = []) {
    super(message);
    this.errors = errors;
  }
}

/**
 * The decoded body of the answer; throws a Problem.
 * @param {string} base
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function request(base, path, options = {}) {
  let response;
  try {
    const headers = { ...options.headers, ...tokenHeaders(base) };
    response = await fetch(addressOf(base, path), { ...options, headers, cache: "no-store" });
  } catch {
    throw new Problem(describeUnreachable(base));
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  if (body?.code) throw new Problem(body.detail || body.title, body.errors);
  throw new Problem(`${base} answered ${response.status}, but not like a taskpush server.`);
}

/** @param {string} base @param {string} path @param {Record<string, any>} body */
export function post(base, path, body) {
  const headers = { "Content-Type": "application/json" };
  return request(base, path, { method: "POST", headers, body: JSON.stringify(body) });
}

/**
 * An address that an element can show: of the file itself, or where a token has to be shown for it of
 * a copy, which the page holds until it is left.
 * @param {string} base
 * @param {string} url
 */
export async function shownUrl(base, url) {
  if (tokenFor(base) === "") return url;
  const response = await fetch(url, { headers: tokenHeaders(base) });
  if (!response.ok) throw new Problem(`The file can't be read: ${response.status}.`);
  return URL.createObjectURL(await response.blob());
}

/** @param {string} taskId */
export function taskPath(taskId) {
  return `/api/tasks/${encodeURIComponent(taskId)}`;
}

/** @param {string} base */
export function describeUnreachable(base) {
  if (new URL(base).origin === location.origin) return `Nothing answers at ${base} – is the server running?`;
  return `${base} can't be reached from this page. Either nothing answers there, or that server `
    + `doesn't allow pages from ${location.origin}. You can open that address itself: it has its own page.`;
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
