/** Values as people read them, in the language of the page. */

/** The words of units of time and of single bytes. */
const UNITS = {
  en: { s: "s", min: "min", h: "h", d: "d", bytes: "bytes" },
  zh: { s: "秒", min: "分", h: "小时", d: "天", bytes: "字节" },
};

let language = "en";
let units = UNITS.en;
/** By digits after the point: making one takes nearly thirty times as long as using it. */
const numberFormats = new Map<number, Intl.NumberFormat>();

/** Numbers and times are written as in this language from now on. */
export function formatIn(chosen: string): void {
  language = chosen;
  units = chosen === "zh" ? UNITS.zh : UNITS.en;
  numberFormats.clear();
}

/** `4 s`, `1 min 05 s`, `2 h 10 min`. */
export function formatDuration(seconds: number): string {
  const { s, min, h, d } = units;
  if (seconds > 0 && seconds < 0.1) return `< 0.1 ${s}`;
  if (seconds > 0 && seconds < 9.95 && !Number.isInteger(seconds))
    return `${seconds.toFixed(1)} ${s}`;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} ${s}`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} ${min} ${padded(whole % 60)} ${s}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} ${h} ${padded(minutes % 60)} ${min}`;
  return `${Math.floor(hours / 24)} ${d} ${hours % 24} ${h}`;
}

/** A time that nobody knows exactly: in whole seconds. */
export function formatEstimate(seconds: number): string {
  return formatDuration(Math.max(1, Math.round(seconds)));
}

/** Five digits that count, and thousands kept apart. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e12))
    return Number(value.toPrecision(4)).toExponential();
  const decimals = size >= 1 ? Math.max(0, 4 - Math.floor(Math.log10(size))) : 5;
  return withDecimals(value, decimals);
}

function withDecimals(value: number, decimals: number): string {
  const format =
    numberFormats.get(decimals) ??
    new Intl.NumberFormat(language, { maximumFractionDigits: decimals });
  numberFormats.set(decimals, format);
  return format.format(value);
}

const BYTE_UNITS = ["", "KiB", "MiB", "GiB", "TiB"];

export function formatBytes(bytes: number): string {
  const step = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${withDecimals(bytes / 1024 ** step, 1)} ${BYTE_UNITS[step] || units.bytes}`;
}

/** Hours, minutes and seconds, in local time. */
export function formatTime(moment: string | number): string {
  const date = new Date(moment);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(padded).join(":");
}

/** The time, with the day unless that is today. */
export function formatMoment(moment: string): string {
  const date = new Date(moment);
  if (date.toDateString() === new Date().toDateString()) return formatTime(moment);
  const day = date.toLocaleDateString(language, { day: "numeric", month: "short" });
  return `${day} ${formatTime(moment)}`;
}

/** A day such as `2026-11-22`, without its year. */
export function formatDay(day: string): string {
  const options = { day: "numeric", month: "short", timeZone: "UTC" } as const;
  return new Date(day).toLocaleDateString(language, options);
}

/** A value of any kind in one line. */
export function formatValue(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return formatNumber(value);
  return typeof value === "string" && value !== "" ? value : JSON.stringify(value);
}

/** `max_temp 45.5 · min_clearance 5.2`. */
export function formatPairs(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${formatValue(value)}`)
    .join(" · ");
}

function padded(value: number): string {
  return String(value).padStart(2, "0");
}
