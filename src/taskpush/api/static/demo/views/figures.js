// @ts-check
/** Newest metrics as tiles, one of which is chosen for the chart. */

import { formatNumber } from "../formats.js";
import { drawChart } from "./chart.js";
import { byId, el, part, setText } from "./document.js";

/** @typedef {import("../watched-task.js").Point} Point */

export class FiguresView {
  /** @type {Point[]} */
  #points = [];
  /** The node of each metric's value. @type {Map<string, HTMLElement>} */
  #values = new Map();
  #chosen = "";
  #drawn = "";

  constructor() {
    this.section = part("figures");
    this.box = part("tiles");
    this.chart = byId("chart", SVGSVGElement);
    new ResizeObserver(() => this.#draw()).observe(this.chart);
  }

  /** @param {Point[]} points */
  render(points) {
    if (points !== this.#points) this.#reset(points);
    const newest = points.at(-1);
    this.section.hidden = newest === undefined;
    if (!newest) return;
    for (const [name, value] of Object.entries(newest.metrics)) {
      setText(this.#values.get(name) ?? this.#addTile(name), formatNumber(value));
    }
    this.#draw();
  }

  #reset(points) {
    this.#points = points;
    for (const tile of this.box.querySelectorAll("label")) tile.remove();
    this.#values.clear();
    this.#chosen = "";
    this.#drawn = "";
  }

  #addTile(name) {
    this.#chosen ||= name;
    const input = el("input", { type: "radio", name: "metric", class: "visually-hidden", checked: this.#chosen === name });
    const value = el("span", { class: "tile-value" });
    input.addEventListener("change", () => {
      this.#chosen = name;
      this.#draw();
    });
    // Names are mostly written with underscores: there they may break.
    const words = name.split(/(?<=_)/).flatMap((word) => [word, el("wbr")]);
    this.box.append(el("label", { class: "tile" }, input, el("span", { class: "tile-name" }, ...words), value));
    this.#values.set(name, value);
    return value;
  }

  #draw() {
    const width = Math.round(this.chart.clientWidth);
    const key = `${this.#chosen}/${width}/${this.#points.length}/${this.#points.at(-1)?.iteration}`;
    if (width === 0 || key === this.#drawn) return;
    this.#drawn = key;
    const dots = this.#points
      .filter((point) => typeof point.metrics[this.#chosen] === "number")
      .map((point) => ({ x: point.iteration, y: point.metrics[this.#chosen] }));
    drawChart(this.chart, this.#chosen, dots, width);
  }
}
