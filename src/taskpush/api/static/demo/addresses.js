// @ts-check
/** The server's address, addresses on it, and the address of this page. */

/** Where this copy of the page was served from, prefix included: `<base>static/demo/addresses.js`. */
export const OWN_BASE = new URL("../../", import.meta.url).href;

/**
 * The base address that a person means, ending in a slash; null for what is no http(s) address.
 * @param {string} text
 */
export function parseBase(text) {
  const trimmed = text.trim();
  if (trimmed === "") return OWN_BASE;
  const full = /^[a-z]+:\/\//i.test(trimmed) ? trimmed : `${location.protocol}//${trimmed}`;
  if (!URL.canParse(full)) return null;
  const url = new URL(full);
  if (!["http:", "https:"].includes(url.protocol)) return null;
  return url.origin + (url.pathname.endsWith("/") ? url.pathname : `${url.pathname}/`);
}

/**
 * A path of the server, made absolute. Whatever the path is, it stays on that server.
 * @param {string} base
 * @param {string} path Starts at the place where taskpush is mounted, such as `/api/kinds`.
 */
export function addressOf(base, path) {
  return base + path.replace(/^\//, "");
}

/**
 * The page's hash that watches a task; shareable with whoever reaches the server.
 * @param {string} base
 * @param {string} taskId
 */
export function hashOf(base, taskId) {
  const hash = new URLSearchParams({ task: taskId });
  if (base !== OWN_BASE) hash.set("server", base);
  return `#${hash}`;
}

/** What the page's hash asks for; empty strings where it says nothing. */
export function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  return { taskId: (hash.get("task") ?? "").toLowerCase(), server: hash.get("server") ?? "" };
}
