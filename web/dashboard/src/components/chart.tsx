/** One metric over the iterations: drag to zoom, point to read, save as a picture. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useObserved } from "../data/observable.ts";
import type { TaskRecord } from "../data/task_record.ts";
import { formatNumber } from "../format.ts";
import { Icon } from "./icons.tsx";
import { saveAs } from "./saving.ts";

const HEIGHT_PX = 220;
/** From so few points on, each is drawn as a dot too. */
const DOTS_UP_TO = 60;

interface Props {
  metric: string;
  record: TaskRecord;
}

export function Chart({ metric, record }: Props): ReactNode {
  const { t } = useTranslation();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [zoomed, setZoomed] = useState(false);
  const [hovered, setHovered] = useState<string | null>(null);
  const scheme = useColourScheme();
  const version = useObserved(record).version();
  const { iterations } = record.metrics;
  const iterationWord = t("chart.iteration");

  // biome-ignore lint/correctness/useExhaustiveDependencies: colours are read anew with the scheme
  useEffect(() => {
    const node = place.current;
    if (node === null) return;
    const read = (chart: uPlot): void => {
      const index = chart.cursor.idx;
      const x = index === null || index === undefined ? undefined : chart.data[0][index];
      const y = index === null || index === undefined ? undefined : chart.data[1]?.[index];
      setHovered(
        typeof x === "number" && typeof y === "number"
          ? `${iterationWord} ${formatNumber(x)} · ${metric} ${formatNumber(y)}`
          : null,
      );
    };
    const made = new uPlot(optionsFor(metric, node, read, setZoomed), dataOf(record, metric), node);
    followFinger(made.over);
    plot.current = made;
    const resized = new ResizeObserver(() =>
      made.setSize({ width: node.clientWidth, height: HEIGHT_PX }),
    );
    resized.observe(node);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [metric, record, scheme, iterationWord]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the record is changed in place
  useEffect(() => {
    plot.current?.setData(dataOf(record, metric), !zoomed);
  }, [record, version, metric, zoomed]);

  const save = (): void => {
    if (plot.current)
      pictureOf(plot.current, metric).toBlob((blob) => blob && saveAs(blob, `${metric}.png`));
  };
  const label = t("chart.label", {
    metric,
    first: iterations[0] ?? 0,
    last: iterations.at(-1) ?? 0,
  });
  return (
    <figure className="chart">
      <div ref={place} id="chart" role="img" aria-label={label} className="chart-place" />
      <figcaption>
        <span className="hint">{hovered ?? t("chart.hint")}</span>
        {zoomed && (
          <button
            type="button"
            className="small"
            onClick={() => plot.current && showAll(plot.current)}
          >
            {t("chart.all")}
          </button>
        )}
        <button type="button" className="small" onClick={save}>
          <Icon name="download" />
          {t("chart.save")}
        </button>
      </figcaption>
    </figure>
  );
}

const AS_MOUSE = { pointerdown: "mousedown", pointermove: "mousemove", pointerup: "mouseup" };

/** A finger that moves sideways zooms as a mouse does; up and down it scrolls the page. */
function followFinger(over: HTMLElement): void {
  over.style.touchAction = "pan-y";
  for (const [said, meant] of Object.entries(AS_MOUSE))
    over.addEventListener(said, (event) => {
      const { pointerType, clientX, clientY } = event as PointerEvent;
      if (pointerType === "mouse") return;
      // What does not move at all, uPlot takes for no movement.
      const moved = { bubbles: true, clientX, clientY, movementX: 1 };
      over.dispatchEvent(new MouseEvent(meant, moved));
    });
}

function dataOf({ metrics }: TaskRecord, metric: string): uPlot.AlignedData {
  return [metrics.iterations, metrics.columns.get(metric) ?? []];
}

function optionsFor(
  metric: string,
  node: HTMLElement,
  onHover: (chart: uPlot) => void,
  onZoom: (zoomed: boolean) => void,
): uPlot.Options {
  const colours = getComputedStyle(node);
  const line = colours.getPropertyValue("--accent");
  const axis: uPlot.Axis = {
    stroke: colours.getPropertyValue("--muted"),
    font: `12px ${colours.fontFamily}`,
    grid: { stroke: colours.getPropertyValue("--border"), width: 1 },
    ticks: { show: false },
    values: (_, values) => values.map((value) => formatNumber(value)),
  };
  return {
    width: node.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    padding: [10, 12, 0, 0],
    scales: { x: { time: false } },
    axes: [
      { ...axis, grid: { show: false }, space: 60, incrs: WHOLE_STEPS, size: 28 },
      { ...axis, size: 62 },
    ],
    cursor: { y: false, points: { size: 8, fill: line } },
    series: [
      {},
      {
        label: metric,
        stroke: line,
        width: 2,
        spanGaps: true,
        points: { show: (chart) => chart.data[0].length <= DOTS_UP_TO, size: 4, fill: line },
      },
    ],
    hooks: {
      setCursor: [onHover],
      setScale: [
        (chart, key) => {
          if (key === "x") onZoom(isZoomed(chart));
        },
      ],
    },
  };
}

/** Iterations are whole numbers. */
const WHOLE_STEPS = [1, 2, 5].flatMap((step) => [1, 10, 100, 1000, 1e4, 1e5].map((n) => n * step));
WHOLE_STEPS.sort((a, b) => a - b);

function isZoomed(chart: uPlot): boolean {
  const { min, max } = chart.scales.x ?? {};
  const all = chart.data[0];
  const first = all[0];
  const last = all[all.length - 1];
  if (min == null || max == null || first === undefined || last === undefined) return false;
  return min > first || max < last;
}

function showAll(chart: uPlot): void {
  chart.setData(chart.data, true);
}

/** The chart on the page's ground, with what it shows written above it. */
function pictureOf(chart: uPlot, metric: string): HTMLCanvasElement {
  const source = chart.ctx.canvas;
  const scale = devicePixelRatio;
  const headPx = 28 * scale;
  const picture = document.createElement("canvas");
  picture.width = source.width;
  picture.height = source.height + headPx;
  const pen = picture.getContext("2d");
  if (pen === null) return source;
  const colours = getComputedStyle(document.body);
  pen.fillStyle = colours.getPropertyValue("--surface");
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.fillStyle = colours.color;
  pen.font = `600 ${14 * scale}px ${colours.fontFamily}`;
  pen.fillText(metric, 12 * scale, 20 * scale);
  pen.drawImage(source, 0, headPx);
  return picture;
}

/** Changes when the page turns light or dark. */
function useColourScheme(): string {
  const [scheme, setScheme] = useState("");
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const look = (): void =>
      setScheme(`${document.documentElement.dataset.theme} ${query.matches}`);
    const watched = new MutationObserver(look);
    watched.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    query.addEventListener("change", look);
    return () => {
      watched.disconnect();
      query.removeEventListener("change", look);
    };
  }, []);
  return scheme;
}
