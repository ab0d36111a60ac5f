// @ts-check
/** The token that is shown to a server: kept for this tab alone, and never in an address. */

const keyOf = (base) => `taskpush token for ${base}`;

/** Empty when there is none. @param {string} base */
export function tokenFor(base) {
  return sessionStorage.getItem(keyOf(base)) ?? "";
}

/** @param {string} base @param {string} token Empty to forget it. */
export function keepToken(base, token) {
  if (token === "") sessionStorage.removeItem(keyOf(base));
  else sessionStorage.setItem(keyOf(base), token);
}

/** The headers that show it. @param {string} base @returns {Record<string, string>} */
export function tokenHeaders(base) {
  const token = tokenFor(base);
  return token === "" ? {} : { Authorization: `Bearer ${token}` };
}
