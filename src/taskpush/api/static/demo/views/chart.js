// @ts-check
/** A line over iterations, with few ticks and the newest value marked. */

import { formatNumber } from "../formats.js";
import { svg } from "./document.js";

/** @typedef {{x: number, y: number}} Dot */

const HEIGHT = 200;
const MARGIN = { left: 56, right: 16, top: 12, bottom: 26 };

/**
 * @param {SVGSVGElement} chart
 * @param {string} name
 * @param {Dot[]} dots In the order of their x.
 * @param {number} width In pixels, so that text keeps its size.
 */
export function drawChart(chart, name, dots, width) {
  const [first, newest] = [dots[0], dots.at(-1)];
  if (!newest) return chart.replaceChildren();
  const [low, high] = extent(dots);
  const yTicks = niceTicks(low, high, 4);
  const xTicks = niceTicks(first.x, newest.x, width > 480 ? 6 : 4)
    .filter((tick) => Number.isInteger(tick) && tick >= first.x && tick <= newest.x);
  const toX = scale(first.x, newest.x, MARGIN.left, width - MARGIN.right);
  const toY = scale(yTicks[0], yTicks[yTicks.length - 1], HEIGHT - MARGIN.bottom, MARGIN.top);
  const line = thinOut(dots, width).map((dot) => `${toX(dot.x).toFixed(1)},${toY(dot.y).toFixed(1)}`).join(" ");
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  chart.setAttribute("aria-label", `${name} over iterations ${first.x} to ${newest.x}: `
    + `now ${formatNumber(newest.y)}, lowest ${formatNumber(low)}, highest ${formatNumber(high)}`);
  chart.replaceChildren(
    ...yTicks.flatMap((tick) => drawYTick(tick, toY(tick), width)),
    ...xTicks.map((tick) => svg("text", { x: toX(tick), y: HEIGHT - 6, "text-anchor": "middle" }, formatNumber(tick))),
    svg("polyline", { class: "line", points: line }),
    svg("circle", { class: "newest", cx: toX(newest.x), cy: toY(newest.y), r: 4 }),
  );
}

function drawYTick(tick, y, width) {
  return [
    svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }),
    svg("text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, formatNumber(tick)),
  ];
}

/** Lowest and highest y. */
function extent(dots) {
  return dots.reduce(([low, high], { y }) => [Math.min(low, y), Math.max(high, y)], [Infinity, -Infinity]);
}

function scale(low, high, from, to) {
  return (/** @type {number} */ value) => (high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from));
}

/** Round numbers that enclose the range, 1, 2 or 5 times a power of ten apart. */
function niceTicks(low, high, count) {
  const rough = (high - low || Math.abs(low) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** About one dot per pixel column, the newest among them. */
function thinOut(dots, width) {
  const step = Math.ceil(dots.length / width);
  return dots.filter((_, index) => index % step === 0 || index === dots.length - 1);
}
