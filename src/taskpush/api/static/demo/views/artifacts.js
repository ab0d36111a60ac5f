// @ts-check
/** Links to what the task made, with pictures shown. */

import { formatBytes } from "../formats.js";
import { el, outsideLink, part, showText } from "./document.js";

/** @typedef {import("../watched-task.js").Artifact} Artifact */

const SHOWN = 50;
const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

export class ArtifactsView {
  #drawn = "";

  /** @param {Map<string, Artifact>} artifacts */
  render(artifacts) {
    const shown = [...artifacts.values()].reverse().slice(0, SHOWN);
    const key = JSON.stringify(shown);
    if (key === this.#drawn) return;
    this.#drawn = key;
    part("artifacts").hidden = shown.length === 0;
    part("artifact-list").replaceChildren(...shown.map(createItem));
    const left = artifacts.size - shown.length;
    showText(part("artifacts-more"), left > 0 ? `${left} older ones are in the log.` : "");
  }
}

function createItem({ name, title, media_type: mediaType, size_bytes: size, url, partial }) {
  const label = title ?? name;
  const facts = [mediaType, formatBytes(size), partial ? "partial" : ""].filter(Boolean).join(" · ");
  const item = el("li", {}, outsideLink(url, label), el("small", {}, facts));
  if (PICTURES.has(mediaType)) item.append(el("img", { src: url, alt: label, loading: "lazy", decoding: "async" }));
  return item;
}
