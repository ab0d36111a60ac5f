// @ts-check
/** Values as people read them. */

/** @param {number} seconds */
export function formatDuration(seconds) {
  if (seconds > 0 && seconds < 9.95 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${pad(whole % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

function pad(value) {
  return String(value).padStart(2, "0");
}

/** @param {number} value */
export function formatNumber(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) return Number(value.toPrecision(4)).toExponential();
  const decimals = size >= 1 ? Math.max(0, 4 - Math.floor(Math.log10(size))) : 5;
  return value.toLocaleString("en", { maximumFractionDigits: decimals });
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const step = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = (bytes / 1024 ** step).toLocaleString("en", { maximumFractionDigits: 1 });
  return `${value} ${units[step]}`;
}

/** @param {string | number} moment RFC 3339 or milliseconds since 1970; shown in local time. */
export function formatTime(moment) {
  const date = new Date(moment);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":");
}

/** @param {string} moment */
export function formatMoment(moment) {
  const date = new Date(moment);
  if (date.toDateString() === new Date().toDateString()) return formatTime(moment);
  return `${date.toLocaleDateString("en", { day: "numeric", month: "short" })} ${formatTime(moment)}`;
}

/** @param {any} value */
export function formatValue(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return formatNumber(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** @param {Record<string, any> | null | undefined} values */
export function formatPairs(values) {
  return Object.entries(values ?? {})
    .map(([name, value]) => `${name} ${formatValue(value)}`)
    .join(" · ");
}

/** @param {string} word A lower-case word of the contract, such as a status. */
export function capitalise(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
