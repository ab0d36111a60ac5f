/** How long to wait before trying again. */

export const BASE_MS = 250;
export const CAP_MS = 15_000;

/**
 * Milliseconds to wait after so many failures in a row: 0 after none.
 *
 * Anything from 0 to a bound that doubles with each failure, so that the clients of a server that
 * comes back do not arrive together. Source: "Exponential Backoff And Jitter", AWS Architecture
 * Blog, 2015 ("full jitter"). `random` gives numbers from 0 to 1.
 */
export function fullJitterMs(failures: number, random: () => number): number {
  if (failures <= 0) return 0;
  return random() * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(failures - 1, 32));
}
